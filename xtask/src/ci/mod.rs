//! `cargo xtask ci`: the checks that `cargo xtask test` does not run: format, spelling,
//! dependencies, the invariants, lints and tests of each feature set alone, documentation, and the
//! public API of the libraries.

pub(crate) mod monitoring;
pub(crate) mod release_check;

use std::io::ErrorKind;
use std::process::Command;

use crate::failure::{Context, Failure};
use crate::output::say;
use crate::shell::{cargo, cargo_output};
use crate::{docs, library, tidy, workspace};

/// Runs every check, and stops at the first that fails.
pub(crate) fn run() -> Result<(), Failure> {
    cargo(&["fmt", "--all", "--", "--check"])?;
    tidy::run()?;
    docs::check_json_fields()?;
    run_if_installed("typos", &[], "spelling was not checked")?;
    run_if_installed("cargo-deny", DENY, "licences and sources of crates were not checked")?;
    say("left out: security advisories, which need the network: cargo deny check advisories");
    for feature in ["rustls", "native-tls"] {
        cargo_output(&[METADATA, &[feature]].concat())?;
    }
    for features in FEATURE_SETS {
        let mut clippy = vec!["clippy", "--all-targets", "--no-default-features"];
        clippy.extend(["-p", "glance-replicator", "-p", "tests", "--features", features]);
        clippy.extend(["--", "-D", "warnings"]);
        cargo(&clippy)?;
    }
    let rest = ["--exclude", "glance-replicator", "--exclude", "tests"];
    let mut clippy = vec!["clippy", "--workspace", "--all-targets"];
    clippy.extend(rest);
    clippy.extend(["--", "-D", "warnings"]);
    cargo(&clippy)?;
    for features in SINGLE_STACKS {
        for (binary, suites) in ALONE {
            cargo(&[&single_stack(features)[..], &["--test", binary, "--"], suites].concat())?;
        }
    }
    test_platform_tls()?;
    cargo(&["doc", "--workspace", "--no-deps", "--config", "build.rustdocflags=['-Dwarnings']"])?;
    library::features::run()?;
    library::api::check()
}

/// Runs a program that does not come with Rust. If the program is not installed, a line on
/// standard error names the checks that are left out, and the other checks continue.
fn run_if_installed(program: &str, arguments: &[&str], left_out: &str) -> Result<(), Failure> {
    say(format_args!("$ {}", [&[program], arguments].concat().join(" ")));
    match Command::new(program).args(arguments).current_dir(workspace::root()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!("{program}: {status}"))),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            say(format_args!("left out: {left_out}, because `{program}` is not installed"));
            Ok(())
        }
        Err(error) => Err(error).context(|| format!("cannot run {program}")),
    }
}

/// `deny.toml` configures these checks. `advisories` is not one of them, because it downloads a
/// database; RELEASING.md says when to run it.
const DENY: &[&str] =
    &["--locked", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"];

/// What `cargo auditable` and `cargo cyclonedx` run in the builds of packages, before a feature of the
/// tool. It fails if another crate of the workspace has an optional dependency of that name.
const METADATA: &[&str] = &[
    "metadata",
    "--format-version=1",
    "--manifest-path=replicator-cli/Cargo.toml",
    "--no-default-features",
    "--features",
];

/// Runs every suite with each TLS stack alone. `cargo xtask test` runs them with both stacks.
fn test_single_stacks() -> Result<(), Failure> {
    SINGLE_STACKS.iter().try_for_each(|features| cargo(&single_stack(features)))
}

/// Tests the native TLS stack of Windows and macOS, by native-tls over OpenSSL.
fn test_platform_tls() -> Result<(), Failure> {
    let crate_alone = ["-p", "glance-replicator-transport-native", "--features", "platform-tls"];
    cargo(&[&["test"][..], &crate_alone].concat())?;
    for (binary, suite) in [("tls", ""), ("offline", "suites::conformance::")] {
        cargo(&[&single_stack(PLATFORM_TLS)[..], &["--test", binary, "--", suite]].concat())?;
    }
    Ok(())
}

/// The arguments of cargo that test the tool with one TLS stack.
fn single_stack(features: &str) -> [&str; 8] {
    let [test, defaults, option] = ["test", "--no-default-features", "--features"];
    [test, defaults, option, features, "-p", "glance-replicator", "-p", "tests"]
}

/// Suites that show whether a tool with a single stack is complete: its options, each kind of
/// endpoint, TLS refusals and errors. An empty list means all suites of the binary. `cargo xtask
/// release-check` runs every suite.
const ALONE: [(&str, &[&str]); 2] =
    [("offline", &["suites::cli::", "suites::conformance::", "suites::https::"]), ("tls", &[])];

/// The features of a tool with one TLS stack.
const SINGLE_STACKS: [&str; 2] = [
    "glance-replicator/rustls,tests/rustls,tests/full",
    "glance-replicator/native-tls,tests/native-tls,tests/full",
];

/// The features of a tool whose native TLS stack is that of Windows and macOS.
const PLATFORM_TLS: &str = "glance-replicator/platform-tls,tests/platform-tls,tests/full";

const FEATURE_SETS: [&str; 5] = [
    SINGLE_STACKS[0],
    SINGLE_STACKS[1],
    PLATFORM_TLS,
    "glance-replicator/rustls,tests/rustls,glance-replicator/native-tls,tests/native-tls,tests/full",
    "glance-replicator/native-tls,tests/native-tls,glance-replicator/reqwest-native-tls,tests/full",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_left_out_only_where_its_program_is_missing() {
        assert!(run_if_installed("true", &[], "nothing").is_ok());
        assert!(run_if_installed("no-such-program", &[], "nothing").is_ok());
        assert!(run_if_installed("false", &[], "nothing").is_err());
    }
}
