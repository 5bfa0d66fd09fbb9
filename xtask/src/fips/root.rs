//! A Debian 13 in a directory, in which programs run through `chroot`. Nothing is mounted there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Context, Failure};
use crate::output::say;
use crate::shell::{cargo_output, install, succeed};
use crate::stamp::once;
use crate::workspace;

/// The root directory of the Debian system.
pub(crate) struct Root(PathBuf);

impl Root {
    /// Creates the root below `directory`, unless it exists.
    pub(crate) fn make(directory: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(directory).context(|| directory.display().to_string())?;
        let root = directory.join("root");
        once(&directory.join("root.made"), &PACKAGES.join(" "), || {
            if Command::new("debootstrap").arg("--version").stdout(Stdio::null()).status().is_err()
            {
                install(&["debootstrap"])?;
            }
            say("fips: making a Debian 13 root, 1 to 2 minutes");
            succeed(Command::new("rm").args(["-rf", "--one-file-system"]).arg(&root))?;
            let mut debootstrap = Command::new("debootstrap");
            debootstrap.args(["--variant=minbase", "--include", &PACKAGES.join(","), "trixie"]);
            logged(debootstrap.arg(&root), &directory.join("debootstrap.log"))?;
            let hosts = root.join("etc/hosts");
            fs::write(&hosts, "127.0.0.1 localhost\n").context(|| hosts.display().to_string())
        })?;
        Ok(Self(root))
    }

    /// The path of a file of the root, from outside.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.0.join(inside.trim_start_matches('/'))
    }

    /// A command that runs a program of the root in a clean environment.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("chroot");
        command.env_clear().envs([("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/root")]);
        // Go can't find its own root without /proc.
        command.env("GOROOT", "/usr/lib/go");
        command.arg(&self.0).arg(program);
        command
    }

    /// Copies the workspace and the sources of its dependencies into the root.
    pub(crate) fn bring_source(&self) -> Result<(), Failure> {
        self.copy_workspace()?;
        self.vendor()
    }

    /// Builds the tool with Debian's Rust. Returns the path of the binary inside the root.
    pub(crate) fn build(&self, features: &str) -> Result<String, Failure> {
        say(format_args!("fips: building with {features}"));
        let arguments =
            ["-p", "glance-replicator", "--no-default-features", "--features", features];
        self.cargo("build", &arguments)?;
        let binary = format!("/usr/bin/glance-replicator-{features}");
        let built = self.path("/build/debug/glance-replicator");
        fs::copy(&built, self.path(&binary)).context(|| built.display().to_string())?;
        Ok(binary)
    }

    /// Runs the tests of a package inside the root.
    pub(crate) fn test(&self, package: &str) -> Result<(), Failure> {
        say(format_args!("fips: testing {package}"));
        self.cargo("test", &["-p", package])
    }

    fn cargo(&self, what: &str, arguments: &[&str]) -> Result<(), Failure> {
        let mut cargo = self.command("cargo");
        cargo.args([what, "--quiet", "--locked", "--offline", "--target-dir", "/build"]);
        cargo.args(["--manifest-path", "/source/Cargo.toml"]).args(arguments);
        for setting in SETTINGS {
            cargo.args(["--config", setting]);
        }
        succeed(&mut cargo)
    }

    /// Copies the workspace with its modification times, because cargo rebuilds newer files.
    fn copy_workspace(&self) -> Result<(), Failure> {
        let (from, to) = (workspace::root(), self.path("/source"));
        succeed(Command::new("rm").arg("-rf").arg(&to))?;
        fs::create_dir(&to).context(|| to.display().to_string())?;
        let mut copy = Command::new("cp");
        copy.arg("-a").arg("-t").arg(&to);
        for entry in fs::read_dir(&from).context(|| from.display().to_string())? {
            let entry = entry.context(|| from.display().to_string())?;
            if !["target", ".git"].iter().any(|left_out| entry.file_name() == *left_out) {
                copy.arg(entry.path());
            }
        }
        succeed(&mut copy)
    }

    /// Copies the sources of all dependencies, so that cargo inside the root needs no network.
    fn vendor(&self) -> Result<(), Failure> {
        let lock = workspace::root().join("Cargo.lock");
        let version = fs::read_to_string(&lock).context(|| lock.display().to_string())?;
        once(&self.path("/vendored"), &version, || {
            let to = self.path("/vendor").display().to_string();
            cargo_output(&["vendor", "--locked", "--versioned-dirs", &to]).map(drop)
        })
    }
}

/// Runs a program with much output, which goes to a log file.
fn logged(command: &mut Command, log: &Path) -> Result<(), Failure> {
    let file = File::create(log).context(|| log.display().to_string())?;
    let errors = file.try_clone().context(|| log.display().to_string())?;
    let outcome = succeed(command.stdin(Stdio::null()).stdout(file).stderr(errors));
    outcome.context(|| format!("see {}", log.display()))
}

/// Debian's Rust, and the build requirements of `native-tls` and of AWS-LC's FIPS module.
const PACKAGES: &[&str] = &[
    "cargo",
    "gcc",
    "libc6-dev",
    "libssl-dev",
    "openssl",
    "openssl-provider-fips",
    "pkg-config",
    "rustc",
    "cmake",
    "g++",
    "golang-go",
    "make",
];

/// Profile settings. The binary is built once and runs for seconds, so optimizing the dependencies
/// would cost more than it gains.
const SETTINGS: &[&str] = &[
    "source.crates-io.replace-with='vendored'",
    "source.vendored.directory='/vendor'",
    "profile.dev.debug=false",
    "profile.dev.package.'*'.opt-level=0",
];
