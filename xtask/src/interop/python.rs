//! The Python environment of the suites: the cloud's packages plus those that only the suites need.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cloud::sheltered;
use crate::failure::{Context, Failure};
use crate::output::say;
use crate::shell::succeed;
use crate::stamp::once;

/// A Python environment next to the cloud's.
pub(crate) struct Python {
    program: PathBuf,
    /// The directory of the cloud.
    pub(crate) cloud: PathBuf,
}

impl Python {
    /// Creates the environment in `directory` the first time.
    pub(crate) fn install(directory: &Path, cloud: &Path) -> Result<Self, Failure> {
        let venv = directory.join("venv");
        let version = format!("{REQUIREMENTS}{}", cloud.display());
        once(&venv.join("installed"), &version, || {
            say("interop: installing Tempest");
            succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
            // Adds the cloud's packages to the search path, because the clients are the cloud's.
            let cloud = packages(&cloud.join("venv"))?.display().to_string();
            let path = packages(&venv)?.join("cloud.pth");
            fs::write(&path, cloud).context(|| format!("cannot write {}", path.display()))?;
            let list = directory.join("requirements.txt");
            fs::write(&list, REQUIREMENTS)
                .context(|| format!("cannot write {}", list.display()))?;
            // pip keeps the caller's environment, which configures the package index.
            let mut pip = Command::new(venv.join("bin/pip"));
            succeed(pip.args(["install", "--quiet", "--requirement"]).arg(&list))
        })?;
        Ok(Self { program: venv.join("bin/python"), cloud: cloud.to_owned() })
    }

    /// A command that runs the Python script `text`.
    pub(crate) fn command(&self, text: &str) -> Command {
        let mut command = sheltered(&self.program);
        command.args(["-c", text]);
        command
    }
}

/// The package directory of an environment, whose name contains Python's version.
fn packages(venv: &Path) -> Result<PathBuf, Failure> {
    let missing = || Failure::new(format!("{} is not a Python environment", venv.display()));
    let mut versions = fs::read_dir(venv.join("lib")).context(|| venv.display().to_string())?;
    let version = versions.find_map(Result::ok).ok_or_else(missing)?;
    Ok(version.path().join("site-packages"))
}

const REQUIREMENTS: &str = include_str!("../../interop/requirements.txt");
