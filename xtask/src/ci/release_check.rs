//! `cargo xtask release-check`: the checks that take too long for `.ci/run`, and the files of a
//! release. A check that passed on the commit that is checked out is not repeated.

use std::fs;
use std::time::Instant;

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::cluster::Subject;
use crate::dist::release::Release;
use crate::failure::{Context, Failure};
use crate::output::say;
use crate::stamp::once;
use crate::{
    cloud, cluster, demo, dist, docs, fips, library, man, packages, page, test, workspace,
};

use super::monitoring;

/// The arguments of `cargo xtask release-check`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Run only these checks. Without a name, run all.
    #[arg(value_parser = PossibleValuesParser::new(CHECKS.iter().map(|(name, _)| *name)))]
    checks: Vec<String>,
}

/// Runs the checks, and stops at the first that fails.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let release = Release::of_checkout()?;
    let passed = workspace::target()?.join("release-check");
    fs::create_dir_all(&passed).context(|| passed.display().to_string())?;
    let is_wanted =
        |name: &str| arguments.checks.is_empty() || arguments.checks.iter().any(|it| it == name);
    for (name, check) in CHECKS.iter().filter(|(name, _)| is_wanted(name)) {
        let begin = Instant::now();
        let mut again = false;
        once(&passed.join(name), &release.commit, || {
            again = true;
            check()
        })?;
        match again {
            true => say(format_args!("{name}: passed after {} s", begin.elapsed().as_secs())),
            false => say(format_args!("{name}: passed on this commit before")),
        }
    }
    Ok(())
}

type Check = fn() -> Result<(), Failure>;

/// The checks, and the names of the files that record them. The longest are last.
const CHECKS: &[(&str, Check)] = &[
    ("man", || man::run(&man::Arguments::default())),
    ("docs", docs::check),
    ("demo", demo::run),
    ("page", page::run),
    ("monitoring", monitoring::run),
    ("cluster", || cluster::run(Subject::All)),
    ("crates", library::crates::run),
    ("single-stacks", single_stacks),
    ("fips", fips::run),
    ("dist", || dist::run(&dist::Arguments { check_reproducible: true })),
    ("packages-debian", || packages::run(packages::Subject::Debian)),
    ("packages-rpm", || packages::run(packages::Subject::Rpm)),
    ("packages-static", || packages::run(packages::Subject::Static)),
    ("packages-container", || packages::run(packages::Subject::Container)),
    ("packages-oldest-rust", || packages::run(packages::Subject::OldestRust)),
];

fn single_stacks() -> Result<(), Failure> {
    test::install_openssl()?;
    test::install_programs()?;
    cloud::start()?;
    super::test_single_stacks()
}
