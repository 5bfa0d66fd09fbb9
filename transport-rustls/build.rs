//! Reads the version of rustls from the lock file, because rustls does not expose it.

use std::fs;

fn main() {
    println!("cargo::rerun-if-changed=../Cargo.lock");
    let lock = fs::read_to_string("../Cargo.lock").unwrap_or_default();
    let version = |name: &str| {
        let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    for (name, variable) in [("rustls", "RUSTLS_VERSION"), ("aws-lc-rs", "AWS_LC_RS_VERSION")] {
        let version = version(name).unwrap_or_else(|| "(version unknown)".to_owned());
        println!("cargo::rustc-env={variable}={version}");
    }
}
