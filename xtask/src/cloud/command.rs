//! Commands: their environment, and where their output goes.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use super::layout::Layout;
use crate::failure::{Context, Failure};

/// A command that does not inherit the caller's proxies, trust stores and clouds.
pub(crate) fn sheltered(program: impl AsRef<OsStr>) -> Command {
    #[rustfmt::skip]
    const HARMFUL: [&str; 13] = [
        "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE", "PYTHONPATH",
        "ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY",
        "all_proxy", "https_proxy", "http_proxy", "no_proxy",
    ];
    let mut command = Command::new(program);
    for name in HARMFUL {
        command.env_remove(name);
    }
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("OS_") {
            command.env_remove(name);
        }
    }
    command
}

/// A command in its own session, which neither a closed terminal nor Ctrl-C ends.
pub(crate) fn detached(program: impl AsRef<OsStr>) -> Command {
    // setsid replaces itself by the program, so the process id stays the same.
    let mut command = sheltered("setsid");
    command.arg(program).current_dir("/").stdin(Stdio::null());
    command
}

/// Runs a command to its end, with its output in a log file.
pub(crate) fn finish(layout: &Layout, log: &str, command: &mut Command) -> Result<(), Failure> {
    let log = layout.log(log);
    let program = command.get_program().to_string_lossy().into_owned();
    let (output, errors) = log_files(&log)?;
    let status = command
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .status()
        .context(|| format!("cannot run {program}"))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("{program} failed ({status}){}", tail(&log))))
}

/// The path and the last lines of a log, for an error message.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(20)..].join("\n");
    format!("\nthe log {} ends so:\n{last}", log.display())
}

/// A log file opened twice for appending: for output and for errors.
pub(crate) fn log_files(log: &Path) -> Result<(File, File), Failure> {
    File::options()
        .create(true)
        .append(true)
        .open(log)
        .and_then(|file| Ok((file.try_clone()?, file)))
        .context(|| format!("cannot open {}", log.display()))
}
