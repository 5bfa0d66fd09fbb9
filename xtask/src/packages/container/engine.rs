//! buildah, with a storage of its own below `target`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::debian_root::logged;
use crate::failure::{Context, Failure};
use crate::output::say;
use crate::shell::{find, install, succeed};

/// buildah and its images. Dropping the value removes them.
pub(super) struct Engine(PathBuf);

impl Engine {
    /// Installs buildah unless it is there.
    pub(super) fn new(directory: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(directory).context(|| directory.display().to_string())?;
        if find("buildah").is_none() {
            install(&["buildah"])?;
        }
        let engine = Self(directory.to_owned());
        engine.clear()?;
        Ok(engine)
    }

    /// Makes an image of a directory.
    pub(super) fn import(&self, directory: &Path, image: &str) -> Result<(), Failure> {
        let container = self.output(&["from", "scratch"])?;
        self.output(&["add", "--quiet", &container, &directory.display().to_string(), "/"])?;
        self.output(&["commit", "--quiet", "--rm", &container, image]).map(drop)
    }

    /// Builds an image as packaging/README.md says.
    pub(super) fn build(
        &self,
        context: &Path,
        image: &str,
        arguments: &[(&str, &str)],
    ) -> Result<(), Failure> {
        let log = self.0.with_file_name(format!("{image}.log"));
        say(format_args!("$ buildah build, see {}", log.display()));
        let mut build = self.command();
        // Of the kinds of isolation, this one needs no service manager.
        build.args(["build", "--isolation", "chroot", "--layers=false", "--tag", image]);
        build.arg("--file").arg(context.join("packaging/container/Containerfile"));
        for (name, value) in arguments {
            build.arg("--build-arg").arg(format!("{name}={value}"));
        }
        logged(build.arg(context), &log)
    }

    /// What the image tells an engine.
    pub(super) fn configuration(&self, image: &str) -> Result<Value, Failure> {
        let text = self.output(&["inspect", "--type", "image", image])?;
        let mut document: Value = serde_json::from_str(&text).context(|| "buildah inspect")?;
        Ok(document["OCIv1"]["config"].take())
    }

    /// Mounts the files of an image, and returns the directory.
    pub(super) fn mount(&self, image: &str) -> Result<PathBuf, Failure> {
        let container = self.output(&["from", image])?;
        self.output(&["mount", &container]).map(PathBuf::from)
    }

    /// Removes all images and containers.
    fn clear(&self) -> Result<(), Failure> {
        self.output(&["rm", "--all"])?;
        self.output(&["rmi", "--all", "--force"])?;
        // The storage mounts itself. It is not mounted if an earlier run ended here.
        let mut unmount = Command::new("umount");
        let _ = unmount.arg(self.0.join("storage/overlay")).stderr(Stdio::null()).status();
        succeed(Command::new("rm").args(["-rf", "--one-file-system"]).arg(&self.0))
    }

    fn command(&self) -> Command {
        let mut command = Command::new("buildah");
        command.arg("--root").arg(self.0.join("storage"));
        command.arg("--runroot").arg(self.0.join("run"));
        command
    }

    /// Runs buildah, and returns the last line or the document that it prints.
    fn output(&self, arguments: &[&str]) -> Result<String, Failure> {
        let output = self.command().args(arguments).output().context(|| "cannot run buildah")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::new(format!("buildah {}: {said}", arguments.join(" "))));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Err(failure) = self.clear() {
            say(format_args!("cannot remove {}: {failure}", self.0.display()));
        }
    }
}
