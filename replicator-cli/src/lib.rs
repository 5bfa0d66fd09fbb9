//! The command line of glance-replicator: flags in, report out. The work is glance-core's.
//!
//! In reading order: [`args`] is what the operator typed; `endpoint` is what a word on the command
//! line names, and opens it; `select` is which images are meant, and `shard` which part of them;
//! `sign_in` finds the cloud, or the token, and `endurance` says whether it lasts; `trust` says whom
//! to trust there; `mapping` says how images are to be at the target; `tls` chooses among the TLS stacks of
//! this build; `commands`, `clouds` and `doctor` run; `saved_plan` keeps a plan, `state`
//! what outlives runs;
//! `print` alone prints; `exit` says how it went.

#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
compile_error!("choose a TLS stack: build with the feature `rustls`, `native-tls` or both");

pub mod args;
mod clouds;
mod commands;
mod doctor;
mod endpoint;
mod endurance;
mod error;
pub mod exit;
mod logging;
mod mapping;
mod pacing;
mod placement;
mod print;
mod saved_plan;
mod select;
mod shard;
mod sign_in;
mod state;
mod tls;
mod trust;

use std::process::ExitCode;

use clap::Parser;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let long_version: &'static str = Box::leak(tls::version().into_boxed_str());
    let command = <args::Args as clap::CommandFactory>::command().version(long_version);
    let parsed = command
        .try_get_matches()
        .and_then(|matches| <args::Args as clap::FromArgMatches>::from_arg_matches(&matches));
    let args = match parsed {
        Ok(args) => args,
        Err(error) => return print::usage(&error),
    };
    if let Err(error) = logging::start(&args.logging) {
        return print::failure(&error).into();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return print::failure(&error::CliError::runtime(error)).into(),
    };
    // On a worker, where the connections are: from this thread each chunk of data would have to
    // wake another.
    let run = runtime.spawn(commands::run(args));
    let exit = runtime.block_on(run).unwrap_or_else(|error| print::failure(&error.into()));
    // Open connections are dropped, not drained: an upload that was stopped must not end properly.
    runtime.shutdown_background();
    exit.into()
}

/// Parses a command line without running it, for documentation and tests.
///
/// # Errors
/// What clap says of a line that can't be understood.
pub fn parse<I, T>(line: I) -> Result<args::Args, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<std::ffi::OsString> + Clone,
{
    args::Args::try_parse_from(line)
}
