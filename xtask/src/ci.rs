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
    for features in &FEATURE_SETS[..2] {
        let packages = ["-p", "replicator-cli", "-p", "tests"];
        let test = [&["test", "--no-default-features", "--features", features][..], &packages];
        let test = test.concat();
        cargo(&[&test[..], &["--lib", "--bins"]].concat())?;
        for (binary, suites) in ALONE {
            cargo(&[&test[..], &["--test", binary, "--"], suites].concat())?;
        }
    }
    cargo(&["doc", "--workspace", "--no-deps", "--config", "build.rustdocflags=['-Dwarnings']"])
}

/// Suites that see whether a tool with one stack alone is whole: its options, each kind of endpoint,
/// the real cloud, refusals and errors of TLS. An empty list means all suites of the
/// binary. `cargo xtask test` runs every suite, and each with both stacks.
const ALONE: [(&str, &[&str]); 5] = [
    ("offline", &["suites::cli::", "suites::conformance::", "suites::https::", "suites::run::"]),
    ("cloud", &["suites::cloud::cloud_smoke::"]),
    ("privileged", &[]),
    ("requests", &[]),
    ("tls", &[]),
];

const FEATURE_SETS: [&str; 3] = [
    "replicator-cli/rustls,tests/rustls",
    "replicator-cli/native-tls,tests/native-tls",
    "replicator-cli/rustls,tests/rustls,replicator-cli/native-tls,tests/native-tls",
];
