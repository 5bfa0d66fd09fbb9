//! `cargo xtask packages`: installs, runs and removes the packages that `cargo xtask dist` built.

mod container;
mod debian;
mod glance;
mod lintian;
mod oldest_rust;
mod rpm;
mod snapshot;
mod static_program;
mod system;

use clap::ValueEnum;

use crate::failure::Failure;

/// The packages to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// Check everything, one after the other.
    All,
    /// Install, run, replace and purge the Debian packages, also next to Debian's Glance.
    Debian,
    /// Build the tarballs of the release with Debian 13's Rust, the oldest supported one, and run
    /// the tests (about an hour).
    OldestRust,
    /// Install, run and erase the RPM packages, also next to RDO's Glance.
    Rpm,
    /// Run the static program where nothing else is.
    Static,
    /// Build the container image with each TLS library, and use it (about an hour).
    Container,
}

/// Checks the packages of `subject`.
pub(crate) fn run(subject: Subject) -> Result<(), Failure> {
    for (one, check) in SUBJECTS {
        if subject == one || subject == Subject::All {
            check()?;
        }
    }
    Ok(())
}

type Check = fn() -> Result<(), Failure>;

const SUBJECTS: [(Subject, Check); 5] = [
    (Subject::Debian, debian::run),
    (Subject::Rpm, rpm::run),
    (Subject::Static, static_program::run),
    (Subject::OldestRust, oldest_rust::run),
    (Subject::Container, container::run),
];
