//! The commands that synchronize stores or compare them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use keystone_auth::Projects;
use replicator_engine::{
    self, CancelMode, CancelReason, CancelToken, Entry, Mapping, Replication, Run, RunError, State,
};

use super::dump::write_projects;
use super::metadefs::Metadefs;
use super::work::{Conclusion, JournalMode, RunContext, Source, Work};
use super::{both, one_to_many};
use crate::args::{Compare, Options, Plan, Sync};
use crate::error::CliError;
use crate::exit::Exit;
use crate::named_file::create_in_place;
use crate::output;
use crate::report;
use crate::report::{Combined, Subject};
use crate::resolve::endpoint::{Access, Endpoint, Opened};
use crate::resolve::journals;
use crate::resolve::selection::{Selected, warn_of_no_image};
use crate::saved_plan;
use crate::signals::SignalHandler;

/// A target store, with its argument on the command line.
pub(super) struct Target {
    pub(super) word: String,
    pub(super) endpoint: Endpoint,
}

/// `livecopy`, and the common part of other commands: replicates from one store to others.
pub(super) async fn replicate(
    from: Endpoint,
    to: Vec<Target>,
    how: RunContext<'_>,
    selected: &Selected,
    options: &Options,
    stopping: &SignalHandler,
) -> Result<Exit, CliError> {
    let works = open_all(from, to, &how, selected, options).await?;
    Ok(run_all(works, options, stopping).await)
}

/// Opens a source and all its targets. If there are several targets, a target that fails to open is
/// reported at the end, unless the error is a usage error.
async fn open_all(
    from: Endpoint,
    to: Vec<Target>,
    how: &RunContext<'_>,
    selected: &Selected,
    options: &Options,
) -> Result<Vec<(String, Result<Work, CliError>)>, CliError> {
    let source = Source::open(from, selected, options).await?;
    let is_one = to.len() == 1;
    let opened = to.into_iter().map(async |Target { word, endpoint }| {
        let work = source.ready(endpoint, how).await;
        (word, work)
    });
    let opened = join_all(opened).await;
    let mut works: Vec<(String, Result<Work, CliError>)> = Vec::new();
    for (word, work) in opened {
        let work = match work {
            Err(error) if is_one => return Err(error),
            Err(error) if error.exit == Exit::Usage => return Err(error.at(&word)),
            work => work,
        };
        works.push((word, work));
    }
    if !is_one {
        refuse_the_same(&works)?;
        let named: Vec<&str> = works.iter().map(|(word, _)| word.as_str()).collect();
        output::report_is_of(selected, &source.opened.address, Some(&named.join(" ")));
    }
    Ok(works)
}

/// Fails if two targets are the same store: uploads to the same record would conflict.
fn refuse_the_same(works: &[(String, Result<Work, CliError>)]) -> Result<(), CliError> {
    let mut known = BTreeMap::new();
    for (word, work) in works {
        let Ok(work) = work else { continue };
        if let Some(other) = known.insert(&work.target.address, word) {
            let what = format!("{other} and {word} are the same store, {}", work.target.address);
            return Err(CliError::usage(what).hint("name each target once"));
        }
    }
    Ok(())
}

/// Replicates to all targets concurrently, and prints the reports.
async fn run_all(
    works: Vec<(String, Result<Work, CliError>)>,
    options: &Options,
    stopping: &SignalHandler,
) -> Exit {
    let named: Vec<String> = works.iter().map(|(word, _)| word.clone()).collect();
    let mut reports = report::Reports::new(options, &named);
    let stop = stopping.take_over();
    let (mut replications, mut ends, mut limit) = (Vec::new(), Vec::<End>::new(), None);
    let mut is_stream = false;
    let this_run = journals::this_run(options);
    for (target, (_, work)) in works.into_iter().enumerate() {
        let work = match work {
            Ok(work) => work.begin(&this_run).await,
            Err(error) => Err(error),
        };
        match work {
            Err(error) => reports.ended(target, Err(error), None),
            Ok(work) => {
                (limit, is_stream) = (work.limit, work.source.is_stream());
                let (mut replication, end) = End::of(work, target);
                replication.policy.stop = stop.clone();
                replications.push(replication);
                ends.push(end);
            }
        }
    }
    let observe = |number: usize, outcome| reports.outcome(ends[number].target, &outcome);
    let run = replicator_engine::run_all(&replications, observe);
    let ended = tokio::select! {
        ended = run => ended,
        never = out_of_time(limit, &stop) => match never {},
    };
    stopping.release();
    for ((end, replication), ended) in ends.iter().zip(&replications).zip(ended) {
        // A signal may have arrived after the engine finished.
        let ended = match (ended, stop.why()) {
            (Ok(()), Some(why)) if why.ends_run() || end.metadefs.is_some() => {
                Err(RunError::Stopped { why, left: 0, unseen: false })
            }
            (ended, _) => ended,
        };
        end.finish(ended, &replication.policy.mapping, &this_run, &mut reports).await;
    }
    if let Some(one) = replications.first().filter(|_| reports.is_empty() && !is_stream) {
        let warned = warn_of_no_image(&*one.source, &one.policy.selection).await;
        reports.ended(ends[0].target, warned.map_err(Into::into), None);
    }
    reports.finish()
}

/// The work at a target after its images are copied.
struct End {
    /// The index of the target on the command line.
    target: usize,
    metadefs: Option<Metadefs>,
    keeping: JournalMode,
    /// The target. It stays open until then, and locked if it is a directory.
    written: Opened,
    named: Option<Arc<Projects>>,
    conclusion: Conclusion,
}

impl End {
    fn of(work: Work, target: usize) -> (Replication, Self) {
        let Work { replication, metadefs, keeping, target: written, named, conclusion, .. } = work;
        (replication, Self { target, metadefs, keeping, written, named, conclusion })
    }

    /// Copies metadata definitions, finishes a directory and ends the journal, as far as the result
    /// `ended` of the run allows.
    async fn finish(
        &self,
        ended: Result<(), RunError>,
        mapping: &Mapping,
        run: &Run,
        reports: &mut report::Reports,
    ) {
        let target = self.target;
        reports.left(target, ended.as_ref().err().map_or(0, RunError::left));
        let is_early = ended.as_ref().is_err_and(RunError::is_early);
        let mut of_metadefs = None;
        let ended = match (ended, &self.metadefs) {
            (Ok(()), Some(metadefs)) => {
                let written = of_metadefs.insert(reports.of_metadefs());
                metadefs.run(mapping, written, drop).await
            }
            (ended, _) => ended.map_err(Into::into),
        };
        reports.ended(target, ended, of_metadefs);
        let concluded = self.conclude(reports.exit(target)).await;
        reports.ended(target, concluded, None);
        if let JournalMode::Run(file) = &self.keeping {
            let kept = journals::end(file, run, reports.exit(target), !is_early).await;
            reports.ended(target, kept, None);
        }
    }

    /// Writes the names of the projects to a directory, and marks the directory as finished if the
    /// exit of the run allows it.
    async fn conclude(&self, exit: Exit) -> Result<(), CliError> {
        let Some(dump) = &self.written.dump else { return Ok(()) };
        if let Some(projects) = &self.named {
            write_projects(dump, projects).await?;
        }
        let is_well = matches!(exit, Exit::Success | Exit::Lost);
        if is_well && self.conclusion == Conclusion::Finished {
            dump.finish().await?;
        }
        Ok(())
    }
}

/// Stops a run when its time limit is reached.
async fn out_of_time(limit: Option<Duration>, stop: &CancelToken) -> Infallible {
    if let Some(limit) = limit {
        tokio::time::sleep(limit).await;
        output::stopping(CancelReason::OutOfTime);
        stop.stop(CancelMode::Abort, CancelReason::OutOfTime);
    }
    std::future::pending().await
}

impl Work {
    pub(super) async fn run(
        self,
        options: &Options,
        stopping: &SignalHandler,
    ) -> Result<Exit, CliError> {
        self.check_endurance(options).await?;
        Ok(self.run_unchecked(options, stopping).await)
    }

    /// Runs without checking first whether the tokens last.
    pub(super) async fn run_unchecked(self, options: &Options, stopping: &SignalHandler) -> Exit {
        run_all(vec![(String::new(), Ok(self))], options, stopping).await
    }
}

/// Runs `compare`.
pub(super) async fn compare(
    typed: Compare,
    selected: &Selected,
    options: &Options,
) -> Result<Exit, CliError> {
    let (from, to) = both(&typed.from, &typed.to, options)?;
    let work = Work::open(from, to, Access::Read, selected, options).await?;
    let combined = match typed.combined.as_deref() {
        None => Combined::Off,
        Some(path) if path == Path::new("-") => Combined::Output,
        Some(path) => Combined::File(BufWriter::new(
            create_in_place(path).map_err(|error| cannot_write(path, error))?,
        )),
    };
    let mut report = report::Comparison::new(options.output, Subject::States, combined);
    let observe = |entry: Entry| {
        if !(typed.one_way && entry.state == State::Extra) {
            report.entry(&entry);
        }
    };
    work.replication.plan(observe).await?;
    warn_if_empty(&report, &work.replication).await?;
    let path = typed.combined.unwrap_or_default();
    report.finish().map_err(|error| cannot_write(&path, error))
}

/// Runs `plan`.
pub(super) async fn plan(
    typed: Plan,
    selected: &Selected,
    options: &Options,
) -> Result<Exit, CliError> {
    let (from, to) = both(&typed.sides.from, &typed.sides.to, options)?;
    let work = Work::open(from, to, Access::Read, selected, options).await?;
    let work = work.removing(&typed.removal, options.identity.match_by)?;
    let mut saved = typed.out.as_deref().map(saved_plan::Writer::create).transpose()?;
    let mut report = report::Comparison::new(options.output, Subject::Actions, Combined::Off);
    let observe = |entry: Entry| {
        report.entry(&entry);
        if let Some(saved) = &mut saved {
            saved.entry(&entry);
        }
    };
    work.replication.plan(observe).await?;
    warn_if_empty(&report, &work.replication).await?;
    if let Some(saved) = saved {
        saved.finish()?;
    }
    report.finish().map_err(|error| cannot_write(Path::new(""), error))
}

async fn warn_if_empty(
    report: &report::Comparison,
    compared: &Replication,
) -> Result<(), CliError> {
    if report.is_empty() {
        warn_of_no_image(&*compared.source, &compared.policy.selection).await?;
    }
    Ok(())
}

/// Runs `sync`.
pub(super) async fn sync(
    typed: Sync,
    selected: &Selected,
    options: &Options,
    stopping: &SignalHandler,
) -> Result<Exit, CliError> {
    if typed.plan.is_some() && typed.to.len() > 1 {
        let what = "--plan is for one target: a plan is made for two sides";
        return Err(CliError::usage(what).hint("sync by each plan on its own, or by none"));
    }
    let (from, to) = one_to_many(&typed.from, &typed.to, options)?;
    let metadefs = typed.metadefs.which();
    let how = RunContext { course: &typed.course, metadefs, removing: Some(&typed.removal) };
    let works = open_all(from, to, &how, selected, options).await?;
    if let (Some(path), [(_, Ok(work))]) = (&typed.plan, &works[..]) {
        let mut planned = saved_plan::Checker::open(path)?;
        work.replication.plan(|entry| planned.entry(&entry)).await?;
        planned.finish()?;
    }
    Ok(run_all(works, options, stopping).await)
}

fn cannot_write(path: &Path, error: std::io::Error) -> CliError {
    CliError::unwritten(format!("cannot write {}", path.display()), error)
}
