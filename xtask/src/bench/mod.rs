//! `cargo xtask bench`: our speed beside that of others, in one run on one machine.
//!
//! Shared machines wander by a third. So the ways take turns, medians are compared, and what
//! counts is the ratio to the first way.

mod compare;
mod measure;
mod server;
mod tls;

use clap::ValueEnum;

use crate::failure::Failure;

/// What is measured.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Subject {
    /// `compare` of 10,000 images on each of two real Glances beside curl, and its memory.
    Compare,
    /// 2 GiB from nginx over HTTPS: each TLS stack alone, and whole dumps, beside curl.
    Tls,
}

/// Measures.
pub(crate) fn run(subject: Subject) -> Result<(), Failure> {
    match subject {
        Subject::Compare => compare::run(),
        Subject::Tls => tls::run(),
    }
}
