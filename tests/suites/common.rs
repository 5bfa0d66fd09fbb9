//! Running the tool as an operator does.

use std::process::Command;

/// What a run said.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the tool with these variables and the trust variables of this machine cleared.
pub(crate) fn replicator_with(line: &[&str], variables: &[(&str, &str)]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glance-replicator-under-test"));
    for variable in CLEARED {
        command.env_remove(variable);
    }
    let output = command.args(line).envs(variables.iter().copied()).output().unwrap();
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Run {
    /// Fails the test, showing what was said, unless the exit code is `code`.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

const CLEARED: &[&str] = &[
    "GLANCE_REPLICATOR_REQUIRE_FIPS",
    "OS_CACERT",
    "OS_TOKEN",
    "OS_AUTH_TOKEN",
    "OS_CLIENT_CONFIG_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];
