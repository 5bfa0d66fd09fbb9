//! The command line of glance-replicator: flags in, report out. The work is glance-core's.
//!
//! In reading order: [`args`] is what the operator typed; `endpoint` is what a word on the command
//! line names, and opens it, by `address` where that is a URL; `select` is which images are meant, and `shard` which part of them;
//! `sign_in` finds the cloud, or the token, and `endurance` says whether it lasts; `trust` says whom
//! to trust there (by an `input_file`), and `effect` whether an option for that can have any; `mapping` says how images are to be at the target; `tls` chooses among the TLS stacks of
//! this build; `commands`, `clouds` and `doctor` run; `saved_plan` keeps a plan, `named_file` is any file that is
//! written where the operator says, `state`
//! what outlives runs, and `recovery` the journal of each, with what `typed` leaves of its command line;
//! `print` alone prints; `exit` says how it went.

#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
compile_error!("choose a TLS stack: build with the feature `rustls`, `native-tls` or both");

#[macro_use]
mod output;

pub mod args;
mod commands;
mod error;
pub mod exit;
mod input_file;
mod logging;
mod named_file;
mod recorded_args;
mod report;
mod resolve;
mod saved_plan;
mod signals;
mod tls;

use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::Parser;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let long_version: &'static str = Box::leak(tls::version().into_boxed_str());
    let command = <args::Args as clap::CommandFactory>::command().version(long_version);
    let parsed = command.try_get_matches().and_then(|matches| {
        let mut args = <args::Args as clap::FromArgMatches>::from_arg_matches(&matches)?;
        args.options.typed = recorded_args::typed(std::env::args_os(), &matches);
        Ok(args)
    });
    let args = match parsed {
        Ok(args) => args,
        Err(error) => return output::usage(&error),
    };
    if let Err(error) = logging::start(&args.logging) {
        return output::failure(&error).into();
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = match runtime.worker_threads(workers()).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output::failure(&error::CliError::runtime(error)).into(),
    };
    // On a worker, where the connections are: from this thread each chunk of data would have to
    // wake another.
    let run = runtime.spawn(commands::run(args));
    let exit = runtime.block_on(run).unwrap_or_else(|error| output::failure(&error.into()));
    // Open connections are dropped, not drained: an upload that was stopped must not end properly.
    runtime.shutdown_background();
    exit.into()
}

/// Threads for connections: half of the cores. Digests, which are computed on threads of their own,
/// cost as much as all else together.
fn workers() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    cores.div_ceil(2)
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
