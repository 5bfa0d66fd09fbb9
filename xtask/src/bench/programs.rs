//! What is measured, and the real clouds that it works on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::cloud;
use crate::failure::{Context, Failure};
use crate::shell::{cargo, succeed};
use crate::workspace;

/// Our programs, as they are released, and a directory for what they need.
pub(crate) struct Programs {
    pub(crate) directory: PathBuf,
    programs: PathBuf,
}

impl Programs {
    /// Builds them.
    pub(crate) fn build() -> Result<Self, Failure> {
        cargo(&["build", "--release", "-p", "tests", "--features", "tests/native-tls"])?;
        let target = workspace::target()?;
        let directory = target.join("bench");
        fs::create_dir_all(&directory).context(|| "cannot make a directory")?;
        Ok(Self { directory, programs: target.join("release") })
    }

    /// The shell's word for one of them.
    pub(crate) fn program(&self, name: &str) -> String {
        self.programs.join(name).display().to_string()
    }

    /// A line that has the tool do what `words` say with servers that `ca` signed for, as its user
    /// would: with a journal.
    pub(crate) fn tool(&self, words: &str, ca: &Path) -> String {
        let (tool, state) = (self.program("glance-replicator-under-test"), self.state());
        format!("{tool} {words} --cacert {} --owner caller --state-dir {state}", ca.display())
    }

    /// Where the tool keeps its journal.
    fn state(&self) -> String {
        self.directory.join("state").display().to_string()
    }
}

/// Two empty Glances of the real cloud, and a token for both.
pub(crate) struct Glances {
    pub(crate) a: String,
    pub(crate) b: String,
    pub(crate) ca: String,
    /// The file that holds the token.
    pub(crate) token: String,
    /// Where the Python programs of `OpenStack` are.
    pub(crate) python: PathBuf,
    clouds: String,
}

impl Glances {
    /// Starts them with so many records each.
    pub(crate) fn start(directory: &Path, records: u32) -> Result<Self, Failure> {
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

    /// The shell's word for one of `OpenStack`'s programs.
    pub(crate) fn of_openstack(&self, name: &str) -> String {
        self.python.join(name).display().to_string()
    }

    /// A line in which the shell knows the clouds: `$CA`, `$TOKEN`, and `OpenStack`'s variables.
    pub(crate) fn line(&self, line: &str) -> String {
        let Self { ca, token, clouds, .. } = self;
        format!(
            "export CA={ca} TOKEN=$(cat {token} 2>/dev/null) OS_CLIENT_CONFIG_FILE={clouds}; \
             unset REQUESTS_CA_BUNDLE CURL_CA_BUNDLE SSL_CERT_FILE SSL_CERT_DIR; {line}"
        )
    }

    /// Runs a line, unmeasured.
    pub(crate) fn run(&self, line: &str) -> Result<(), Failure> {
        succeed(Command::new("bash").args(["-euo", "pipefail", "-c", &self.line(line)]))
    }

    /// A line that has our tool do what `words` say from the one to the other.
    pub(crate) fn tool(&self, programs: &Programs, words: &str) -> String {
        let Self { a, b, ca, token, .. } = self;
        let words = format!("{words} {a} {b} --token-file {token}");
        self.line(&programs.tool(&words, Path::new(ca)))
    }
}
