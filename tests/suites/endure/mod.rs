//! What a run endures: kills at any instant, thousands of images on bad links, images larger than
//! any memory, and sources that break again and again.
//!
//! Each test here is a short version of one of `cargo xtask endure`, which sets the variables that
//! `extent` reads.

mod drops;
mod embedded;
mod hollow;
mod huge;
mod operator;
mod process;
mod soak;
mod stops;
