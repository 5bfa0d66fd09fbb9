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
        say(format_args!("the files of the image have {} kB", bytes / 1000));
        let programs = self.find(&["-type", "f", "-perm", "/111", "-not", "-name", "*.so*"])?;
        equal("programs", &programs, PROGRAM)?;
        let licences = self.find(&["-name", "THIRD-PARTY-NOTICES-*", "-printf", "notices"])?;
        equal("files of licences", &licences, "notices")?;
        equal("links in /bin", &self.find(&["-type", "l", "-path", "*bin/*"])?, "")?;
        equal("setuid files", &self.find(&["-type", "f", "-perm", "/6000"])?, "")?;
        equal(
            "files that everyone writes",
            &self.find(&["-perm", "-o+w", "-not", "-type", "l"])?,
            "/tmp",
        )?;
        equal("files of the user", &self.find(&["-user", "65532"])?, STATE)
    }

    /// The program runs without a volume and without a writable directory.
    pub(super) fn check_version(&self, words: &[&str]) -> Result<(), Failure> {
        run(&mut self.command(&[], &["--version"]), 0, words)
    }

    /// Copies images between two servers, which run from the image too. The CA is trusted by an option,
    /// and then because it is in the place of the image's CA certificates.
    pub(super) fn check_sync(&self) -> Result<(), Failure> {
        let volume: &[Mount<'_>] = &[(&self.volume, STATE)];
        let ca = self.volume.join("ca.pem");
        let with_ca: &[Mount<'_>] = &[(&self.volume, STATE), (&ca, CERTIFICATES)];
        run(&mut self.command(volume, &["load", OLD, ONE]), 0, &["4 copied"])?;
        let (one, two) = (self.serve(ONE)?, self.serve(TWO)?);
        let line = ["sync", &one.url, &two.url];
        run(&mut self.command(volume, &line), 4, &["not trusted"])?;
        let trusting = [&line[..], &["--cacert", CA]].concat();
        run(&mut self.command(volume, &trusting), 0, &["4 copied and verified"])?;
        let compare = ["compare", &one.url, &two.url];
        run(&mut self.command(with_ca, &compare), 0, &["4 images compared: 4 same"])?;
        let journal = self.volume.join("journal");
        match journal.exists() {
            true => Ok(()),
            false => Err(Failure::new("the run left no journal in the volume")),
        }
    }

    fn serve(&self, directory: &str) -> Result<Server, Failure> {
        let line = ["serve", directory, "--writable", "--listen", "127.0.0.1:0"];
        let line = [&line[..], &["--cert", CERTIFICATE, "--key", KEY]].concat();
        Server::start(&mut self.command(&[(&self.volume, STATE)], &line), " on https://")
    }

    /// A command that runs the program with these mounts.
    fn command(&self, mounts: &[Mount<'_>], line: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command.env_clear().envs(ENVIRONMENT);
        command.args(["--mount", "sh", "-c", READ_ONLY]).arg(&self.root);
        for (from, to) in mounts {
            command.arg(from).arg(to);
        }
        command.arg("--").args(line);
        command
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

/// A file or directory of the host, and its place in the image.
type Mount<'a> = (&'a Path, &'static str);

/// Runs the program, and shows its output. Fails unless it exits with `exit` and prints all `words`.
fn run(command: &mut Command, exit: i32, words: &[&str]) -> Result<(), Failure> {
    let line: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
    let line = line.rsplit(|word| word == "--").next().unwrap_or_default().join(" ");
    say(format_args!("$ {line}"));
    let output = command.output().context(|| "cannot run the program")?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    say(said.trim_end());
    match output.status.code() == Some(exit) {
        true => expect(&said, words),
        false => Err(Failure::new(format!("{line}: {}, not exit code {exit}", output.status))),
    }
}

/// Fails unless `found` is what is expected.
fn equal(what: &str, found: &str, expected: &str) -> Result<(), Failure> {
    match found.trim_end() == expected {
        true => Ok(()),
        false => Err(Failure::new(format!("{what}: {found:?}, not {expected:?}"))),
    }
}

const PROGRAM: &str = "/usr/bin/glance-replicator";
const STATE: &str = "/var/lib/glance-replicator";
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

// What the volume has.
const OLD: &str = "/var/lib/glance-replicator/old";
const ONE: &str = "/var/lib/glance-replicator/one";
const TWO: &str = "/var/lib/glance-replicator/two";
const CA: &str = "/var/lib/glance-replicator/ca.pem";
const CERTIFICATE: &str = "/var/lib/glance-replicator/cert.pem";
const KEY: &str = "/var/lib/glance-replicator/key.pem";

/// The user of the image.
const USER: &str = "65532:65532";

/// The environment that the image gives the program; `PATH` is for the commands that start it.
const ENVIRONMENT: [(&str, &str); 3] =
    [("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", STATE), ("XDG_STATE_HOME", "/var/lib")];

/// Runs the program of the image `$0` with the root mounted read-only. The arguments are pairs of a
/// path of the host and its place in the image, `--`, and the arguments of the program.
const READ_ONLY: &str = r#"
set -e
mount --bind "$0" "$0"
mount -o remount,bind,ro "$0"
while [ "$1" != -- ]; do
    mount --bind "$1" "$0$2"
    shift 2
done
shift
exec chroot --userspec=65532:65532 --groups= "$0" /usr/bin/glance-replicator "$@"
"#;
