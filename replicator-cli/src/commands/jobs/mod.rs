//! `run` and `config`: run the jobs of a job file, and check such a file.

use std::path::Path;
use std::time::Instant;

use self::file::Problem;
use self::job::Job;
use self::keys::Keys;
use super::perform;
use crate::args::{Args, JobFileCommand, Options, RunJobs, suggestion};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::recorded_args;
use crate::report::{self, EndedJob, JobResult};
use crate::signals::SignalHandler;

mod file;
mod job;
mod keys;
mod schema;

/// Runs the jobs one after the other. Returns the worst exit.
pub(super) async fn run(
    typed: RunJobs,
    options: &Options,
    stopping: &SignalHandler,
) -> Result<Exit, CliError> {
    let jobs = match read(&typed.config)? {
        Ok(jobs) => chosen(jobs, &typed.job)?,
        Err(exit) => return Ok(exit),
    };
    let mut exit = Exit::Success;
    let mut ended = Vec::new();
    for job in &jobs {
        if exit.is_by_signal() {
            ended.push(EndedJob { name: &job.name, result: JobResult::NotStarted });
            continue;
        }
        let begun = Instant::now();
        let result = match one(job, typed.dry_run, options, stopping).await {
            Some(of_job) => {
                exit = exit.worse(of_job);
                JobResult::Ended(of_job, begun.elapsed())
            }
            None => JobResult::LeftOut,
        };
        ended.push(EndedJob { name: &job.name, result });
    }
    report::jobs(&ended);
    Ok(exit)
}

/// Runs `config check` or `config schema`.
pub(super) fn config(typed: &JobFileCommand) -> Result<Exit, CliError> {
    match typed {
        JobFileCommand::Check { config } => Ok(match read(config)? {
            Ok(jobs) => {
                report::sound_jobs(config, jobs.len());
                Exit::Success
            }
            Err(exit) => exit,
        }),
        JobFileCommand::Schema => {
            report::job_schema(&schema::schema(&Keys::of(&Args::tree())));
            Ok(Exit::Success)
        }
    }
}

/// Reads a job file. If it has problems, prints them and returns the exit.
fn read(path: &Path) -> Result<Result<Vec<Job>, Exit>, CliError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        CliError::usage(format!("cannot read the job file {}", path.display())).caused_by(error)
    })?;
    Ok(job::jobs(&text).map_err(|problems| {
        for problem in &problems {
            output::failure(&CliError::usage(described(path, &text, problem)));
        }
        Exit::Usage
    }))
}

/// A problem with the file, line and column, in the form that editors understand.
fn described(path: &Path, text: &str, problem: &Problem) -> String {
    let before = text.get(..problem.at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{}:{line}:{column}: {}", path.display(), problem.message)
}

/// The jobs with these names, in the order of the file; all jobs if there are no names.
fn chosen(jobs: Vec<Job>, names: &[String]) -> Result<Vec<Job>, CliError> {
    let known: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    if let Some(absent) = names.iter().find(|name| !known.contains(&&***name)) {
        let suggestion = suggestion(absent, known.iter().copied());
        let what = format!("the job file has no job `{absent}`{suggestion}");
        return Err(CliError::usage(what).hint(format!("its jobs are {}", known.join(", "))));
    }
    let is_chosen = |job: &Job| names.is_empty() || names.contains(&job.name);
    Ok(jobs.into_iter().filter(is_chosen).collect())
}

/// Runs one job, as its command line would run. `None` if its command has no dry run and this is one.
async fn one(
    job: &Job,
    dry_run: bool,
    options: &Options,
    stopping: &SignalHandler,
) -> Option<Exit> {
    let mut line = job.line.clone();
    if dry_run {
        // The files of a dry run could be mistaken for those of a run.
        line.retain(|word| !["--report=", "--metrics="].iter().any(|file| word.starts_with(file)));
        if job.can_rehearse {
            line.insert(1, "--dry-run".to_owned());
        }
    }
    report::begun_job(&job.name, &line);
    if dry_run && !job.can_rehearse {
        return None;
    }
    let args = match parsed(job, &line, options) {
        Ok(args) => args,
        Err(error) => return Some(output::failure(&error)),
    };
    let ended = match output::begin(&args.command, &args.options) {
        Ok(()) => Box::pin(perform(args.command, args.options, stopping)).await,
        Err(error) => Err(error),
    };
    Some(report::end(ended.unwrap_or_else(|error| output::failure(&error))))
}

/// The arguments of a job with this command line.
fn parsed(job: &Job, line: &[String], options: &Options) -> Result<Args, CliError> {
    let (mut args, matches) = job::parsed(line)?;
    args.options.typed = recorded_args::typed(job::typed(line), &matches);
    args.options.job = Some(job.name.clone());
    args.options.require_fips |= options.require_fips;
    Ok(args)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_described_by_line_and_column() {
        let text = "a = 1\nä = b\n";
        let problem = |at| Problem { at, message: "wrong".to_owned() };
        let told = |at| described(Path::new("jobs.toml"), text, &problem(at));
        assert_eq!(told(0), "jobs.toml:1:1: wrong");
        assert_eq!(told(text.find('b').unwrap()), "jobs.toml:2:5: wrong");
        assert_eq!(told(text.len()), "jobs.toml:3:1: wrong");
    }
}
