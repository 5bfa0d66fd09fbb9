//! Where messages go: standard error, a file or syslog. Tokens never reach them; requests are logged by
//! method and path only. What is for whoever is at the terminal goes to standard error as well.

use std::fs::OpenOptions;
use std::io;
use std::sync::Mutex;

use glance_core::TERMINAL;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

use crate::args::Logging;
use crate::error::CliError;
use escaped::Escaped;
use syslog::Syslog;

mod escaped;
mod syslog;

/// Starts logging for this process.
pub(crate) fn start(options: &Logging) -> Result<(), CliError> {
    let level = match (options.debug, options.verbose) {
        (true, _) => LevelFilter::DEBUG,
        (false, true) => LevelFilter::INFO,
        (false, false) => LevelFilter::WARN,
    };
    // Only our own crates: the HTTP libraries' messages may quote headers.
    let all =
        OUR_CRATES.iter().fold(Targets::new(), |filter, name| filter.with_target(*name, level));
    let for_the_terminal = Targets::new().with_target(TERMINAL, LevelFilter::WARN);
    let terminal = fmt::layer().with_target(false).without_time().with_ansi(false);
    let terminal = terminal.with_writer(Escaped(io::stderr));
    let elsewhere = fmt::layer().with_target(false).with_ansi(false);
    if options.syslog {
        let syslog = Syslog::connect(syslog::SOCKET).map_err(|error| {
            CliError::usage(format!("no syslog daemon reads {}", syslog::SOCKET))
                .caused_by(error)
                .hint("leave --syslog out: messages then go to standard error")
        })?;
        let elsewhere = elsewhere.without_time().with_writer(Escaped(syslog));
        let elsewhere = tracing_subscriber::registry().with(elsewhere.with_filter(all));
        elsewhere.with(terminal.with_filter(for_the_terminal)).init();
        return Ok(());
    }
    let Some(path) = &options.logfile else {
        tracing_subscriber::registry().with(terminal.with_filter(all)).init();
        return Ok(());
    };
    let file = OpenOptions::new().create(true).append(true).open(path).map_err(|error| {
        CliError::usage(format!("cannot write to {}", path.display())).caused_by(error)
    })?;
    let elsewhere = elsewhere.with_writer(Escaped(Mutex::new(file)));
    let elsewhere = tracing_subscriber::registry().with(elsewhere.with_filter(all));
    elsewhere.with(terminal.with_filter(for_the_terminal)).init();
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
