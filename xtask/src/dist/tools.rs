//! The cargo commands of others that a release needs.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::shell::cargo;
use crate::stamp::once;

/// A directory with the commands.
pub(crate) struct Tools(PathBuf);

impl Tools {
    /// Installs the commands in `directory`, unless they are there.
    pub(crate) fn install(directory: &Path) -> Result<Self, Failure> {
        let root = directory.display().to_string();
        for (name, version) in VERSIONS {
            once(&directory.join(name), version, || {
                let package = format!("{name}@{version}");
                cargo(&["install", "--quiet", "--debug", "--locked", "--root", &root, &package])
            })?;
        }
        Ok(Self(directory.join("bin")))
    }

    /// `cargo NAME`.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.0.join(format!("cargo-{name}")));
        command.arg(name);
        command
    }
}

/// The commands and their versions. Versions are fixed, because the files of a release must not
/// depend on when it is built.
const VERSIONS: [(&str, &str); 2] =
    [("cargo-cyclonedx", "0.5.9"), ("cargo-vendor-filterer", "0.5.18")];
