//! Jobs of Slurm: submitted, watched, killed, repeated.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::super::site::Site;
use super::daemons::Daemons;
use crate::cloud::sheltered;
use crate::failure::{Context, Failure};
use crate::shell::output;

/// The commands of Slurm, in the environment of a user.
pub(crate) struct Slurm<'a> {
    site: &'a Site,
    configuration: PathBuf,
    /// `PATH`, with the tool.
    path: OsString,
}

impl<'a> Slurm<'a> {
    /// The commands for these daemons.
    pub(crate) fn new(site: &'a Site, daemons: &Daemons, tool: &Path) -> Result<Self, Failure> {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = tool.parent().map(Path::to_owned).into_iter().chain(env::split_paths(&path));
        let path = env::join_paths(folders).context(|| "PATH")?;
        Ok(Self { site, configuration: daemons.configuration(), path })
    }

    /// Submits the array of 8 tasks that copies from A to B.
    pub(crate) fn submit_array(
        &self,
        script: &Path,
        options: &[&str],
    ) -> Result<Array<'_>, Failure> {
        let mut sbatch = self.command("sbatch");
        sbatch.arg("--parsable").arg(script).args([&self.site.a.url, &self.site.b.url]);
        sbatch.args(["--owner", "caller", "--cacert"]).arg(self.site.path("ca.pem")).args(options);
        Ok(Array { slurm: self, job: output(&mut sbatch)?.trim().to_owned() })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = sheltered(program);
        command.env("SLURM_CONF", &self.configuration).env("PATH", &self.path);
        command.env("WORK", self.work()).current_dir(&self.site.directory);
        command
    }

    fn work(&self) -> PathBuf {
        self.site.path("work")
    }

    /// Waits until a job, or every task of an array, has ended.
    fn wait(&self, job: &str) -> Result<(), Failure> {
        let mut squeue = self.command("squeue");
        squeue.args(["--noheader", "--jobs", job]);
        until(|| Ok(output(&mut squeue)?.trim().is_empty().then_some(())))
            .context(|| format!("the job {job} does not end"))
    }
}

/// A job array.
pub(crate) struct Array<'a> {
    slurm: &'a Slurm<'a>,
    job: String,
}

impl Array<'_> {
    /// The directory of the tasks' reports.
    pub(crate) fn reports(&self) -> PathBuf {
        self.slurm.work().join(&self.job)
    }

    /// Waits until every task has ended.
    pub(crate) fn wait(&self) -> Result<(), Failure> {
        self.slurm.wait(&self.job)
    }

    /// Submits a job that merges the reports once the array has ended. Returns its number.
    pub(crate) fn merge_afterwards(&self) -> Result<String, Failure> {
        let mut sbatch = self.slurm.command("sbatch");
        let merge = format!("glance-replicator report merge {}", self.reports().display());
        sbatch.args(["--parsable", &format!("--dependency=afterany:{}", self.job)]);
        Ok(output(sbatch.arg(format!("--wrap={merge}")))?.trim().to_owned())
    }

    /// The output of another job, once it has ended.
    pub(crate) fn output_of(&self, job: &str) -> Result<String, Failure> {
        self.slurm.wait(job)?;
        let file = self.slurm.site.path(&format!("slurm-{job}.out"));
        fs::read_to_string(&file).context(|| file.display().to_string())
    }

    /// Kills a task by SIGKILL while it sends data.
    pub(crate) fn kill_during_upload(&self, task: u8) -> Result<(), Failure> {
        let pid = self.uploading(task)?;
        kill_process(pid, Signal::KILL).context(|| format!("cannot kill the task {task}"))
    }

    /// Sends SIGTERM to a task while it sends data, as Slurm does before the time limit.
    pub(crate) fn stop_during_upload(&self, task: u8) -> Result<(), Failure> {
        self.uploading(task)?;
        let mut scancel = self.slurm.command("scancel");
        output(scancel.args(["--batch", "--signal=TERM", &self.name(task)])).map(drop)
    }

    /// Puts a task that has ended back into the queue.
    pub(crate) fn repeat(&self, task: u8) -> Result<(), Failure> {
        let mut scontrol = self.slurm.command("scontrol");
        output(scontrol.args(["requeue", &self.name(task)])).map(drop)
    }

    /// Fails unless a task has ended with this code and signal, as in `0:9`.
    pub(crate) fn expect_exit(&self, task: u8, code: &str) -> Result<(), Failure> {
        let mut scontrol = self.slurm.command("scontrol");
        let said = output(scontrol.args(["show", "job", &self.name(task)]))?;
        match said.contains(&format!(" ExitCode={code}\n")) {
            true => Ok(()),
            false => Err(Failure::new(format!("the task {task} should exit {code}:\n{said}"))),
        }
    }

    fn name(&self, task: u8) -> String {
        format!("{}_{task}", self.job)
    }

    /// Waits until a task sends data, which its journal shows. Returns its process.
    fn uploading(&self, task: u8) -> Result<Pid, Failure> {
        let journals = self.slurm.work().join(format!("state-{task}-8/journal"));
        until(|| Ok(uploading_process(&journals)))
            .context(|| format!("the task {task} sends no data"))
    }
}

/// The process whose journal in this directory ends with an upload.
fn uploading_process(journals: &Path) -> Option<Pid> {
    let mut files = fs::read_dir(journals).ok()?.flatten().map(|entry| entry.path());
    let journal = files.find(|path| path.extension().is_some_and(|it| it == "ndjson"))?;
    let text = fs::read_to_string(journal).ok()?;
    let lines: Vec<Value> =
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let run = lines.iter().rfind(|line| line["line"] == "run")?;
    let is_uploading = lines.last()?["phase"] == "uploading";
    let pid = i32::try_from(run["pid"].as_i64()?).ok()?;
    Pid::from_raw(pid).filter(|_| is_uploading)
}

/// Repeats a question until it has an answer.
fn until<T>(mut question: impl FnMut() -> Result<Option<T>, Failure>) -> Result<T, Failure> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = question()? {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            return Err(Failure::new(format!("not within {} s", DEADLINE.as_secs())));
        }
        sleep(POLL);
    }
}

const DEADLINE: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(50);
