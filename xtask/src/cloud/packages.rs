//! The programs the cloud is made of: Debian packages, and a Python environment of its own.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::config::once;
use super::layout::Layout;
use super::process::finish;
use crate::failure::{Context, Failure};
use crate::say::say;

/// What pip installs. The order matters to nobody; a change installs anew.
const PYTHON_PACKAGES: [&str; 8] = [
    "glance==33.0.0",
    "keystone==30.0.0",
    "openstacksdk==4.22.0",
    "python-openstackclient==10.5.0",
    "psycopg2-binary",
    "python-memcached",
    "pymemcache",
    "uwsgi==2.0.31",
];

/// Makes the interpreter fail unless uWSGI can be compiled for it.
const HAS_HEADERS: &str = "import os, sysconfig, sys\n\
    sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()['include'], 'Python.h')))";

/// Keeps Debian packages from starting services of their own.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Where the programs are that Debian brings.
pub(crate) struct Programs {
    pub(crate) nginx: PathBuf,
    pub(crate) memcached: PathBuf,
    /// The directory of PostgreSQL's programs.
    pub(crate) postgres: PathBuf,
}

impl Programs {
    /// Finds the programs.
    pub(crate) fn find() -> Result<Self, Failure> {
        Ok(Self {
            nginx: required("nginx", which("nginx"))?,
            memcached: required("memcached", which("memcached"))?,
            postgres: required("PostgreSQL", newest_postgres())?,
        })
    }
}

/// Installs what is missing.
pub(crate) fn install(layout: &Layout) -> Result<Programs, Failure> {
    let missing = missing_packages();
    if !missing.is_empty() {
        say(format_args!("cloud: apt-get install {}", missing.join(" ")));
        install_debian(layout, &missing)?;
    }
    let programs = Programs::find()?;
    let version = PYTHON_PACKAGES.join("\n");
    once(&layout.path("venv/.installed"), &version, || {
        install_python(layout)
    })?;
    Ok(programs)
}

fn missing_packages() -> Vec<&'static str> {
    let python = |code: &str| succeeds(Command::new("python3").args(["-c", code]));
    [
        (which("nginx").is_some(), "nginx-light"),
        (which("memcached").is_some(), "memcached"),
        (newest_postgres().is_some(), "postgresql"),
        (which("gcc").is_some(), "gcc"),
        (Path::new("/usr/include/stdlib.h").exists(), "libc6-dev"),
        (which("python3").is_some(), "python3"),
        (python("import ensurepip, venv"), "python3-venv"),
        (python(HAS_HEADERS), "python3-dev"),
    ]
    .into_iter()
    .filter_map(|(present, package)| (!present).then_some(package))
    .collect()
}

fn install_debian(layout: &Layout, packages: &[&str]) -> Result<(), Failure> {
    let ours = !Path::new(POLICY).exists();
    if ours {
        fs::write(POLICY, "#!/bin/sh\nexit 101\n")
            .and_then(|()| executable(Path::new(POLICY)))
            .context(|| format!("cannot write {POLICY}"))?;
    }
    let installed = finish(
        layout,
        "apt",
        Command::new("apt-get").args(["update", "-qq"]),
    )
    .and_then(|()| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
            .args(["install", "-y", "-qq", "--no-install-recommends"])
            .args(packages);
        finish(layout, "apt", &mut command)
    });
    if ours {
        fs::remove_file(POLICY).context(|| format!("cannot remove {POLICY}"))?;
    }
    installed
}

fn install_python(layout: &Layout) -> Result<(), Failure> {
    say("cloud: installing the Python packages (minutes)");
    let venv = layout.path("venv");
    finish(
        layout,
        "pip",
        Command::new("python3").args(["-m", "venv"]).arg(&venv),
    )?;
    let mut pip = Command::new(layout.venv_program("python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    finish(layout, "pip", pip.args(PYTHON_PACKAGES))
}

fn executable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

fn required(name: &str, found: Option<PathBuf>) -> Result<PathBuf, Failure> {
    found.ok_or_else(|| Failure::new(format!("{name} is not installed; run `cloud up`")))
}

fn which(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/bin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// The directory of the newest PostgreSQL; Debian keeps one per version.
fn newest_postgres() -> Option<PathBuf> {
    fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            let programs = entry.path().join("bin");
            programs
                .join("postgres")
                .exists()
                .then_some((version, programs))
        })
        .max()
        .map(|(_, programs)| programs)
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
