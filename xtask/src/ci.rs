//! `cargo xtask ci`: what must hold beside the tests of `cargo xtask test`: format, lints and
//! tests of each feature set alone, documentation without warnings, and the invariants.

use crate::failure::Failure;
use crate::shell::cargo;
use crate::tidy;

/// Checks all of it.
pub(crate) fn run() -> Result<(), Failure> {
    cargo(&["fmt", "--all", "--", "--check"])?;
    tidy::run()?;
    for features in FEATURE_SETS {
        let mut clippy = vec!["clippy", "--all-targets", "--no-default-features"];
        clippy.extend(["-p", "replicator-cli", "-p", "tests", "--features", features]);
        clippy.extend(["--", "-D", "warnings"]);
        cargo(&clippy)?;
    }
    let rest = ["--exclude", "replicator-cli", "--exclude", "tests"];
    let mut clippy = vec!["clippy", "--workspace", "--all-targets"];
    clippy.extend(rest);
    clippy.extend(["--", "-D", "warnings"]);
    cargo(&clippy)?;
    // `cargo xtask test` runs with both stacks; here each is alone.
    for features in &FEATURE_SETS[..2] {
        let mut test = vec!["test", "--no-default-features", "-p", "replicator-cli", "-p", "tests"];
        test.extend(["--features", features]);
        cargo(&test)?;
    }
    cargo(&["doc", "--workspace", "--no-deps", "--config", "build.rustdocflags=['-Dwarnings']"])
}

const FEATURE_SETS: [&str; 3] = [
    "replicator-cli/rustls,tests/rustls",
    "replicator-cli/native-tls,tests/native-tls",
    "replicator-cli/rustls,tests/rustls,replicator-cli/native-tls,tests/native-tls",
];
