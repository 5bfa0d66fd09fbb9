//! A Debian 13 that a check may change.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::debian_root::{Root, User};
use crate::failure::{Context, Failure};
use crate::output::say;

/// A copy of a root. Each check has its own, and removes it at the end.
pub(crate) struct System(Root);

impl System {
    /// Copies a root to `directory`.
    pub(crate) fn copy(root: &Root, directory: &Path) -> Result<Self, Failure> {
        Ok(Self(root.copy(directory)?))
    }

    /// Removes the copy.
    pub(crate) fn remove(self) -> Result<(), Failure> {
        self.0.remove()
    }

    /// The path of a file, from outside.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.0.path(inside)
    }

    /// Writes a file, with the folders above it.
    pub(crate) fn write(&self, inside: &str, text: &str) -> Result<(), Failure> {
        let path = self.path(inside);
        let folder = path.parent().unwrap_or(&path);
        fs::create_dir_all(folder).context(|| folder.display().to_string())?;
        fs::write(&path, text).context(|| path.display().to_string())
    }

    /// Copies a file to the folder `/tmp`, and returns its path there.
    pub(crate) fn bring(&self, file: &Path) -> Result<String, Failure> {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let inside = format!("/tmp/{name}");
        fs::copy(file, self.path(&inside)).context(|| file.display().to_string())?;
        Ok(inside)
    }

    /// Runs a program as root without a network. Shows the command and its output, and returns the
    /// output. Fails unless the program succeeds.
    pub(crate) fn run(&self, line: &[&str]) -> Result<String, Failure> {
        self.shown(User::Root, line, Outcome::Success)
    }

    /// Like [`Self::run`], as an ordinary user.
    pub(crate) fn run_as_user(&self, line: &[&str]) -> Result<String, Failure> {
        self.shown(User::Builder, line, Outcome::Success)
    }

    /// Like [`Self::run`], but fails if the program succeeds.
    pub(crate) fn refuses(&self, line: &[&str]) -> Result<String, Failure> {
        self.shown(User::Root, line, Outcome::Failure)
    }

    /// Installs packages or files of packages. The downloads have the network, the installation
    /// does not.
    pub(crate) fn install(&self, packages: &[&str]) -> Result<(), Failure> {
        self.download(packages)?;
        self.run(&[&["apt-get", "install", "-y"], packages].concat()).map(drop)
    }

    /// Installs packages that a check needs and does not examine, with the network.
    pub(crate) fn install_quietly(&self, packages: &[&str]) -> Result<(), Failure> {
        self.fetch(&[&["install", "-y", "--no-install-recommends"], packages].concat())
    }

    /// Downloads what an installation needs.
    pub(crate) fn download(&self, packages: &[&str]) -> Result<(), Failure> {
        self.fetch(&[&["install", "-y", "--download-only"], packages].concat())
    }

    /// Downloads the lists of packages.
    pub(crate) fn update(&self) -> Result<(), Failure> {
        self.fetch(&["update"])
    }

    /// Runs apt-get with the network, and shows only its errors.
    fn fetch(&self, arguments: &[&str]) -> Result<(), Failure> {
        let mut apt = self.0.command("apt-get");
        output_of(apt.arg("-qq").args(arguments), Outcome::Success).map(drop)
    }

    fn shown(&self, user: User, line: &[&str], outcome: Outcome) -> Result<String, Failure> {
        let [program, arguments @ ..] = line else {
            return Err(Failure::new("there is no program to run"));
        };
        let sign = if matches!(user, User::Root) { '#' } else { '$' };
        say(format_args!("{sign} {}", line.join(" ")));
        let said = output_of(self.0.isolated(user, program)?.args(arguments), outcome)?;
        if !said.trim().is_empty() {
            say(said.trim_end());
        }
        Ok(said)
    }
}

/// What a program is expected to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Success,
    Failure,
}

/// Runs a program, and returns what it writes to both streams.
fn output_of(command: &mut Command, outcome: Outcome) -> Result<String, Failure> {
    let output = command.output().context(|| "cannot run a program in the root")?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    match output.status.success() == (outcome == Outcome::Success) {
        true => Ok(said),
        false => Err(Failure::new(format!("{}\n{}", said.trim_end(), output.status))),
    }
}

/// Fails unless a text has all these words.
pub(crate) fn expect(text: &str, words: &[&str]) -> Result<(), Failure> {
    let missing: Vec<&&str> = words.iter().filter(|word| !text.contains(**word)).collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(format!("this was not said: {missing:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_word_is_named() {
        assert!(expect("one two", &["one", "two"]).is_ok());
        let error = expect("one two", &["two", "three"]).unwrap_err();
        assert_eq!(error.to_string(), "this was not said: [\"three\"]");
    }

    #[test]
    fn the_outcome_must_be_the_expected_one() {
        let run = |script, outcome| output_of(Command::new("sh").args(["-c", script]), outcome);
        assert_eq!(run("echo out; echo err >&2", Outcome::Success).unwrap(), "out\nerr\n");
        assert_eq!(run("echo no; exit 3", Outcome::Failure).unwrap(), "no\n");
        assert!(run("exit 3", Outcome::Success).is_err());
        assert!(run("exit 0", Outcome::Failure).is_err());
    }
}
