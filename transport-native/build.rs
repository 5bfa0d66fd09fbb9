//! Reads the version of native-tls from the lock file, because native-tls does not expose it.

use std::fs;

fn main() {
    println!("cargo::rerun-if-changed=../Cargo.lock");
    let lock = fs::read_to_string("../Cargo.lock").unwrap_or_default();
    let version = || {
        let (_, rest) = lock.split_once("name = \"native-tls\"\nversion = \"")?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    let version = version().unwrap_or_else(|| "(version unknown)".to_owned());
    println!("cargo::rustc-env=NATIVE_TLS_VERSION={version}");
}
