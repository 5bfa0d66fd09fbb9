//! `cargo xtask tidy`: the invariants of ARCHITECTURE.md that a program can check.

use std::collections::BTreeMap;

use crate::failure::Failure;
use crate::output::say;
use crate::shell::cargo_output;

mod direction;
mod messages;
mod names;
mod source;

use source::Source;

/// Checks all invariants. The error lists every breach.
pub(crate) fn run() -> Result<(), Failure> {
    let mut breaches = Vec::new();
    for (number, package, features, forbidden) in TREES {
        breaches.extend(tree_breaches(*number, package, features, forbidden)?);
    }
    let sources = Source::all()?;
    for Source { name, text } in &sources {
        breaches.extend(source_breaches(name, text));
    }
    breaches.extend(direction::breaches(&sources));
    breaches.extend(names::doubled_types(&sources));
    breaches.extend(names::crowded_folders(sources.iter().map(|source| &*source.name)));
    breaches.extend(names::unlogged_crates(&sources));
    breaches.extend(messages::breaches(&sources)?);
    say_sizes(&sources);
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

/// Says how many lines each crate has, tests and conformance suites left out.
fn say_sizes(sources: &[Source]) {
    let mut lines: BTreeMap<&str, usize> = BTreeMap::new();
    for (package, count) in sources.iter().filter_map(Source::program_lines) {
        *lines.entry(package).or_default() += count;
    }
    for (package, count) in lines {
        say(format_args!("{package:18} {count:6} lines"));
    }
}

/// The files of the CLI that write to the standard streams.
const PRINTERS: [&str; 2] = [
    "replicator-cli/src/output/mod.rs",
    // Above the live lines.
    "replicator-cli/src/terminal/mod.rs",
];

fn source_breaches(name: &str, text: &str) -> Vec<String> {
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
        if prints && !PRINTERS.contains(&name) {
            breaches.push(format!("invariant 3: {name} prints"));
        }
    }
    if text.contains(&["&& ", "let "].concat()) {
        breaches.push(format!("{name} has a let chain, which Rust 1.85 does not know"));
    }
    if !name.starts_with("xtask") {
        let allowed = ALLOWED.iter().filter(|(file, _)| *file == name);
        let rest = allowed.fold(text.to_owned(), |text, (_, call)| text.replace(call, ""));
        for word in WEAKENERS.iter().filter(|word| rest.contains(**word)) {
            breaches.push(format!("invariant 7: {name} has {word}"));
        }
    }
    breaches
}

/// Invariant, package, features, and what must not be in the tree.
const TREES: &[(u8, &str, &str, &[&str])] = &[
    (
        1,
        "glance-replicator-core",
        "",
        &["hyper", "hyper-util", "reqwest", "mio", "socket2", "rustls", "openssl", "native-tls"],
    ),
    (
        1,
        "glance-replicator-core",
        "default,testing",
        &["hyper", "hyper-util", "reqwest", "mio", "socket2", "rustls", "openssl", "native-tls"],
    ),
    (
        14,
        "glance-replicator-core",
        "",
        &["base64", "glob", "jiff", "md-5", "regex", "serde", "serde_json", "sha2", "x509-cert"],
    ),
    (2, "glance-replicator", "rustls", &["openssl", "openssl-sys", "native-tls", "reqwest"]),
    (2, "glance-replicator", "rustls-fips", &["openssl", "openssl-sys", "native-tls", "reqwest"]),
    (2, "glance-replicator", "rustls,reqwest", &["openssl", "openssl-sys", "native-tls"]),
    (
        2,
        "glance-replicator",
        "native-tls",
        &["rustls", "ring", "aws-lc-rs", "aws-lc-sys", "aws-lc-fips-sys", "reqwest", "native-tls"],
    ),
    (
        2,
        "glance-replicator",
        "native-tls,reqwest-native-tls",
        &["rustls", "ring", "aws-lc-rs", "aws-lc-sys", "aws-lc-fips-sys"],
    ),
    (
        2,
        "glance-replicator",
        "platform-tls",
        &["rustls", "ring", "aws-lc-rs", "aws-lc-sys", "aws-lc-fips-sys"],
    ),
];

/// Names in our TLS libraries that turn verification off.
const WEAKENERS: &[&str] =
    &["danger_accept_invalid", "SslVerifyMode::NONE", "set_verify_hostname(false)"];

/// The only calls with such a name: those that turn verification on again in a builder that a caller
/// prepared, and those of the test that a caller cannot turn it off.
const ALLOWED: &[(&str, &str)] = &[
    ("transport-reqwest/src/setup.rs", ".tls_danger_accept_invalid_certs(false)"),
    ("transport-reqwest/src/setup.rs", ".tls_danger_accept_invalid_hostnames(false)"),
    ("transport-reqwest/tests/verification.rs", ".tls_danger_accept_invalid_certs(true)"),
    ("transport-reqwest/tests/verification.rs", ".tls_danger_accept_invalid_hostnames(true)"),
];
