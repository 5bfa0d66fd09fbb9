//! Reads the version of reqwest from the lock file, because reqwest does not expose it.

use std::fs;

fn main() {
    println!("cargo::rerun-if-changed=../Cargo.lock");
    let lock = fs::read_to_string("../Cargo.lock").unwrap_or_default();
    let version = lock.split_once("name = \"reqwest\"\nversion = \"");
    let version = version.and_then(|(_, rest)| Some(rest.split_once('"')?.0));
    println!("cargo::rustc-env=REQWEST_VERSION={}", version.unwrap_or("(version unknown)"));
}
