//! The software of the cloud: Debian packages and a Python environment, installed when missing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::command::finish;
use super::layout::Layout;
use crate::failure::{Context, Failure};
use crate::output::say;
use crate::shell::find;
use crate::stamp::once;

/// Paths of the programs from Debian packages.
pub(crate) struct Programs {
    pub(crate) nginx: PathBuf,
    pub(crate) memcached: PathBuf,
    /// The directory of Postgres's programs, which depends on the version.
    pub(crate) postgres: PathBuf,
}

/// Installs the missing packages.
pub(crate) fn install(layout: &Layout) -> Result<Programs, Failure> {
    let venv_is_missing = !layout.venv_program("uwsgi").exists();
    install_debian(layout, &missing(venv_is_missing))?;
    install_python(layout)?;
    installed()
}

/// Finds the installed programs. Fails if some are missing.
pub(crate) fn installed() -> Result<Programs, Failure> {
    Ok(Programs {
        nginx: must_find("nginx")?,
        memcached: must_find("memcached")?,
        postgres: postgres_programs()
            .ok_or_else(|| Failure::new("PostgreSQL's programs are not where Debian puts them"))?,
    })
}

/// Returns the missing Debian packages.
fn missing(for_venv: bool) -> Vec<&'static str> {
    let mut packages = Vec::new();
    if find("nginx").is_none() {
        packages.push("nginx-light");
    }
    if find("memcached").is_none() {
        packages.push("memcached");
    }
    if postgres_programs().is_none() {
        packages.push("postgresql");
    }
    // The suites copy images to a registry and back.
    packages.extend(["skopeo", "docker-registry"].iter().filter(|name| find(name).is_none()));
    // pip builds uWSGI from its source.
    if for_venv && find("gcc").is_none() {
        packages.extend(["gcc", "libc6-dev"]);
    }
    if for_venv && !python_is_whole() {
        packages.extend(["python3-venv", "python3-dev"]);
    }
    packages
}

fn install_debian(layout: &Layout, packages: &[&str]) -> Result<(), Failure> {
    if packages.is_empty() {
        return Ok(());
    }
    say(format_args!("cloud: installing {}", packages.join(" ")));
    let _no_services = NoServices::begin()?;
    finish(layout, "apt", Command::new("apt-get").args(["update", "-q"]))?;
    let mut command = Command::new("apt-get");
    command
        .args(["install", "-y", "-q", "--no-install-recommends"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive");
    finish(layout, "apt", &mut command)
}

fn install_python(layout: &Layout) -> Result<(), Failure> {
    let venv = layout.path("venv");
    once(&layout.path("venv/installed"), REQUIREMENTS, || {
        say("cloud: installing the Python packages, 1 to 2 minutes");
        let mut create = Command::new("python3");
        finish(layout, "pip", create.args(["-m", "venv", "--clear"]).arg(&venv))?;
        let list = layout.path("etc/requirements.txt");
        fs::write(&list, REQUIREMENTS).context(|| format!("cannot write {}", list.display()))?;
        // pip keeps the caller's environment, which configures the package index.
        let mut pip = Command::new(layout.venv_program("pip"));
        finish(layout, "pip", pip.args(["install", "--quiet", "--requirement"]).arg(&list))
    })
}

/// Keeps services from being started on installation of their packages while this value lives.
pub(crate) struct NoServices {
    policy: Option<&'static Path>,
}

impl NoServices {
    /// Writes the policy file that Debian's packages respect.
    pub(crate) fn begin() -> Result<Self, Failure> {
        let path = Path::new("/usr/sbin/policy-rc.d");
        if path.exists() {
            return Ok(Self { policy: None });
        }
        fs::write(path, "#!/bin/sh\nexit 101\n")
            .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
            .context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { policy: Some(path) })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(path) = self.policy {
            if let Err(error) = fs::remove_file(path) {
                say(format_args!("cloud: cannot remove {}: {error}", path.display()));
            }
        }
    }
}

/// Whether `python3` is recent enough, can create environments and can build extensions.
fn python_is_whole() -> bool {
    Command::new("python3")
        .args(["-c", PYTHON_PROBE])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn must_find(program: &str) -> Result<PathBuf, Failure> {
    find(program).ok_or_else(|| Failure::new(format!("{program} is not installed")))
}

/// The programs of the newest Postgres version installed from Debian.
fn postgres_programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    versions
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            let programs = entry.path().join("bin");
            programs.join("postgres").is_file().then_some((version, programs))
        })
        .max()
        .map(|(_, programs)| programs)
}

const REQUIREMENTS: &str = include_str!("../../cloud/requirements.txt");

const PYTHON_PROBE: &str = "\
import ensurepip, os, sys, sysconfig, venv
assert sys.version_info >= (3, 11)
assert os.path.exists(os.path.join(sysconfig.get_paths()['include'], 'Python.h'))";
