//! `cargo xtask cluster`: runs the examples of `packaging` for Slurm and Kubernetes between two
//! embedded servers.
//!
//! Slurm is real: one machine with all of its daemons. The manifests for Kubernetes are validated
//! against the schemas of its API, and the command of each container runs as its pod would run it.
//!
//! The examples run in their own namespaces: the only network is the loopback interface, and every
//! process ends with the first one.

mod kubernetes;
mod merged;
mod site;
mod slurm;

use std::env;
use std::fs;
use std::process::Command;

use clap::{Args, ValueEnum};

use crate::cloud::sheltered;
use crate::failure::{Context, Failure};
use crate::output::say;
use crate::shell::{cargo, succeed};
use crate::workspace;

/// The arguments of `cargo xtask cluster`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The examples to run.
    #[arg(default_value = "all")]
    subject: Subject,
    /// Run in the present namespaces, which the command has made.
    #[arg(long, hide = true)]
    inside: bool,
}

/// The examples to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// Run the examples for Slurm and for Kubernetes.
    All,
    /// Submit the array to Slurm.
    Slurm,
    /// Validate and run the manifests for Kubernetes.
    Kubernetes,
}

impl Subject {
    fn includes(self, one: Self) -> bool {
        self == one || self == Self::All
    }
}

/// Runs the command.
pub(crate) fn command(arguments: &Arguments) -> Result<(), Failure> {
    match arguments.inside {
        true => run_inside(arguments.subject),
        false => run(arguments.subject),
    }
}

/// Installs what the examples need, and runs them in new namespaces.
pub(crate) fn run(subject: Subject) -> Result<(), Failure> {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new("Slurm and the namespaces need root"));
    }
    cargo(&["build", "--package", "glance-replicator"])?;
    let directory = workspace::target()?.join("cluster");
    fs::create_dir_all(&directory).context(|| directory.display().to_string())?;
    if subject.includes(Subject::Slurm) {
        slurm::install()?;
    }
    if subject.includes(Subject::Kubernetes) {
        kubernetes::install(&directory)?;
    }
    let this = env::current_exe().context(|| "cannot find this program")?;
    let subject = subject.to_possible_value().ok_or_else(|| Failure::new("no such subject"))?;
    let mut unshare = sheltered("unshare");
    unshare.args(["--mount", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    unshare.arg(this).args(["cluster", "--inside", subject.get_name()]);
    succeed(&mut unshare)
}

fn run_inside(subject: Subject) -> Result<(), Failure> {
    let target = workspace::target()?;
    let (directory, tool) = (target.join("cluster"), target.join("debug/glance-replicator"));
    for line in SETTINGS {
        succeed(Command::new(line[0]).args(&line[1..]))?;
    }
    if subject.includes(Subject::Kubernetes) {
        kubernetes::run(&directory, &tool)?;
    }
    if subject.includes(Subject::Slurm) {
        slurm::run(&directory, &tool)?;
    }
    say("cluster: the examples work");
    Ok(())
}

/// The address of the machine. Without an address other than 127.0.0.1, the C library resolves no
/// name, and Slurm no address.
const ADDRESS: &str = "192.0.2.1";

/// Commands that set up the namespaces.
const SETTINGS: [&[&str]; 3] = [
    &["ip", "link", "set", "lo", "up"],
    &["ip", "address", "add", "192.0.2.1/32", "dev", "lo"],
    // Slurm's configuration names its machines.
    &["hostname", "node"],
];
