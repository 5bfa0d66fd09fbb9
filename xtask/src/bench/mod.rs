//! `cargo xtask bench`: compares the tool's speed with other tools, in one run on one machine.
//!
//! Timings on a shared machine vary by a third. The contenders therefore take turns, medians are
//! compared, and the result is the ratio to the fastest peer.

mod compare;
mod copy;
mod dump;
mod far_end;
mod fast;
mod link;
mod measure;
mod programs;
mod server;
mod sink;

use clap::ValueEnum;

use crate::failure::Failure;

/// The benchmark to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// Run all benchmarks, one after the other.
    All,
    /// Copy one image of 2 GiB between two real Glances; peers are curl and `OpenStack`'s clients.
    Big,
    /// Copy 200 images of 4 MiB between two real Glances; peers are curl and `OpenStack`'s clients.
    Small,
    /// Run `compare` on two real Glances with 10,000 images each, and measure its memory; peer is
    /// curl.
    Compare,
    /// Copy 4 GiB from nginx to a server that discards the data; peer is curl.
    Fast,
    /// Copy 1 GiB to one target and to four targets.
    FanOut,
    /// Copy over 24 emulated links, with each number of streams; peers are curl, aria2 and rclone.
    Link,
    /// Download 2 GiB from nginx with each TLS stack alone, and as whole dumps; peer is curl.
    Dump,
    /// Measure the cost of starting the tool.
    Start,
}

/// Runs the benchmarks of `subject`.
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
