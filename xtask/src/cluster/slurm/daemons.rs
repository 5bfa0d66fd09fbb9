//! The daemons of Slurm on one machine, with their own key and state.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::super::ADDRESS;
use crate::cloud::sheltered;
use crate::failure::{Context, Failure};
use crate::shell::output;

/// The running daemons; dropping the value ends them.
pub(crate) struct Daemons {
    processes: Vec<Child>,
    directory: PathBuf,
}

impl Daemons {
    /// Starts munge and Slurm, and waits until the machine accepts jobs.
    pub(crate) fn start(directory: &Path) -> Result<Self, Failure> {
        for name in ["munge", "state", "spool"] {
            let path = directory.join(name);
            fs::create_dir_all(&path).context(|| path.display().to_string())?;
        }
        write_key(&directory.join("munge/key"))?;
        write(&directory.join("cgroup.conf"), cgroups(&output(sheltered("slurmd").arg("-V"))?))?;
        let place = directory.display().to_string();
        let text = CONFIGURATION.replace("DIRECTORY", &place).replace("ADDRESS", ADDRESS);
        let mut daemons = Self { processes: Vec::new(), directory: directory.to_owned() };
        write(&daemons.configuration(), &text)?;
        daemons.start_munge()?;
        daemons.start_one("slurmctld", &["-D"])?;
        daemons.start_one("slurmd", &["-D", "-N", "node"])?;
        daemons.until("slurmd", |daemons| {
            let mut sinfo = sheltered("sinfo");
            sinfo.args(["--noheader", "--format=%T"]).env("SLURM_CONF", daemons.configuration());
            output(&mut sinfo).is_ok_and(|state| state.trim() == "idle")
        })?;
        Ok(daemons)
    }

    /// The configuration file of Slurm.
    pub(crate) fn configuration(&self) -> PathBuf {
        self.directory.join("slurm.conf")
    }

    fn start_munge(&mut self) -> Result<(), Failure> {
        let option = |(name, file)| format!("--{name}={}/munge/{file}", self.directory.display());
        let files = [
            ("key-file", "key"),
            ("socket", "socket"),
            ("pid-file", "pid"),
            ("log-file", "log"),
            ("seed-file", "seed"),
        ];
        let options: Vec<String> = files.into_iter().map(option).collect();
        let mut options: Vec<&str> = options.iter().map(String::as_str).collect();
        let origin = format!("--origin={ADDRESS}");
        options.extend(["--foreground", &origin]);
        self.start_one("munged", &options)?;
        self.until("munged", |daemons| daemons.directory.join("munge/socket").exists())
    }

    fn start_one(&mut self, program: &str, arguments: &[&str]) -> Result<(), Failure> {
        let log = self.log(program);
        let file = File::create(&log).context(|| log.display().to_string())?;
        let errors = file.try_clone().context(|| log.display().to_string())?;
        let mut command = sheltered(program);
        command.args(arguments).env("SLURM_CONF", self.configuration());
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        self.processes.push(command.spawn().context(|| format!("cannot start {program}"))?);
        Ok(())
    }

    fn log(&self, program: &str) -> PathBuf {
        self.directory.join(format!("{program}.log"))
    }

    /// Waits until something holds. `program` is the daemon that brings it about.
    fn until(&self, program: &str, holds: impl Fn(&Self) -> bool) -> Result<(), Failure> {
        let deadline = Instant::now() + DEADLINE;
        while !holds(self) {
            if Instant::now() > deadline {
                let log = fs::read_to_string(self.log(program)).unwrap_or_default();
                return Err(Failure::new(format!("{program} is not ready in time:\n{log}")));
            }
            sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Daemons {
    fn drop(&mut self) {
        for process in self.processes.iter_mut().rev() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn write_key(path: &Path) -> Result<(), Failure> {
    let mut key = [0; 1024];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut key))
        .and_then(|()| File::options().write(true).create_new(true).mode(0o600).open(path))
        .and_then(|mut file| std::io::Write::write_all(&mut file, &key))
        .context(|| format!("cannot write {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).context(|| format!("cannot write {}", path.display()))
}

/// The settings by which a slurmd of this version, such as `slurm-wlm 22.05.8`, runs without systemd.
fn cgroups(version: &str) -> &'static str {
    let number = version.split([' ', '.']).find_map(|word| word.parse::<u32>().ok());
    match number {
        Some(..=23) => "IgnoreSystemd=yes\n",
        _ => "CgroupPlugin=disabled\n",
    }
}

const CONFIGURATION: &str = include_str!("../../../cluster/slurm.conf");
const DEADLINE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slurmd_that_cannot_do_without_cgroups_ignores_systemd() {
        assert_eq!(cgroups("slurm-wlm 22.05.8\n"), "IgnoreSystemd=yes\n");
        assert_eq!(cgroups("slurm-wlm 24.11.5\n"), "CgroupPlugin=disabled\n");
    }
}
