//! Endurance tests: kills at any instant, thousands of images over bad links, images larger than
//! any memory, and sources that fail repeatedly.
//!
//! Each test is a short version of a `cargo xtask endure` test. That command sets the variables
//! that `extent` reads.

mod drops;
mod embedded;
mod hollow;
mod huge;
mod operator;
mod process;
mod soak;
mod stops;
