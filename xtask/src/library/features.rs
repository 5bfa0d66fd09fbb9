//! `cargo xtask features`: checks each library without features and with each feature alone, and its
//! documentation without features.

use super::{LEFT_OUT, Library};
use crate::failure::Failure;
use crate::output::say;
use crate::shell::cargo;

/// Runs every check, and stops at the first that fails.
pub(crate) fn run() -> Result<(), Failure> {
    for library in Library::all()? {
        let package = library.package.as_str();
        let alone = |command: &str, rest: &[&str]| {
            let line = [command, "--quiet", "-p", package, "--no-default-features"];
            cargo(&[&line, rest].concat())
        };
        alone("clippy", WARNINGS)?;
        for feature in &library.features {
            alone("clippy", &[&["--features", feature], WARNINGS].concat())?;
        }
        if !library.features.is_empty() {
            alone("doc", DOC)?;
        }
    }
    say(format_args!("left out: the features {}", LEFT_OUT[1..].join(" and ")));
    Ok(())
}

const WARNINGS: &[&str] = &["--", "-D", "warnings"];
const DOC: &[&str] = &["--no-deps", "--config", "build.rustdocflags=['-Dwarnings']"];
