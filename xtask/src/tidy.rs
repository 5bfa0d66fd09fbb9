//! `cargo xtask tidy`: the invariants of ARCHITECTURE.md that a program can check.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Failure};
use crate::say::say;
use crate::shell::cargo_output;
use crate::workspace;

/// Checks all invariants. The error lists every breach.
pub(crate) fn run() -> Result<(), Failure> {
    let mut breaches = Vec::new();
    for (number, package, features, forbidden) in TREES {
        breaches.extend(tree_breaches(*number, package, features, forbidden)?);
    }
    for source in sources(&workspace::root())? {
        let text = fs::read_to_string(&source).context(|| source.display().to_string())?;
        breaches.extend(source_breaches(&source, &text));
    }
    match breaches.is_empty() {
        true => {
            say("tidy: the invariants hold");
            Ok(())
        }
        false => Err(Failure::new(format!("tidy:\n  {}", breaches.join("\n  ")))),
    }
}

/// Packages in a normal dependency tree that an invariant forbids there.
fn tree_breaches(
    number: u8,
    package: &str,
    features: &str,
    forbidden: &[&str],
) -> Result<Vec<String>, Failure> {
    let mut arguments = vec!["tree", "-e", "normal", "--prefix", "none", "-p", package];
    arguments.extend(["--format", "{p}", "--no-default-features", "--features", features]);
    let tree = cargo_output(&arguments)?;
    let packages = tree.lines().filter_map(|line| line.split(' ').next());
    let mut found: Vec<&str> = packages.filter(|package| forbidden.contains(package)).collect();
    found.sort_unstable();
    found.dedup();
    let breach = |found: &str| format!("invariant {number}: {package} ({features}) pulls {found}");
    Ok(found.into_iter().map(breach).collect())
}

fn source_breaches(path: &Path, text: &str) -> Vec<String> {
    let relative = path.strip_prefix(workspace::root()).unwrap_or(path);
    let name = relative.to_string_lossy();
    let mut breaches = Vec::new();
    if name.starts_with("replicator-cli/src") {
        // The `compile_error!` in lib.rs for a build without TLS is permitted: its `cfg(not(...))`
        // does not match.
        let cfgs = text.matches("cfg(feature").count();
        if cfgs > 0 && name != "replicator-cli/src/tls.rs" {
            breaches.push(format!("invariant 3: {name} has cfg(feature"));
        }
        let prints = ["println!", "eprintln!", "print!(", "io::stdout()", "io::stderr()"]
            .iter()
            .any(|word| text.contains(word));
        if prints && name != "replicator-cli/src/output/mod.rs" {
            breaches.push(format!("invariant 3: {name} prints"));
        }
    }
    if !name.starts_with("xtask") {
        for word in WEAKENERS.iter().filter(|word| text.contains(**word)) {
            breaches.push(format!("invariant 7: {name} has {word}"));
        }
    }
    breaches
}

/// Lists every Rust file of the workspace.
fn sources(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let entries = fs::read_dir(directory).context(|| directory.display().to_string())?;
    for entry in entries {
        let path = entry.context(|| directory.display().to_string())?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

/// Invariant, package, features, and the packages forbidden in the tree.
const TREES: &[(u8, &str, &str, &[&str])] = &[
    (
        1,
        "glance-core",
        "",
        &["hyper", "hyper-util", "reqwest", "mio", "socket2", "rustls", "openssl", "native-tls"],
    ),
    (2, "replicator-cli", "rustls", &["openssl", "openssl-sys", "native-tls"]),
    (2, "replicator-cli", "rustls-fips", &["openssl", "openssl-sys", "native-tls"]),
    (
        2,
        "replicator-cli",
        "native-tls",
        &["rustls", "ring", "aws-lc-rs", "aws-lc-sys", "aws-lc-fips-sys"],
    ),
];

/// Names in our TLS libraries that turn verification off.
const WEAKENERS: &[&str] =
    &["danger_accept_invalid", "SslVerifyMode::NONE", "set_verify_hostname(false)"];
