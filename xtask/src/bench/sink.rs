//! Servers that accept uploads and discard the data.

use std::path::Path;
use std::process::{Child, Command};

use super::programs::Programs;
use super::server::{free_port, wait_for};
use crate::failure::{Context, Failure};

/// A server process; dropping the value stops it.
pub(crate) struct Sink {
    process: Child,
    /// `https://localhost:PORT`.
    pub(crate) url: String,
}

impl Sink {
    /// Starts a server that reports this SHA-512 for all data. It accepts at most `rate` bytes per
    /// second, or as many as it can without a rate. Its certificate is in `directory`.
    pub(crate) fn start(
        programs: &Programs,
        directory: &Path,
        sha512: &str,
        rate: Option<u64>,
    ) -> Result<Self, Failure> {
        let port = free_port()?;
        let mut command = Command::new(programs.program("sink"));
        command.arg(port.to_string()).arg(directory).arg(sha512);
        command.args(rate.map(|rate| rate.to_string()));
        let process = command.spawn().context(|| "cannot start a sink")?;
        let sink = Self { process, url: format!("https://localhost:{port}") };
        wait_for("127.0.0.1", port)?;
        Ok(sink)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
