//! Running the tool as an operator does.

use std::process::Command;

/// What a run said.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the tool with the trust variables of this machine cleared.
pub fn replicator(line: &[&str]) -> Run {
    replicator_with(line, &[])
}

/// The same, with variables.
pub fn replicator_with(line: &[&str], variables: &[(&str, &str)]) -> Run {
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
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// The TLS stacks of this build, as `--tls` names them.
pub const STACKS: &[&str] = &[
    #[cfg(feature = "rustls")]
    "rustls",
    #[cfg(feature = "native-tls")]
    "native",
];

const CLEARED: &[&str] = &[
    "OS_CACERT",
    "OS_TOKEN",
    "OS_AUTH_TOKEN",
    "OS_CLIENT_CONFIG_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];
