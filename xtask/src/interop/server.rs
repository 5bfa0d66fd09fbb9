//! The Glance that the suites run against: a real one, or `serve`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::python::Python;
use super::suites::Suite;
use crate::cloud::sheltered;
use crate::demo_site::Server;
use crate::failure::{Context, Failure};
use crate::shell::succeed;

/// A Glance prepared for the suites; dropping the value reverts the preparation.
pub(crate) struct Site<'a> {
    /// The directory for configurations and the suites' files.
    pub(crate) directory: PathBuf,
    region: String,
    python: &'a Python,
    /// The `serve` process, which stops when the site is dropped.
    server: Option<Server>,
}

impl<'a> Site<'a> {
    /// Glance A of the cloud.
    pub(crate) fn real(directory: &Path, python: &'a Python) -> Result<Self, Failure> {
        let directory = directory.join("real");
        empty(&directory)?;
        let region = "RegionA".to_owned();
        Self { directory, region, python, server: None }.prepared()
    }

    /// `serve` with a new dump, for one suite.
    pub(crate) fn serving(
        directory: &Path,
        python: &'a Python,
        binary: &Path,
        suite: Suite,
    ) -> Result<Self, Failure> {
        let directory = directory.join(format!("serve-{suite}"));
        empty(&directory)?;
        let dump = directory.join("dump");
        write_dump(&dump)?;
        let pki = python.cloud.join("pki");
        let mut command = sheltered(binary);
        command.arg("serve").arg(&dump).args(["--writable", "--listen", "127.0.0.1:0"]);
        // The certificate of a real Glance of the cloud, which all clients trust.
        command.arg("--cert").arg(pki.join("glance-a.pem"));
        command.arg("--key").arg(pki.join("glance-a.key"));
        let server = Some(Server::start(&mut command, " on https://")?);
        let region = format!("RegionInterop-{suite}");
        Self { directory, region, python, server }.prepared()
    }

    /// The name of the kind of Glance.
    pub(crate) fn name(&self) -> &'static str {
        if self.server.is_some() { "serve" } else { "a real Glance" }
    }

    fn prepared(self) -> Result<Self, Failure> {
        let seed = self.directory.join("seed.json");
        fs::write(&seed, SEED).context(|| seed.display().to_string())?;
        succeed(&mut self.prepare("up"))?;
        Ok(self)
    }

    fn prepare(&self, action: &str) -> Command {
        let mut command = self.python.command(PREPARE);
        command.arg(action).arg(&self.python.cloud).arg(&self.directory).arg(&self.region);
        command.arg(self.server.as_ref().map_or("-", |server| &server.url));
        command
    }
}

impl Drop for Site<'_> {
    fn drop(&mut self) {
        // The next `up` removes the remains of a failed `down`.
        let _ = succeed(&mut self.prepare("down"));
    }
}

/// Writes a dump without images, but with the namespace that the clients read.
fn write_dump(directory: &Path) -> Result<(), Failure> {
    let metadefs = directory.join("metadefs");
    fs::create_dir_all(&metadefs).context(|| metadefs.display().to_string())?;
    let manifest = r#"{"format": "glance-dump", "version": 2}"#;
    for (path, text) in [
        (directory.join("manifest.json"), manifest),
        (metadefs.join("Interop%3A%3ASeed.json"), SEED),
    ] {
        fs::write(&path, text).context(|| path.display().to_string())?;
    }
    Ok(())
}

fn empty(directory: &Path) -> Result<(), Failure> {
    let what = || directory.display().to_string();
    if directory.exists() {
        fs::remove_dir_all(directory).context(what)?;
    }
    fs::create_dir_all(directory).context(what)
}

const PREPARE: &str = include_str!("../../interop/prepare.py");
const SEED: &str = include_str!("../../interop/seed.json");
