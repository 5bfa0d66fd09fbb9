//! Builds and tests the tool inside the root.

use std::fs;
use std::process::Command;

use crate::debian_root::Root;
use crate::failure::{Context, Failure};
use crate::output::say;
use crate::shell::{cargo_output, succeed};
use crate::stamp::once;
use crate::workspace;

/// Copies the workspace and the sources of its dependencies into the root.
pub(crate) fn bring_source(root: &Root) -> Result<(), Failure> {
    copy_workspace(root)?;
    vendor(root)
}

/// Builds the tool with Debian's Rust. Returns the path of the binary inside the root.
pub(crate) fn build(root: &Root, features: &str) -> Result<String, Failure> {
    say(format_args!("fips: building with {features}"));
    let arguments = ["-p", "glance-replicator", "--no-default-features", "--features", features];
    cargo(root, "build", &arguments)?;
    let binary = format!("/usr/bin/glance-replicator-{features}");
    let built = root.path("/build/debug/glance-replicator");
    fs::copy(&built, root.path(&binary)).context(|| built.display().to_string())?;
    Ok(binary)
}

/// Runs the tests of a package inside the root.
pub(crate) fn test(root: &Root, package: &str) -> Result<(), Failure> {
    say(format_args!("fips: testing {package}"));
    cargo(root, "test", &["-p", package])
}

fn cargo(root: &Root, what: &str, arguments: &[&str]) -> Result<(), Failure> {
    let mut cargo = root.command("cargo");
    // Go can't find its own root without /proc.
    cargo.env("GOROOT", "/usr/lib/go");
    cargo.args([what, "--quiet", "--locked", "--offline", "--target-dir", "/build"]);
    cargo.args(["--manifest-path", "/source/Cargo.toml"]).args(arguments);
    for setting in SETTINGS {
        cargo.args(["--config", setting]);
    }
    succeed(&mut cargo)
}

/// Copies the workspace with its modification times, because cargo rebuilds newer files.
fn copy_workspace(root: &Root) -> Result<(), Failure> {
    let (from, to) = (workspace::root(), root.path("/source"));
    succeed(Command::new("rm").arg("-rf").arg(&to))?;
    fs::create_dir(&to).context(|| to.display().to_string())?;
    let mut copy = Command::new("cp");
    copy.arg("-a").arg("-t").arg(&to);
    for entry in fs::read_dir(&from).context(|| from.display().to_string())? {
        let entry = entry.context(|| from.display().to_string())?;
        if !["target", ".git"].iter().any(|left_out| entry.file_name() == *left_out) {
            copy.arg(entry.path());
        }
    }
    succeed(&mut copy)
}

/// Copies the sources of all dependencies, so that cargo inside the root needs no network.
fn vendor(root: &Root) -> Result<(), Failure> {
    let lock = workspace::root().join("Cargo.lock");
    let version = fs::read_to_string(&lock).context(|| lock.display().to_string())?;
    once(&root.path("/vendored"), &version, || {
        let to = root.path("/vendor").display().to_string();
        cargo_output(&["vendor", "--locked", "--versioned-dirs", &to]).map(drop)
    })
}

/// Debian's Rust, and the build requirements of `native-tls` and of AWS-LC's FIPS module.
pub(crate) const PACKAGES: &[&str] = &[
    "cargo",
    "gcc",
    "libc6-dev",
    "libssl-dev",
    "openssl",
    "openssl-provider-fips",
    "pkg-config",
    "rustc",
    "cmake",
    "g++",
    "golang-go",
    "make",
];

/// Profile settings. The binary is built once and runs for seconds, so optimizing the dependencies
/// would cost more than it gains.
const SETTINGS: &[&str] = &[
    "source.crates-io.replace-with='vendored'",
    "source.vendored.directory='/vendor'",
    "profile.dev.debug=false",
    "profile.dev.package.'*'.opt-level=0",
];
