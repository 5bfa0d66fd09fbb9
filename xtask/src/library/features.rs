//! `cargo xtask features`: checks each library without features and with each feature alone, with the
//! present Rust and with the oldest supported one, and its documentation without features.

use std::process::Command;

use super::{LEFT_OUT, Library};
use crate::failure::Failure;
use crate::output::say;
use crate::shell::{cargo, succeed};
use crate::workspace;

/// Runs every check, and stops at the first that fails.
pub(crate) fn run() -> Result<(), Failure> {
    let libraries = Library::all()?;
    for library in &libraries {
        for features in library.feature_sets() {
            cargo(&[&["clippy", "--quiet"][..], &features, WARNINGS].concat())?;
        }
        if !library.features.is_empty() {
            cargo(&[&["doc", "--quiet"][..], &library.without_features(), DOC].concat())?;
        }
    }
    check_with_oldest_rust(&libraries)?;
    say(format_args!("left out: the features {}", LEFT_OUT[1..].join(" and ")));
    Ok(())
}

impl Library {
    /// The arguments of cargo that choose the library without features, and with each feature alone.
    fn feature_sets(&self) -> Vec<Vec<&str>> {
        let with = |feature| [&self.without_features()[..], &["--features", feature]].concat();
        let mut sets = vec![self.without_features().to_vec()];
        sets.extend(self.features.iter().map(|feature| with(feature.as_str())));
        sets
    }

    fn without_features(&self) -> [&str; 3] {
        ["-p", &self.package, "--no-default-features"]
    }
}

/// Compiles each feature set with the oldest supported Rust, which rustup installs.
fn check_with_oldest_rust(libraries: &[Library]) -> Result<(), Failure> {
    let rustup = |arguments: &[&str]| {
        say(format_args!("$ rustup {}", arguments.join(" ")));
        succeed(Command::new("rustup").args(arguments).current_dir(workspace::root()))
    };
    // A machine without rustup, or without a network, has the present Rust only.
    let install = ["toolchain", "install", OLDEST, "--profile", "minimal", "--no-self-update"];
    if let Err(failure) = rustup(&install) {
        say(format_args!("left out: Rust {OLDEST}, which could not be installed: {failure}"));
        return Ok(());
    }
    let target = workspace::target()?.join("oldest-rust").display().to_string();
    let check = ["run", OLDEST, "cargo", "check", "--quiet", "--target-dir", &target];
    let sets = libraries.iter().flat_map(Library::feature_sets);
    sets.into_iter().try_for_each(|features| rustup(&[&check[..], &features].concat()))
}

const WARNINGS: &[&str] = &["--", "-D", "warnings"];
const DOC: &[&str] = &["--no-deps", "--config", "build.rustdocflags=['-Dwarnings']"];

/// The oldest supported Rust.
const OLDEST: &str = env!("CARGO_PKG_RUST_VERSION");
