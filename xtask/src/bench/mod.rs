//! `cargo xtask bench`: our speed beside that of others, in one run on one machine.
//!
//! Shared machines wander by a third. So the ways take turns, medians are compared, and what
//! counts is the ratio to the fastest peer.

mod compare;
mod copy;
mod dump;
mod fast;
mod link;
mod measure;
mod programs;
mod server;
mod sink;

use clap::ValueEnum;

use crate::failure::Failure;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// All of it, one after the other.
    All,
    /// One image of 2 GiB between two real Glances, beside curl and the tools of `OpenStack`.
    Big,
    /// 200 images of 4 MiB between two real Glances, beside the same.
    Small,
    /// `compare` of 10,000 images on each of two real Glances beside curl, and its memory.
    Compare,
    /// 4 GiB from nginx to a server that keeps nothing, beside curl.
    Fast,
    /// 1 GiB to one target and to four.
    FanOut,
    /// 512 MiB over an emulated long link, beside curl.
    Link,
    /// 2 GiB from nginx: each TLS stack alone, and whole dumps, beside curl.
    Dump,
    /// What starting costs.
    Start,
}

/// Measures.
pub(crate) fn run(subject: Subject) -> Result<(), Failure> {
    let wanted = |one| subject == one || subject == Subject::All;
    for (one, measure) in SUBJECTS {
        if wanted(one) {
            measure()?;
        }
    }
    Ok(())
}

type Measure = fn() -> Result<(), Failure>;

const SUBJECTS: [(Subject, Measure); 8] = [
    (Subject::Big, copy::big),
    (Subject::Small, copy::small),
    (Subject::Compare, compare::run),
    (Subject::Fast, fast::copy),
    (Subject::FanOut, fast::fan_out),
    (Subject::Link, link::run),
    (Subject::Dump, dump::run),
    (Subject::Start, fast::start),
];
