//! The files of an image, and the program in them, run as Kubernetes runs it: as an ordinary user, with
//! a root that is mounted read-only.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::demo_site::{Server, write_certificates, write_images};
use crate::failure::{Context, Failure};
use crate::output::say;
use crate::packages::system::expect;
use crate::shell::succeed;

/// The files of an image.
pub(super) struct Image {
    root: PathBuf,
    /// The directory that takes the place of the state directory.
    volume: PathBuf,
}

impl Image {
    /// Takes the files at `root`, and prepares a volume with certificates and images.
    pub(super) fn new(root: PathBuf, volume: &Path) -> Result<Self, Failure> {
        if volume.exists() {
            fs::remove_dir_all(volume).context(|| volume.display().to_string())?;
        }
        write_images(&volume.join("old"))?;
        write_certificates(volume, "localhost")?;
        succeed(Command::new("chown").args(["--recursive", USER]).arg(volume))?;
        Ok(Self { root, volume: volume.to_owned() })
    }

    /// The program and its libraries are the only files that can be executed. Nothing runs as
    /// another user, and the user of the image owns only the state directory.
    pub(super) fn check_files(&self) -> Result<(), Failure> {
        let size = self.find(&["-type", "f", "-printf", "%s\\n"])?;
        let bytes: u64 = size.lines().filter_map(|line| line.parse::<u64>().ok()).sum();
        say(format_args!("the image has {:.1} MB", bytes as f64 / 1e6));
        let programs = self.find(&["-type", "f", "-perm", "/111", "-not", "-name", "*.so*"])?;
        equal("programs", &programs, PROGRAM)?;
        equal("links in /bin", &self.find(&["-type", "l", "-path", "*bin/*"])?, "")?;
        equal("setuid files", &self.find(&["-type", "f", "-perm", "/6000"])?, "")?;
        equal("files that everyone writes", &self.find(&["-perm", "-o+w", "-not", "-type", "l"])?, "/tmp")?;
        equal("files of the user", &self.find(&["-user", "65532"])?, STATE)
    }

    /// The program runs without a volume and without a writable directory.
    pub(super) fn check_version(&self, words: &[&str]) -> Result<(), Failure> {
        run(&mut self.command(&[], &["--version"])?, 0, words)
    }

    /// Copies images between two servers, which run from the image too. The CA is trusted by an option,
    /// and then because it is in the place of the image's CA certificates.
    pub(super) fn check_sync(&self) -> Result<(), Failure> {
        let volume: &[Mount<'_>] = &[(&self.volume, STATE)];
        let ca = self.volume.join("ca.pem");
        let with_ca: &[Mount<'_>] = &[(&self.volume, STATE), (&ca, CERTIFICATES)];
        run(&mut self.command(volume, &["load", "old", "one"])?, 0, &["4 copied"])?;
        let (one, two) = (self.serve("one")?, self.serve("two")?);
        let line = ["sync", &one.url, &two.url];
        run(&mut self.command(volume, &line)?, 4, &["not trusted"])?;
        let trusting = [&line[..], &["--cacert", "ca.pem"]].concat();
        run(&mut self.command(volume, &trusting)?, 0, &["4 copied and verified"])?;
        let compare = ["compare", &one.url, &two.url];
        run(&mut self.command(with_ca, &compare)?, 0, &["4 images compared: 4 same"])?;
        let journal = self.volume.join("journal");
        match journal.exists() {
            true => Ok(()),
            false => Err(Failure::new("the run left no journal in the volume")),
        }
    }

    fn serve(&self, directory: &str) -> Result<Server, Failure> {
        let line = ["serve", directory, "--writable", "--listen", "127.0.0.1:0"];
        let line = [&line[..], &["--cert", "cert.pem", "--key", "key.pem"]].concat();
        Server::start(&mut self.command(&[(&self.volume, STATE)], &line)?, " on https://")
    }

    /// A command that runs the program with these mounts.
    fn command(&self, mounts: &[Mount<'_>], line: &[&str]) -> Result<Command, Failure> {
        let mut script = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\"".to_owned();
        for (from, to) in mounts {
            script += &format!(" && mount --bind '{}' \"$0{to}\"", from.display());
        }
        script += " && exec chroot --userspec=65532:65532 --groups= \"$0\" /usr/bin/env";
        let _ = script;
        let mut command = Command::new("unshare");
        command.env_clear().envs(ENVIRONMENT);
        command.args(["--mount", "sh", "-c", &script]).arg(&self.root).args(line);
        Ok(command)
    }

    /// Finds files of the image, one path a line.
    fn find(&self, conditions: &[&str]) -> Result<String, Failure> {
        let mut find = Command::new("find");
        find.arg(&self.root).args(["-xdev", "-mindepth", "1"]).args(conditions);
        let output = find.output().context(|| "cannot run find")?;
        if !output.status.success() {
            return Err(Failure::new(String::from_utf8_lossy(&output.stderr)));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.replace(&self.root.display().to_string(), ""))
    }
}
