//! The measured programs, and the real clouds that they work on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::cloud::{self, Records};
use crate::failure::{Context, Failure};
use crate::shell::{cargo, succeed};
use crate::workspace;

/// Our programs in the release profile, and a working directory.
pub(crate) struct Programs {
    pub(crate) directory: PathBuf,
    programs: PathBuf,
}

impl Programs {
    /// Builds the programs.
    pub(crate) fn build() -> Result<Self, Failure> {
        cargo(&["build", "--release", "-p", "tests", "--features", "tests/native-tls"])?;
        let target = workspace::target()?;
        let directory = target.join("bench");
        fs::create_dir_all(&directory).context(|| "cannot make a directory")?;
        Ok(Self { directory, programs: target.join("release") })
    }

    /// The path of a program, quoted for the shell.
    pub(crate) fn program(&self, name: &str) -> String {
        self.programs.join(name).display().to_string()
    }

    /// A shell command line that runs the tool with the arguments `words` against servers whose
    /// certificates `ca` signed. The tool keeps a journal, as it does by default.
    pub(crate) fn tool(&self, words: &str, ca: &Path) -> String {
        let (tool, state) = (self.program("glance-replicator-under-test"), self.state());
        format!("{tool} {words} --cacert {} --owner keep --state-dir {state}", ca.display())
    }

    /// The directory of the tool's journal.
    fn state(&self) -> String {
        self.directory.join("state").display().to_string()
    }
}

/// The two empty Glances of the real cloud, and a token for both.
pub(crate) struct Glances {
    pub(crate) a: String,
    pub(crate) b: String,
    pub(crate) ca: String,
    /// The file with the token.
    pub(crate) token: String,
    /// The directory of `OpenStack`'s Python programs.
    pub(crate) python: PathBuf,
    clouds: String,
}

impl Glances {
    /// Starts the Glances with `records` each.
    pub(crate) fn start(directory: &Path, records: Records) -> Result<Self, Failure> {
        cloud::start_with_images(records)?;
        let endpoints = workspace::target()?.join("cloud/endpoints.json");
        let endpoints = fs::read_to_string(endpoints).context(|| "cannot read endpoints.json")?;
        let endpoints: Value = serde_json::from_str(&endpoints).context(|| "endpoints.json")?;
        let text = |key: &str| endpoints[key].as_str().unwrap_or_default().to_owned();
        let glances = Self {
            a: text("a"),
            b: text("b"),
            ca: text("ca"),
            token: directory.join("token").display().to_string(),
            python: PathBuf::from(text("python")).with_file_name(""),
            clouds: text("clouds_yaml"),
        };
        glances.sign_in()?;
        Ok(glances)
    }

    fn sign_in(&self) -> Result<(), Failure> {
        let print = "import openstack; print(openstack.connect(cloud=\"a\").auth_token)";
        let line = format!("{} -c '{print}' > {}", self.of_openstack("python"), self.token);
        self.run(&line)
    }

    /// The path of one of `OpenStack`'s programs, quoted for the shell.
    pub(crate) fn of_openstack(&self, name: &str) -> String {
        self.python.join(name).display().to_string()
    }

    /// Puts the clouds' variables in front of a command line: `$CA`, `$TOKEN`, and `OpenStack`'s
    /// own.
    pub(crate) fn line(&self, line: &str) -> String {
        let Self { ca, token, clouds, .. } = self;
        format!(
            "export CA={ca} TOKEN=$(cat {token} 2>/dev/null) OS_CLIENT_CONFIG_FILE={clouds}; \
             unset REQUESTS_CA_BUNDLE CURL_CA_BUNDLE SSL_CERT_FILE SSL_CERT_DIR; {line}"
        )
    }

    /// Runs a command line without measuring it.
    pub(crate) fn run(&self, line: &str) -> Result<(), Failure> {
        succeed(Command::new("bash").args(["-euo", "pipefail", "-c", &self.line(line)]))
    }

    /// A command line that runs our tool with the arguments `words` from Glance A to Glance B.
    pub(crate) fn tool(&self, programs: &Programs, words: &str) -> String {
        let Self { a, b, ca, token, .. } = self;
        let words = format!("{words} {a} {b} --token-file {token}");
        self.line(&programs.tool(&words, Path::new(ca)))
    }
}
