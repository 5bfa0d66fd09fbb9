//! The project's own commands: `cargo xtask --help`.

mod bench;
mod ci;
mod cloud;
mod demo;
mod endure;
mod failure;
mod fips;
mod interop;
mod man;
mod once;
mod say;
mod shell;
mod stage;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::say::say;

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Bench { subject } => bench::run(subject),
        Command::Ci => ci::run(),
        Command::Cloud(arguments) => cloud::run(&arguments),
        Command::Demo => demo::run(),
        Command::Endure { subject } => endure::run(subject),
        Command::Fips => fips::run(),
        Command::Interop(arguments) => interop::run(&arguments),
        Command::Man => man::run(),
        Command::Test => test::run(),
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

/// The project's own commands.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure beside others; needs nginx and curl.
    Bench {
        /// What to measure.
        subject: bench::Subject,
    },
    /// Check format, spelling, dependencies, invariants, lints of every feature set, documentation.
    Ci,
    /// Real Keystones and Glances over HTTPS on the loopback interface.
    Cloud(cloud::Arguments),
    /// Show the main job on two embedded servers; needs nothing but Rust.
    Demo,
    /// Kill runs, drop connections, copy what is larger than memory: minutes to hours of it.
    Endure {
        /// What to endure.
        #[arg(default_value = "all")]
        subject: endure::Subject,
    },
    /// Build and try the tool in FIPS mode, in a Debian 13 of its own below `target/`.
    Fips,
    /// Run Tempest, openstacksdk's tests and the clients at `serve`, as at a real Glance.
    Interop(interop::Arguments),
    /// Make the manual pages of `docs/`.
    Man,
    /// Install what the tests need and run every one of them.
    Test,
    /// Check the invariants of ARCHITECTURE.md.
    Tidy,
}
