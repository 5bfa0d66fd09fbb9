//! `cargo xtask test`: installs what the tests need and runs every one of them, with both TLS
//! stacks and against the real cloud.

use std::process::{Command, Stdio};

use crate::cloud;
use crate::failure::Failure;
use crate::shell::{cargo, install};

/// Runs every test.
pub(crate) fn run() -> Result<(), Failure> {
    install_openssl_headers()?;
    cloud::start()?;
    cargo(&["test", "--workspace", "--features", "tests/native-tls,replicator-cli/native-tls"])
}

/// The native TLS stack links the host's OpenSSL.
fn install_openssl_headers() -> Result<(), Failure> {
    let mut found = Command::new("pkg-config");
    found.args(["--exists", "openssl"]).stderr(Stdio::null());
    if matches!(found.status(), Ok(status) if status.success()) {
        return Ok(());
    }
    install(&["pkg-config", "libssl-dev"])
}
