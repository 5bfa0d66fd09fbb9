//! The project's own tasks, listed by `cargo xtask --help`.

mod bench;
mod ci;
mod cloud;
mod cluster;
mod debian_root;
mod demo;
mod demo_site;
mod dist;
mod docs;
mod endure;
mod failure;
mod fips;
mod interop;
mod library;
mod man;
mod output;
mod packages;
mod page;
mod shell;
mod stamp;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::output::say;

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Api => library::api::write(),
        Command::Bench { subject } => bench::run(subject),
        Command::Ci => ci::run(),
        Command::Cloud(arguments) => cloud::run(&arguments),
        Command::Cluster(arguments) => cluster::command(&arguments),
        Command::Crates => library::crates::run(),
        Command::Demo => demo::run(),
        Command::Dist(arguments) => dist::run(&arguments),
        Command::Docs(arguments) => docs::run(&arguments),
        Command::Endure { subject } => endure::run(subject),
        Command::Examples => library::examples::run(),
        Command::Features => library::features::run(),
        Command::Fips => fips::run(),
        Command::Interop(arguments) => interop::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
        Command::Monitoring => ci::monitoring::run(),
        Command::Packages { subject } => packages::run(subject),
        Command::Page => page::run(),
        Command::ReleaseCheck(arguments) => ci::release_check::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Tidy => tidy::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(format_args!("error: {failure}"));
            ExitCode::FAILURE
        }
    }
}

/// The project's own tasks.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write the public API of each library to the folder `api`.
    Api,
    /// Compare the speed with other tools (needs nginx and curl).
    Bench {
        /// The benchmark to run.
        subject: bench::Subject,
    },
    /// Check format, spelling, dependencies, invariants, the lints of every feature set,
    /// documentation.
    Ci,
    /// Run real Keystone and Glance services over HTTPS on the loopback interface.
    Cloud(cloud::Arguments),
    /// Run the examples for Slurm and Kubernetes of `packaging`, as root (installs Slurm).
    Cluster(cluster::Arguments),
    /// Make the packages of the libraries, and use them from outside the workspace, without a network.
    Crates,
    /// Demonstrate a copy between two embedded servers (needs only Rust).
    Demo,
    /// Build the guide in target/book, and check its diagrams and links.
    Docs(docs::Arguments),
    /// Build the files of a release into `target/dist`: tarballs, packages, lists of components and
    /// licences (needs root).
    Dist(dist::Arguments),
    /// Run the endurance tests: killed runs, dropped connections, huge images (minutes to hours).
    Endure {
        /// The endurance test to run.
        #[arg(default_value = "all")]
        subject: endure::Subject,
    },
    /// Run the programs of the folder `examples`, and count their lines.
    Examples,
    /// Check each library without features and with each feature alone.
    Features,
    /// Build and test the tool in FIPS mode, in a Debian 13 chroot below `target/`.
    Fips,
    /// Run Tempest, openstacksdk's tests and the Glance clients against `serve`.
    Interop(interop::Arguments),
    /// Write the manual pages, and check them with mandoc, groff and man-db.
    Man(man::Arguments),
    /// Check metrics files and alert rules with promtool, and the systemd units.
    Monitoring,
    /// Install, run and remove the packages that `dist` built, in Debian 13 roots below `target/`.
    Packages {
        /// The packages to check.
        #[arg(default_value = "all")]
        subject: packages::Subject,
    },
    /// Check the HTML reports in Chromium (installs Chromium, Node.js and npm packages).
    Page,
    /// Run the checks that take too long for `.ci/run`, and build the files of a release: the manual
    /// pages, the guide, the demo, the HTML reports, metrics and systemd units, the examples for Slurm
    /// and Kubernetes, the crates, every suite with each TLS stack alone, FIPS mode, the packages
    /// (hours). A check that passed on this commit is not repeated.
    ReleaseCheck(ci::release_check::Arguments),
    /// Install the tests' requirements and run every test.
    Test(test::Arguments),
    /// Check the invariants of ARCHITECTURE.md.
    Tidy,
}
