//! The reports of `run` and `config`.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::exit::Exit;
use crate::output::{self, JsonWriter, shell_line};

/// A job of a job file, at the end.
#[derive(Debug)]
pub(crate) struct EndedJob<'a> {
    pub(crate) name: &'a str,
    /// The exit and the duration; `None` if a signal stopped an earlier job.
    pub(crate) result: Option<(Exit, Duration)>,
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
            Some((exit, took)) => {
                out!("job {name}: exit code {}, {:.1} s", *exit as u8, took.as_secs_f64());
            }
            None => out!("job {name}: not started"),
        }
        json.entry("jobs", &json_job(name, *result));
    }
    json.end_list("jobs");
    json.finish();
}

fn json_job(name: &str, result: Option<(Exit, Duration)>) -> Value {
    json!({
        "name": name,
        "exit_code": result.map(|(exit, _)| exit as u8),
        "seconds": result.map(|(_, took)| took.as_secs_f64()),
    })
}

/// Says that a job file has no problem.
pub(crate) fn sound_jobs(path: &Path, jobs: usize) {
    let noun = if jobs == 1 { "job" } else { "jobs" };
    out!("{}: {jobs} {noun}, no errors", path.display());
    let mut json = JsonWriter::to_results();
    json.field("jobs", &json!(jobs));
    json.finish();
}

/// Prints the JSON Schema of job files.
pub(crate) fn job_schema(schema: &Value) {
    output::script(&format!("{schema:#}\n"));
}
