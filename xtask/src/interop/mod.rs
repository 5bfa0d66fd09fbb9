//! `cargo xtask interop`: runs other projects' tests and clients against `serve`.
//!
//! These are Tempest's image tests, openstacksdk's functional image tests, and every verb of
//! glanceclient and of `openstack image`. They sign in to the Keystone of `cargo xtask cloud` and
//! find `serve` in its catalog. Everything that passes on a real Glance has to pass on `serve`,
//! unless `docs/serve.md` lists it.

mod python;
mod server;
mod suites;
mod verdict;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

use clap::Args;

use crate::cloud;
use crate::failure::{Context, Failure};
use crate::output::{print, say};
use crate::shell::cargo;
use crate::workspace;
use python::Python;
use server::Site;
use suites::{Outcome, Suite};
use verdict::Verdict;

/// The arguments of `cargo xtask interop`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// First run everything against a real Glance and record what passes (takes minutes).
    #[arg(long)]
    record: bool,
    /// The tool to run; built when not given.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// The outcome of each test and verb, by name.
type Outcomes = BTreeMap<String, Outcome>;

/// Runs everything, and fails when `serve` does not behave as expected.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let binary = match &arguments.binary {
        Some(path) => path.clone(),
        None => built()?,
    };
    cloud::start()?;
    let target = workspace::target()?;
    let directory = target.join("interop");
    fs::create_dir_all(&directory).context(|| directory.display().to_string())?;
    let python = Python::install(&directory, &target.join("cloud"))?;
    if arguments.record {
        let site = Site::real(&directory, &python)?;
        record(&all_of(suites::ALL.map(|suite| outcomes(suite, &site, &python)))?)?;
    }
    let found = at_serve(&directory, &python, &binary)?;
    let verdict = Verdict::of(&found, &recorded()?, &verdict::listed(&document()?));
    verdict.reds.iter().for_each(print);
    print(format_args!("{} more are listed in docs/serve.md", verdict.listed));
    print(format_args!("{} passed, {} failed", verdict.passed, verdict.reds.len()));
    match verdict.reds.is_empty() {
        true => Ok(()),
        false => Err(Failure::new("serve does not answer these as expected")),
    }
}

fn built() -> Result<PathBuf, Failure> {
    cargo(&["build", "--package", "glance-replicator"])?;
    Ok(workspace::target()?.join("debug/glance-replicator"))
}

/// Runs the suites concurrently, each against a separate `serve`.
fn at_serve(directory: &Path, python: &Python, binary: &Path) -> Result<Outcomes, Failure> {
    thread::scope(|scope| {
        let at_its_own = |suite| {
            let site = Site::serving(directory, python, binary, suite)?;
            outcomes(suite, &site, python)
        };
        let running = suites::ALL.map(|suite| scope.spawn(move || at_its_own(suite)));
        let ended = |thread: ScopedJoinHandle<'_, _>| {
            thread.join().map_err(|_| Failure::new("a suite panicked"))?
        };
        all_of(running.map(ended))
    })
}

fn outcomes(suite: Suite, at: &Site<'_>, python: &Python) -> Result<Outcomes, Failure> {
    let begin = Instant::now();
    let found = suites::run(suite, at, python)?;
    let passed = found.values().filter(|outcome| outcome.is_passed()).count();
    let (count, seconds) = (found.len(), begin.elapsed().as_secs_f64());
    say(format_args!("{suite} at {}: {passed} of {count} pass, {seconds:.0} s", at.name()));
    Ok(found)
}

fn all_of<const N: usize>(found: [Result<Outcomes, Failure>; N]) -> Result<Outcomes, Failure> {
    found.into_iter().try_fold(Outcomes::new(), |mut all, found| {
        all.extend(found?);
        Ok(all)
    })
}

/// Records what passes on a real Glance.
fn record(found: &Outcomes) -> Result<(), Failure> {
    let passed = found.iter().filter(|(_, outcome)| outcome.is_passed());
    let names: Vec<&str> = passed.map(|(name, _)| name.as_str()).collect();
    let path = workspace::root().join(RECORD);
    fs::write(&path, names.join("\n") + "\n").context(|| format!("cannot write {}", path.display()))
}

/// Returns what passes on a real Glance.
fn recorded() -> Result<Vec<String>, Failure> {
    Ok(text(&workspace::root().join(RECORD))?.lines().map(str::to_owned).collect())
}

fn document() -> Result<String, Failure> {
    text(&workspace::root().join("docs/serve.md"))
}

fn text(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).context(|| format!("cannot read {}", path.display()))
}

/// The file that records what passes on a real Glance.
const RECORD: &str = "xtask/interop/passed.txt";
