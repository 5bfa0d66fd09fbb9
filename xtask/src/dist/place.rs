//! A place in the Debian root in which the release is built once, without a network.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::release::Release;
use super::vendor;
use crate::debian_root::{Root, TIME, User};
use crate::failure::{Context, Failure};
use crate::shell::succeed;

/// A directory of the root.
pub(crate) struct Place<'a> {
    pub(crate) root: &'a Root,
    release: &'a Release,
    directory: &'static str,
    zone: &'static str,
}

impl<'a> Place<'a> {
    /// The place of the first build.
    pub(crate) fn first(root: &'a Root, release: &'a Release) -> Self {
        Self { root, release, directory: "/build", zone: "UTC" }
    }

    /// The place of the build that repeats the first: another path, and another time zone.
    pub(crate) fn second(root: &'a Root, release: &'a Release) -> Self {
        Self { root, release, directory: "/home/builder/another/place", zone: "LATER-14" }
    }

    /// Unpacks the tarballs of `output`, as a packager does, into a source that nothing has changed.
    pub(crate) fn unpack(&self, output: &Path) -> Result<(), Failure> {
        succeed(self.command("rm", "/")?.args(["-rf", &self.source()]))?;
        let tarballs = self.inside(TARBALLS);
        let outside = self.root.path(&tarballs);
        fs::create_dir_all(&outside).context(|| outside.display().to_string())?;
        for name in self.names() {
            let from = output.join(&name);
            fs::copy(&from, outside.join(&name)).context(|| from.display().to_string())?;
        }
        self.root.give_to_builder(self.directory)?;
        let [source, vendor] = self.names().map(|name| format!("{tarballs}/{name}"));
        succeed(self.command("tar", self.directory)?.args(["--extract", "--file", &source]))?;
        succeed(self.command("tar", &self.source())?.args(["--extract", "--file", &vendor]))
    }

    /// Removes everything of an earlier build.
    pub(crate) fn clear(&self) -> Result<(), Failure> {
        succeed(self.root.command("rm").args(["-rf", self.directory]))
    }

    /// Makes the vendored crates of the source cargo's only source, as `%prep` of the spec file does:
    /// `rpmbuild --build-in-place` leaves that section out.
    pub(crate) fn use_vendored_crates(&self) -> Result<(), Failure> {
        let home = self.root.path(&self.inside(CARGO_HOME));
        fs::create_dir_all(&home).context(|| home.display().to_string())?;
        let file = home.join("config.toml");
        let settings = vendor::settings(&format!("{}/vendor", self.source()));
        fs::write(&file, settings).context(|| file.display().to_string())
    }

    /// A command that runs a program as an ordinary user in a directory of the root, with a home
    /// directory of cargo that only this place has.
    pub(crate) fn command(&self, program: &str, directory: &str) -> Result<Command, Failure> {
        let mut command = self.root.isolated(User::Builder, "env")?;
        command.env("TZ", self.zone).env("SOURCE_DATE_EPOCH", &self.release.epoch);
        command.env("CARGO_HOME", self.inside(CARGO_HOME));
        command.arg(format!("--chdir={directory}")).arg(program);
        Ok(command)
    }

    /// Like [`Self::command`], and measures the program for [`Root::figures`].
    pub(crate) fn measured_command(
        &self,
        program: &str,
        directory: &str,
    ) -> Result<Command, Failure> {
        let mut command = self.command("time", directory)?;
        command.args(TIME).arg(program);
        Ok(command)
    }

    /// The release that is built here.
    pub(crate) fn release(&self) -> &Release {
        self.release
    }

    /// A path below the place, inside the root.
    pub(crate) fn inside(&self, path: &str) -> String {
        format!("{}/{path}", self.directory)
    }

    /// The directory of the source, inside the root.
    pub(crate) fn source(&self) -> String {
        self.inside(&self.release.title())
    }

    /// Moves the files of a directory of the root with this extension to `output`.
    pub(crate) fn collect(
        &self,
        directory: &str,
        extension: &str,
        output: &Path,
    ) -> Result<(), Failure> {
        let from = self.root.path(directory);
        let mut found = 0;
        for entry in fs::read_dir(&from).context(|| from.display().to_string())? {
            let path = entry.context(|| from.display().to_string())?.path();
            let is_wanted = path.extension().is_some_and(|found| found == extension);
            if let (Some(name), true) = (path.file_name(), is_wanted) {
                let to = output.join(name);
                fs::copy(&path, &to).context(|| path.display().to_string())?;
                fs::remove_file(&path).context(|| path.display().to_string())?;
                found += 1;
            }
        }
        match found {
            0 => Err(Failure::new(format!("{directory} has no file .{extension}"))),
            _ => Ok(()),
        }
    }

    /// The names of the source tarball and of the tarball of vendored crates.
    fn names(&self) -> [String; 2] {
        [source_tarball(self.release), vendor_tarball(self.release)]
    }
}

/// The directory of the tarballs below the place.
pub(crate) const TARBALLS: &str = "SOURCES";

/// The home directory of cargo below the place.
const CARGO_HOME: &str = "cargo-home";

/// The name of the source tarball.
pub(crate) fn source_tarball(release: &Release) -> String {
    format!("{}.tar.gz", release.title())
}

/// The name of the tarball of vendored crates.
pub(crate) fn vendor_tarball(release: &Release) -> String {
    format!("{}-vendor.tar.xz", release.title())
}
