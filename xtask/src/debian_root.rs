//! A Debian 13 in a directory, in which programs run through `chroot`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Context, Failure};
use crate::output::say;
use crate::shell::{find, install, succeed};
use crate::stamp::once;

/// The root directory of the Debian system.
pub(crate) struct Root(PathBuf);

/// The user that a program of the root runs as.
#[derive(Clone, Copy)]
pub(crate) enum User {
    /// root.
    Root,
    /// An ordinary user, the owner of [`HOME`].
    Builder,
}

impl Root {
    /// Creates the root below `directory` with these packages, unless it exists.
    pub(crate) fn make(directory: &Path, packages: &[&str]) -> Result<Self, Failure> {
        if !rustix::process::geteuid().is_root() {
            return Err(Failure::new("a Debian 13 root directory needs root: run as root"));
        }
        fs::create_dir_all(directory).context(|| directory.display().to_string())?;
        let root = directory.join("root");
        once(&directory.join("root.made"), &packages.join(" "), || {
            install_missing("debootstrap", "debootstrap")?;
            say(format_args!("making a Debian 13 in {}, 1 to 2 minutes", root.display()));
            succeed(Command::new("rm").args(["-rf", "--one-file-system"]).arg(&root))?;
            let mut debootstrap = Command::new("debootstrap");
            debootstrap.args(["--variant=minbase", "--include", &packages.join(","), "trixie"]);
            logged(debootstrap.arg(&root), &directory.join("debootstrap.log"))?;
            let hosts = root.join("etc/hosts");
            fs::write(&hosts, "127.0.0.1 localhost\n").context(|| hosts.display().to_string())?;
            let mut user = Self(root.clone()).command("useradd");
            succeed(user.args(["--create-home", "--home-dir", HOME, "--uid", BUILDER, "builder"]))
        })?;
        Ok(Self(root))
    }

    /// Copies the root to a directory, which is replaced.
    pub(crate) fn copy(&self, directory: &Path) -> Result<Self, Failure> {
        succeed(Command::new("rm").args(["-rf", "--one-file-system"]).arg(directory))?;
        let mut copy = Command::new("cp");
        succeed(copy.args(["--archive", "--reflink=auto"]).arg(&self.0).arg(directory))?;
        Ok(Self(directory.to_owned()))
    }

    /// Removes the root.
    pub(crate) fn remove(self) -> Result<(), Failure> {
        succeed(Command::new("rm").args(["-rf", "--one-file-system"]).arg(self.0))
    }

    /// The path of a file of the root, from outside.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.0.join(inside.trim_start_matches('/'))
    }

    /// A command that runs a program of the root as root, with the host's network, in a clean
    /// environment. Nothing is mounted there, not even `/proc`.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("chroot");
        environment(&mut command, "/root");
        command.arg(&self.0).arg(program);
        command
    }

    /// A command that runs a program of the root without a network except a loopback interface of
    /// its own, in a clean environment, with `/proc`. All its processes end with it.
    pub(crate) fn isolated(&self, user: User, program: &str) -> Result<Command, Failure> {
        install_missing("ip", "iproute2")?;
        let proc = self.path("/proc");
        let (home, owner) = match user {
            User::Root => ("/root", "0:0".to_owned()),
            User::Builder => (HOME, format!("{BUILDER}:{BUILDER}")),
        };
        let mut command = Command::new("unshare");
        environment(&mut command, home);
        command.args(["--net", "--pid", "--fork", "--kill-child"]);
        command.arg(format!("--mount-proc={}", proc.display()));
        command.args(["sh", "-c", ISOLATED]).arg(&self.0);
        command.arg("chroot").arg(format!("--userspec={owner}")).arg(&self.0).arg(program);
        Ok(command)
    }

    /// How long the last program took that `time` ran with the options [`TIME`], and how much memory
    /// its largest process had.
    pub(crate) fn figures(&self) -> Result<String, Failure> {
        let file = self.path(FIGURES);
        let text = fs::read_to_string(&file).context(|| file.display().to_string())?;
        Ok(text.trim_end().to_owned())
    }

    /// Gives a directory of the root, and all in it, to the ordinary user.
    pub(crate) fn give_to_builder(&self, directory: &str) -> Result<(), Failure> {
        let owner = format!("{BUILDER}:{BUILDER}");
        succeed(self.command("chown").args(["--recursive", "--no-dereference", &owner, directory]))
    }
}

/// The options of the program `time` that measure the command after them, for [`Root::figures`].
pub(crate) const TIME: [&str; 4] = ["--format", FORMAT, "--output", FIGURES];

/// What `time` says about a program and its children.
const FORMAT: &str = "%e s, %U s of CPU time, %M KiB in the largest process";

const FIGURES: &str = "/tmp/figures";

/// Runs the arguments with a loopback interface and pseudo-terminals. The root `$0` is mounted, because
/// rpm isolates its scripts by changing the mount of `/`.
const ISOLATED: &str = r#"
ip link set lo up && mount --rbind "$0" "$0" &&
    mount --types devpts --options mode=620,ptmxmode=666 devpts "$0/dev/pts" && exec "$@"
"#;

/// The home directory of the ordinary user.
pub(crate) const HOME: &str = "/home/builder";

/// The user id and the group id of the ordinary user.
const BUILDER: &str = "1000";

/// Replaces the environment by the same few variables on every machine.
fn environment(command: &mut Command, home: &str) {
    command.env_clear().envs([("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", home)]);
    command.envs([("LANG", "C.UTF-8"), ("DEBIAN_FRONTEND", "noninteractive")]);
}

/// Installs a Debian package on the host unless its program is there.
fn install_missing(program: &str, package: &str) -> Result<(), Failure> {
    match find(program) {
        Some(_) => Ok(()),
        None => install(&[package]),
    }
}

/// Runs a program with much output, which goes to a log file.
pub(crate) fn logged(command: &mut Command, log: &Path) -> Result<(), Failure> {
    let file = File::create(log).context(|| log.display().to_string())?;
    let errors = file.try_clone().context(|| log.display().to_string())?;
    let outcome = succeed(command.stdin(Stdio::null()).stdout(file).stderr(errors));
    outcome.context(|| format!("see {}", log.display()))
}
