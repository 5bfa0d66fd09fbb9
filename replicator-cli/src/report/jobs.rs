//! The reports of `run` and `config`.

use std::path::Path;
use std::time::Duration;

use glance_core::units::plural;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::output::{self, JsonWriter, shell_line};

/// A job of a job file, at the end.
#[derive(Debug)]
pub(crate) struct EndedJob<'a> {
    pub(crate) name: &'a str,
    pub(crate) result: JobResult,
}

/// How a job ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum JobResult {
    /// The exit and the duration.
    Ended(Exit, Duration),
    /// A dry run leaves out this job, whose command has no dry run.
    LeftOut,
    /// A signal stopped an earlier job.
    NotStarted,
}

/// Says which job begins.
pub(crate) fn begun_job(name: &str, command: &[String]) {
    err!("job {name}: glance-replicator {}", shell_line(command));
}

/// Prints one line for each job.
pub(crate) fn jobs(jobs: &[EndedJob<'_>]) {
    let mut json = JsonWriter::to_results();
    for EndedJob { name, result } in jobs {
        match result {
            JobResult::Ended(exit, took) => {
                out!("job {name}: exit code {}, {:.1} s", *exit as u8, took.as_secs_f64());
            }
            JobResult::LeftOut => out!("job {name}: not run, because its command has no dry run"),
            JobResult::NotStarted => out!("job {name}: not started"),
        }
        json.entry("jobs", &json_job(name, *result));
    }
    json.end_list("jobs");
    json.finish();
}

fn json_job(name: &str, result: JobResult) -> Value {
    let ended = match result {
        JobResult::Ended(exit, took) => Some((exit, took)),
        JobResult::LeftOut | JobResult::NotStarted => None,
    };
    json!({
        "name": name,
        "exit_code": ended.map(|(exit, _)| exit as u8),
        "seconds": ended.map(|(_, took)| took.as_secs_f64()),
    })
}

/// Says that a job file has no problem.
pub(crate) fn sound_jobs(path: &Path, jobs: usize) {
    out!("{}: {jobs} job{}, no errors", path.display(), plural(jobs));
    let mut json = JsonWriter::to_results();
    json.field("jobs", &json!(jobs));
    json.finish();
}

/// Prints the JSON Schema of job files.
pub(crate) fn job_schema(schema: &Value) {
    output::script(&format!("{schema:#}\n"));
}
