//! The command line of glance-replicator. This crate parses the arguments, opens the stores and
//! prints reports; `replicator-engine` does the replication.
//!
//! A command line is handled in four steps:
//!
//! 1. [`args`] declares the commands and options, as typed values.
//! 2. `resolve` works out what the arguments mean, using clouds.yaml and the environment: stores,
//!    sign-in, certificate trust, selection, mapping, limits and journals.
//! 3. `commands` runs the command.
//! 4. `report` formats the results as text or JSON.
//!
//! The other modules serve all steps: `output` is the only module that prints; `terminal` writes to
//! the standard streams, and `progress` shows there what a run is doing; `logging` sends log
//! messages to standard error, a file or syslog; `error` and [`exit`] define failures and exit
//! codes; `signals` handles SIGINT, SIGTERM and SIGHUP; `tls` chooses a TLS stack of this build;
//! `certificates` knows the certificates of the servers in use; `metrics` writes the file of
//! `--metrics`; `guide` holds the pages of `docs/`, and `manual` makes the manual pages;
//! `input_file` and `named_file` read and write files that options name; `saved_plan` stores plans;
//! `recorded_args` removes secrets from the command line that a journal records.
//!
//! ```
//! use replicator_cli::args::Command;
//!
//! let args = replicator_cli::parse(["glance-replicator", "livecopy", "east", "west"])?;
//! assert!(matches!(args.command, Command::Livecopy { .. }));
//! # Ok::<(), clap::Error>(())
//! ```

#[cfg(not(any(
    feature = "rustls",
    feature = "native-tls",
    feature = "reqwest",
    feature = "reqwest-native-tls"
)))]
compile_error!("choose a TLS stack: build with the feature `rustls`, `native-tls` or both");

#[macro_use]
mod output;

pub mod args;
mod certificates;
mod commands;
mod error;
pub mod exit;
mod guide;
mod input_file;
mod logging;
mod manual;
mod metrics;
mod named_file;
mod progress;
mod recorded_args;
mod report;
mod resolve;
mod saved_plan;
mod signals;
mod terminal;
mod tls;

pub use report::write_page;

use std::num::NonZeroUsize;
use std::process::ExitCode;

/// Parses and runs the command line of this process.
pub fn main() -> ExitCode {
    if std::env::args_os().len() <= 1 {
        return commands::first_screen().into();
    }
    let long_version: &'static str = Box::leak(tls::version().into_boxed_str());
    let tree = args::Args::tree().version(long_version);
    let parsed = args::Args::parsed(tree, std::env::args_os()).map(|(mut args, matches)| {
        args.options.typed = recorded_args::typed(std::env::args_os(), &matches);
        args
    });
    match parsed {
        Ok(args) => report::end(run(args)).into(),
        Err(error) => output::usage(&error),
    }
}

/// Runs a command. Its output is not complete yet.
fn run(args: args::Args) -> exit::Exit {
    terminal::choose_colors(args.display.color);
    if args.display.quiet {
        output::be_quiet();
    }
    if matches!(&args.command, args::Command::Dump { path, dry_run: false, .. } if path == "-") {
        output::reserve_standard_output();
    }
    let begun = output::begin(&args.command, &args.options);
    if let Err(error) = begun.and_then(|()| logging::start(&args.display)) {
        return output::failure(&error);
    }
    if args.display.shows_progress() {
        if let Err(error) = progress::start() {
            tracing::warn!("no progress is shown, because no thread can be started: {error}");
        }
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = match runtime.worker_threads(workers()).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output::failure(&error::CliError::runtime(error)),
    };
    // The run is spawned on a worker thread, next to the connections. On this thread, each chunk of
    // data would have to wake another thread.
    let run = runtime.spawn(commands::run(args));
    let exit = runtime.block_on(run);
    let exit = exit.unwrap_or_else(|error| output::failure(&error.into()));
    // Open connections are dropped, not drained: the server must see a stopped upload as
    // incomplete.
    runtime.shutdown_background();
    exit
}

/// The number of threads for connections: half of the cores. Digests are computed on separate
/// threads and take as much time as everything else together.
fn workers() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    cores.div_ceil(2)
}

/// Parses a command line without running it, for documentation and tests.
///
/// # Errors
/// The error of clap if the command line is invalid, or has an option without effect.
pub fn parse<I, T>(line: I) -> Result<args::Args, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<std::ffi::OsString> + Clone,
{
    args::Args::parsed(args::Args::tree(), line).map(|(args, _)| args)
}
