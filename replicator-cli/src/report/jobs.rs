//! The reports of `run` and `config`.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::recovery::line;
use crate::exit::Exit;

/// A job of a job file, at the end.
#[derive(Debug)]
pub(crate) struct EndedJob<'a> {
    pub(crate) name: &'a str,
    /// The exit and the duration; `None` if a signal stopped an earlier job.
    pub(crate) result: Option<(Exit, Duration)>,
}

/// Says which job begins.
pub(crate) fn begun_job(name: &str, command: &[String]) {
    err!("job {name}: glance-replicator {}", line(command));
}

/// Prints one line for each job.
pub(crate) fn jobs(jobs: &[EndedJob<'_>]) {
    for EndedJob { name, result } in jobs {
        match result {
            Some((exit, took)) => {
                out!("job {name}: exit code {}, {:.1} s", *exit as u8, took.as_secs_f64());
            }
            None => out!("job {name}: not started"),
        }
    }
}

/// Says that a job file has no problem.
pub(crate) fn sound_jobs(path: &Path, jobs: usize) {
    let noun = if jobs == 1 { "job" } else { "jobs" };
    out!("{}: {jobs} {noun}, no errors", path.display());
}

/// Prints the JSON Schema of job files.
pub(crate) fn job_schema(schema: &Value) {
    out_json!("{schema:#}");
}
