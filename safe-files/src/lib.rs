#![doc = include_str!("../README.md")]

pub mod dir;
pub mod file_lock;
