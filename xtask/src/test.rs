//! `cargo xtask test`: installs the tests' requirements and runs every test, with both TLS stacks
//! and against the real cloud.

use std::process::{Command, Stdio};

use crate::cloud;
use crate::failure::Failure;
use crate::shell::{cargo, install};

/// Runs every test.
pub(crate) fn run() -> Result<(), Failure> {
    install_openssl()?;
    cloud::start()?;
    cargo(&["test", "--workspace", "--features", "tests/native-tls,replicator-cli/native-tls"])
}

/// Installs OpenSSL's headers: the native TLS stack links the host's OpenSSL, and the tests run the
/// `openssl` tool.
pub(crate) fn install_openssl() -> Result<(), Failure> {
    let works = |program: &str, arguments: &[&str]| {
        let mut found = Command::new(program);
        found.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        matches!(found.status(), Ok(status) if status.success())
    };
    if works("pkg-config", &["--exists", "openssl"]) && works("openssl", &["version"]) {
        return Ok(());
    }
    install(&["pkg-config", "libssl-dev", "openssl"])
}
