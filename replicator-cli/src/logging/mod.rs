//! Log messages to standard error, a file or syslog. If standard error goes to journald, each line
//! has its severity. Tokens are never logged; requests are logged with method and path only.
//! Warnings with the target [`TERMINAL`] are always printed to standard error too.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;

use glance_core::TERMINAL;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

use crate::args::Display;
use crate::error::CliError;
use crate::terminal::Stream;
use clock::Clock;
use escaped::Escaped;
use levels::Levelled;
use lines::Lines;
use syslog::Syslog;

mod clock;
mod escaped;
mod levels;
mod lines;
mod syslog;

/// Starts logging for this process.
pub(crate) fn start(options: &Display) -> Result<(), CliError> {
    let level = match (options.verbosity(), options.quiet) {
        (2.., _) => LevelFilter::DEBUG,
        (1, _) => LevelFilter::INFO,
        (0, false) => LevelFilter::WARN,
        (0, true) => LevelFilter::ERROR,
    };
    // Only our own crates: the HTTP libraries' messages may quote headers.
    let all =
        OUR_CRATES.iter().fold(Targets::new(), |filter, name| filter.with_target(*name, level));
    let format = || fmt::layer().with_target(false).with_ansi(false);
    let elsewhere = match (options.syslog, &options.logfile) {
        (true, _) => Some(format().without_time().with_writer(Escaped(connect()?)).boxed()),
        (false, Some(path)) => Some(format().with_writer(Escaped(append_to(path)?)).boxed()),
        (false, None) => None,
    };
    let to_terminal = match elsewhere {
        Some(_) => Targets::new().with_target(TERMINAL, level.min(LevelFilter::WARN)),
        None => all.clone(),
    };
    let terminal = fmt::layer().with_target(false).with_ansi(false);
    let terminal = terminal.with_timer(Clock::of(Stream::Err));
    let terminal = terminal.with_writer(Escaped(Levelled(Lines))).with_filter(to_terminal);
    let elsewhere = elsewhere.map(|layer| layer.with_filter(all));
    tracing_subscriber::registry().with(terminal).with(elsewhere).init();
    Ok(())
}

fn connect() -> Result<Syslog, CliError> {
    Syslog::connect(syslog::SOCKET).map_err(|error| {
        CliError::usage(format!("no syslog daemon listens on {}", syslog::SOCKET))
            .caused_by(error)
            .hint("leave out --syslog to log to standard error")
    })
}

fn append_to(path: &Path) -> Result<Mutex<File>, CliError> {
    let file =
        OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(|error| {
            CliError::usage(format!("cannot write to {}", path.display())).caused_by(error)
        })?;
    Ok(Mutex::new(file))
}

const OUR_CRATES: &[&str] = &[
    "glance_core",
    "safe_files",
    "tls_policy",
    "keystone_auth",
    "glance_client",
    "replicator_engine",
    "transport_hyper",
    "transport_rustls",
    "transport_native",
    "transport_reqwest",
    "format_dump",
    "format_oci",
    "glance_server",
    "replicator_cli",
];
