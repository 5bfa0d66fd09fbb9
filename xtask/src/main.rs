//! The project's own commands: `cargo xtask --help`.

mod cloud;
mod failure;
mod say;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::say::say;

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Cloud(arguments) => cloud::run(&arguments),
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
    /// A real Keystone and two real Glances over HTTPS on the loopback interface.
    Cloud(cloud::Arguments),
}
