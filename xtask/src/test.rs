//! `cargo xtask test`: installs the tests' requirements and runs every test, with all TLS stacks
//! and against the real cloud; or, with `--quick`, the tests that need only Rust.

use std::num::NonZeroUsize;
use std::process::{Command, Stdio};
use std::thread::available_parallelism;

use clap::Args;

use crate::cloud;
use crate::failure::Failure;
use crate::library::examples;
use crate::output::say;
use crate::shell::{cargo, cargo_with, find, install};

/// The arguments of `cargo xtask test`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Run only the tests that need neither root, network, cloud nor other programs, with rustls
    /// (minutes).
    #[arg(long)]
    quick: bool,
}

/// Runs every test, or the quick ones.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.quick {
        // Many tests wait most of the time.
        let threads = (2 * available_parallelism().map_or(1, NonZeroUsize::get)).to_string();
        cargo_with(&["test"], &[("RUST_TEST_THREADS", &threads)])?;
        examples::run()?;
        say(LEFT_OUT);
        return Ok(());
    }
    install_openssl()?;
    install_programs()?;
    cloud::start()?;
    cargo(&["test", "--workspace", "--features", FEATURES])?;
    examples::run()
}

/// All TLS stacks, and the suites that the quick tests leave out.
const FEATURES: &str = "tests/full,tests/native-tls,tests/reqwest,glance-replicator/native-tls,\
                        glance-replicator/reqwest,glance-replicator-transport-reqwest/native-tls";

const LEFT_OUT: &str = "\
left out: the native TLS stack, the suites cloud, privileged, tls, requests, faults and endure, and most \
inputs of the suite fuzz; to run everything: cargo xtask test";

/// Installs the shells in which the tests complete command lines, next to bash, and jq, which the
/// guide uses.
pub(crate) fn install_programs() -> Result<(), Failure> {
    let programs = ["zsh", "fish", "jq"];
    match programs.iter().all(|name| find(name).is_some()) {
        true => Ok(()),
        false => install(&programs),
    }
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
