#![doc = include_str!("../README.md")]

pub mod data;
pub mod dir;
pub mod errors;
pub mod file_lock;
pub mod json;
pub mod record;
