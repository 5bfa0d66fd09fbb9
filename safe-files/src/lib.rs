#![doc = include_str!("../README.md")]

#[cfg(not(unix))]
compile_error!("safe-files needs Unix: it opens files relative to the descriptor of a directory");

pub mod data;
pub mod dir;
pub mod errors;
pub mod file_lock;
pub mod json;
pub mod record;
pub mod shared_counter;
