//! The tool inside the root.

use std::process::Command;

use super::openssl::{Configuration, FIPS};
use crate::debian_root::Root;
use crate::demo_site::Server;
use crate::failure::{Context, Failure};
use crate::output::say;

/// The tool, built with one TLS stack, under one configuration of OpenSSL.
pub(crate) struct Tool<'a> {
    root: &'a Root,
    binary: String,
    configuration: Configuration,
}

impl<'a> Tool<'a> {
    /// The tool at `binary`, in FIPS mode.
    pub(crate) fn new(root: &'a Root, binary: String) -> Self {
        Self { root, binary, configuration: FIPS }
    }

    /// The same tool under another configuration of OpenSSL.
    pub(crate) fn with(&self, configuration: Configuration) -> Self {
        Self { root: self.root, binary: self.binary.clone(), configuration }
    }

    /// The name of the binary.
    pub(crate) fn name(&self) -> &str {
        self.binary.rsplit('/').next().unwrap_or_default()
    }

    /// Serves a directory, with FIPS mode required through the environment variable.
    pub(crate) fn serve(&self, directory: &str) -> Result<Server, Failure> {
        let line = ["serve", directory, "--writable", "--listen", "127.0.0.1:0"];
        let mut command = self.command(&line);
        command.args(["--cert", "/stage/cert.pem", "--key", "/stage/key.pem"]);
        Server::start(command.env("GLANCE_REPLICATOR_REQUIRE_FIPS", "1"), " on https://")
    }

    /// Runs the tool and shows its output. Fails unless it exits with `exit` and prints all
    /// `words`.
    pub(crate) fn run(&self, line: &[&str], exit: i32, words: &[&str]) -> Result<(), Failure> {
        say(format_args!("$ {} {}", self.name(), line.join(" ")));
        let output = self.command(line).output().context(|| "cannot run the tool")?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        say(said.trim_end());
        let missing: Vec<_> = words.iter().filter(|word| !said.contains(**word)).collect();
        if output.status.code() == Some(exit) && missing.is_empty() {
            return Ok(());
        }
        let expected = format!("expected exit code {exit}, and what was not said: {missing:?}");
        Err(Failure::new(format!("fips: {}: {}; {expected}", self.name(), output.status)))
    }

    fn command(&self, line: &[&str]) -> Command {
        let mut command = self.root.command(&self.binary);
        command.env("OPENSSL_CONF", self.configuration).args(line);
        command
    }
}
