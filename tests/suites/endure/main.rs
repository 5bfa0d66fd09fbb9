//! What a run endures: kills at any instant, thousands of images on bad links, images larger than
//! any memory, and sources that break again and again.
//!
//! Each test here is a short version of one of `cargo xtask endure`, which sets the variables that
//! `extent` reads.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on has failed")]

#[path = "../common.rs"]
mod common;
#[path = "../faults/site.rs"]
mod site;
#[path = "../faults/stack.rs"]
mod stack;
#[path = "../faults/watch.rs"]
mod watch;

mod drops;
mod embedded;
mod extent;
mod hollow;
mod huge;
mod operator;
mod process;
mod soak;
mod stops;
mod sweep;
