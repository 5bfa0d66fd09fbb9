//! Where messages go: standard error, a file or syslog. Tokens never reach them; requests are logged by
//! method and path only.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Mutex;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use crate::args::Logging;
use crate::error::CliError;
use syslog::Syslog;

mod syslog;

/// Starts logging for this process.
pub(crate) fn start(options: &Logging) -> Result<(), CliError> {
    let level = match (options.debug, options.verbose) {
        (true, _) => LevelFilter::DEBUG,
        (false, true) => LevelFilter::INFO,
        (false, false) => LevelFilter::WARN,
    };
    // Only our own crates: the HTTP libraries' messages may quote headers.
    let filter =
        OUR_CRATES.iter().fold(Targets::new(), |filter, name| filter.with_target(*name, level));
    let format = tracing_subscriber::fmt::layer().with_target(false);
    if options.syslog {
        let syslog = Syslog::connect(syslog::SOCKET).map_err(|error| {
            CliError::usage(format!("no syslog daemon reads {}", syslog::SOCKET))
                .caused_by(error)
                .hint("leave --syslog out: messages then go to standard error")
        })?;
        let format = format.without_time().with_ansi(false).with_writer(syslog);
        tracing_subscriber::registry().with(format.with_filter(filter)).init();
        return Ok(());
    }
    let Some(path) = &options.logfile else {
        let format = format.without_time().with_ansi(false).with_writer(std::io::stderr);
        tracing_subscriber::registry().with(format.with_filter(filter)).init();
        return Ok(());
    };
    let file =
        OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(|error| {
            CliError::usage(format!("cannot write to {}", path.display())).caused_by(error)
        })?;
    let format = format.with_ansi(false).with_writer(Mutex::new(file));
    tracing_subscriber::registry().with(format.with_filter(filter)).init();
    Ok(())
}

const OUR_CRATES: &[&str] = &[
    "glance_core",
    "transport_hyper",
    "transport_rustls",
    "transport_native",
    "format_dump",
    "glance_server",
    "replicator_cli",
];
