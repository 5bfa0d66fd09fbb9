//! The commands that synchronize stores or compare them.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use keystone_auth::Projects;
use replicator_engine::{
    self, CancelMode, CancelReason, CancelToken, Claim, Entry, Mapping, Replication, Run, RunError,
    State,
};

use super::dry_run::dry_run;
use super::dump::write_projects;
use super::metadefs::Metadefs;
use super::work::{Conclusion, JournalMode, RunContext, Source, Work};
use super::{Context, both, one_to_many};
use crate::args::{Compare, Options, Plan, Sync};
use crate::error::CliError;
use crate::exit::Exit;
use crate::named_file::create_in_place;
use crate::output;
use crate::progress;
use crate::report;
use crate::report::{Combined, Subject};
use crate::resolve::endpoint::{Access, Endpoint, Opened};
use crate::resolve::journals::{self, Reach};
use crate::resolve::selection::warn_of_no_image;
use crate::saved_plan;
use crate::signals::SignalHandler;

/// A target store, with its argument on the command line.
pub(super) struct Target {
    pub(super) word: String,
    pub(super) endpoint: Endpoint,
}

/// The argument that names a target, and the replication to it.
pub(super) type Opening = (String, Result<Work, CliError>);

/// `livecopy`, and the common part of other commands: replicates from one store to others.
pub(super) async fn replicate(
    from: Endpoint,
    to: Vec<Target>,
    how: RunContext<'_>,
    context: Context<'_>,
) -> Result<Exit, CliError> {
    let works = open_all(from, to, &how, context).await?;
    run_or_plan(works, how.dry_run, context).await
}

/// Replicates to all targets, or in a dry run only reports what a run would do.
async fn run_or_plan(
    works: Vec<Opening>,
    is_dry_run: bool,
    context: Context<'_>,
) -> Result<Exit, CliError> {
    match is_dry_run {
        true => dry_run(works).await,
        false => Ok(run_all(works, context.options, context.stopping).await),
    }
}

/// Opens a source and all its targets. If there are several targets, a target that fails to open is
/// reported at the end, unless the error is a usage error.
async fn open_all(
    from: Endpoint,
    to: Vec<Target>,
    how: &RunContext<'_>,
    context: Context<'_>,
) -> Result<Vec<Opening>, CliError> {
    let Context { selected, options, .. } = context;
    refuse_equal_words(&to)?;
    let source = Source::open(from, selected, options).await?;
    let opened = to.into_iter().map(async |Target { word, endpoint }| {
        let work = source.opening(endpoint, how).await;
        (word, work)
    });
    let opened = join_all(opened).await;
    for (index, (_, work)) in opened.iter().enumerate() {
        if let Ok(work) = work {
            output::opened_target(index, &work.target.address);
        }
    }
    let mut works = without_usage_errors(opened)?;
    refuse_the_same(&works)?;
    // A dry run neither takes claims nor waits for those of other runs.
    if !how.dry_run {
        claim_all(&source, &mut works, how).await;
    }
    let ready = works.into_iter().map(async |(word, work)| match work {
        Ok(work) => (word, source.ready(work, how).await),
        Err(error) => (word, Err(error)),
    });
    without_usage_errors(join_all(ready).await)
}

/// Fails if a target has a usage error, or if the only target has any error.
fn without_usage_errors(mut works: Vec<Opening>) -> Result<Vec<Opening>, CliError> {
    let is_one = works.len() == 1;
    let is_fatal = |error: &CliError| is_one || error.exit == Exit::Usage;
    let fatal = |(_, work): &Opening| work.as_ref().is_err_and(is_fatal);
    match works.iter().position(fatal).map(|at| works.swap_remove(at)) {
        Some((word, Err(error))) if !is_one => Err(error.at(&word)),
        Some((_, Err(error))) => Err(error),
        _ => Ok(works),
    }
}

/// Claims the pairs of the source and each target, in the order of the targets' addresses: two runs
/// that wait for claims then never wait for each other.
async fn claim_all(source: &Source<'_>, works: &mut [Opening], how: &RunContext<'_>) {
    let address =
        |work: &Result<Work, CliError>| work.as_ref().ok().map(|work| work.target.address.clone());
    let mut ordered: Vec<&mut Opening> = works.iter_mut().collect();
    ordered.sort_by_cached_key(|(_, work)| address(work));
    for (_, work) in ordered {
        let Ok(open) = work else { continue };
        if let Err(error) = open.keep_a_journal(source, how.claim()).await {
            *work = Err(error);
        }
    }
}

/// Fails if two targets have the same argument, which names the target in reports. A target that
/// cannot be opened is refused too.
fn refuse_equal_words(targets: &[Target]) -> Result<(), CliError> {
    let mut known = BTreeSet::new();
    match targets.iter().find(|target| !known.insert(&target.word)) {
        None => Ok(()),
        Some(Target { word, .. }) => {
            let what = format!("the target {word} is named twice");
            Err(CliError::usage(what).hint("name each target once"))
        }
    }
}

/// Fails if two targets are the same store: uploads to the same record would conflict.
fn refuse_the_same(works: &[Opening]) -> Result<(), CliError> {
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

/// Replicates to all targets concurrently, and writes the report.
async fn run_all(works: Vec<Opening>, options: &Options, stopping: &SignalHandler) -> Exit {
    let named: Vec<String> = works.iter().map(|(word, _)| word.clone()).collect();
    let mut reports = report::Reports::new(options, &named);
    run_part(works, &mut reports, options, stopping).await;
    reports.finish()
}

/// Replicates to all targets concurrently.
async fn run_part(
    works: Vec<Opening>,
    reports: &mut report::Reports,
    options: &Options,
    stopping: &SignalHandler,
) {
    let stop = stopping.take_over();
    let run = journals::this_run(options);
    let (replications, targets) = begin_all(works, &run, &stop, reports).await;
    let limit = targets.first().and_then(|target| target.limit);
    let observe = |number: usize, outcome| reports.outcome(targets[number].index, &outcome);
    let running = replicator_engine::run_all(&replications, observe);
    let ended = tokio::select! {
        ended = running => ended,
        never = out_of_time(limit, &stop) => match never {},
    };
    stopping.release();
    progress::end();
    for ((target, replication), ended) in targets.iter().zip(&replications).zip(ended) {
        let ended = target.ended(ended, &stop);
        target.finish(ended, &replication.policy.mapping, &run, reports).await;
    }
    if let (Some(target), Some(replication)) = (targets.first(), replications.first()) {
        if reports.is_empty() && !target.is_from_stream {
            let (source, selection) = (&*replication.source, &replication.policy.selection);
            let warned = warn_of_no_image(source, selection).await;
            reports.ended(target.index, warned.map_err(Into::into));
        }
    }
}

/// Begins the journal of each target. Reports the targets that cannot be replicated to, and returns
/// the replications to all others.
async fn begin_all(
    works: Vec<Opening>,
    run: &Run,
    stop: &CancelToken,
    reports: &mut report::Reports,
) -> (Vec<Replication>, Vec<TargetRun>) {
    let (mut replications, mut targets) = (Vec::new(), Vec::new());
    for (index, (_, work)) in works.into_iter().enumerate() {
        let begun = match work {
            Ok(work) => work.begin(run).await,
            Err(error) => Err(error),
        };
        match begun {
            Err(error) => reports.ended(index, Err(error)),
            Ok(work) => {
                let (mut replication, target) = TargetRun::of(work, index);
                replication.policy.stop = stop.clone();
                replications.push(replication);
                targets.push(target);
            }
        }
    }
    (replications, targets)
}

/// The run at one target: the work beyond the copies of images.
struct TargetRun {
    /// The index of the target on the command line.
    index: usize,
    metadefs: Option<Metadefs>,
    journal: JournalMode,
    /// The target. It stays open until the end, and locked if it is a directory.
    opened: Opened,
    named: Option<Arc<Projects>>,
    conclusion: Conclusion,
    /// The time limit of the run.
    limit: Option<Duration>,
    /// How long to wait for other runs.
    wait: Duration,
    is_from_stream: bool,
    /// The source, if it is a directory whose dump was not completed.
    unfinished: Option<String>,
}

impl TargetRun {
    fn of(work: Work, index: usize) -> (Replication, Self) {
        let is_from_stream = work.source.is_stream();
        let unfinished = work.source.unfinished.clone();
        let Work { replication, metadefs, keeping, target, named, conclusion, limit, .. } = work;
        let target = Self {
            index,
            metadefs,
            journal: keeping,
            opened: target,
            named,
            conclusion,
            limit,
            wait: replication.policy.wait,
            is_from_stream,
            unfinished,
        };
        (replication, target)
    }

    /// How the run ended. A signal may have arrived after the engine finished.
    fn ended(&self, ended: Result<(), RunError>, stop: &CancelToken) -> Result<(), RunError> {
        match (ended, stop.why()) {
            (Ok(()), Some(why)) if why.ends_run() || self.metadefs.is_some() => {
                Err(RunError::Stopped { why, left: 0, unseen: false })
            }
            (ended, _) => ended,
        }
    }

    /// Fails if the source is an unfinished dump: images or their data may be missing.
    fn source_was_complete(&self) -> Result<(), CliError> {
        let Some(unfinished) = &self.unfinished else { return Ok(()) };
        let what = format!("{unfinished} is unfinished, so images or their data may be missing");
        Err(CliError::some_failed(what).hint("run the dump again, then this command"))
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
        let index = self.index;
        reports.left(index, ended.as_ref().err().map_or(0, RunError::left));
        let reach = match &ended {
            Err(error) if error.is_early() => Reach::Partial,
            Err(RunError::NothingRemoved(_)) => Reach::AllButRemovals,
            _ => Reach::AllTried,
        };
        let ended = match (ended, &self.metadefs) {
            (Ok(()), Some(metadefs)) => match self.claim_metadefs().await {
                Ok(_claim) => metadefs.run(mapping, reports.metadefs(index), drop).await,
                Err(error) => Err(error),
            },
            (ended, _) => ended.map_err(|error| match self.opened.in_directory {
                Some(_) => CliError::of_run_to_directory(error),
                None => error.into(),
            }),
        };
        reports.ended(index, ended);
        reports.ended(index, self.source_was_complete());
        let concluded = self.conclude(reports.exit(index)).await;
        reports.ended(index, concluded);
        if let JournalMode::Run(file) = &self.journal {
            let reach = if reports.has_images_in_use(index) { Reach::Partial } else { reach };
            let kept = journals::end(file, run, reports.exit(index), reach).await;
            reports.ended(index, kept);
        }
    }

    /// Claims the metadata definitions of the target, if the run has a journal.
    async fn claim_metadefs(&self) -> Result<Option<Claim>, CliError> {
        match &self.journal {
            JournalMode::Run(file) => journals::claim_metadefs(file, self.wait).await.map(Some),
            JournalMode::Nothing | JournalMode::EarlierRun(_) => Ok(None),
        }
    }

    /// Writes the names of the projects to a directory, and marks the directory as finished if the
    /// exit of the run allows it.
    async fn conclude(&self, exit: Exit) -> Result<(), CliError> {
        let Some(store) = &self.opened.in_directory else { return Ok(()) };
        if let Some(projects) = &self.named {
            write_projects(store, projects).await?;
        }
        let is_well = matches!(exit, Exit::Success | Exit::Lost);
        if is_well && self.conclusion == Conclusion::Finished {
            store.finish().await?;
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
        run_all(vec![(output::only_target(), Ok(self))], options, stopping).await
    }

    /// Runs as a part of several runs that have one report. Returns the exit of this part.
    pub(super) async fn run_part(
        self,
        reports: &mut report::Reports,
        options: &Options,
        stopping: &SignalHandler,
    ) -> Exit {
        reports.next_part(options);
        run_part(vec![(output::only_target(), Ok(self))], reports, options, stopping).await;
        reports.exit(0)
    }
}

/// Runs `compare`.
pub(super) async fn compare(typed: Compare, context: Context<'_>) -> Result<Exit, CliError> {
    let Context { selected, options, .. } = context;
    let (from, to) = both(&typed.from, &typed.to, options)?;
    let work = Work::open(from, to, Access::Read, selected, options).await?;
    let combined = match typed.combined.as_deref() {
        None => Combined::Off,
        Some(path) if path == Path::new("-") => Combined::Output,
        Some(path) => Combined::File(BufWriter::new(
            create_in_place(path).map_err(|error| cannot_write(path, error))?,
        )),
    };
    let mut report = report::Comparison::new(Subject::States, combined);
    let observe = |entry: Entry| {
        if !(typed.one_way && entry.state == State::Extra) {
            report.entry(0, &entry);
        }
    };
    let ended = work.replication.plan(observe).await;
    progress::end();
    ended?;
    warn_if_empty(&report, &work.replication).await?;
    let path = typed.combined.unwrap_or_default();
    report.finish().map_err(|error| cannot_write(&path, error))
}

/// Runs `plan`.
pub(super) async fn plan(typed: Plan, context: Context<'_>) -> Result<Exit, CliError> {
    let Context { selected, options, .. } = context;
    let (from, to) = both(&typed.sides.from, &typed.sides.to, options)?;
    let work = Work::open(from, to, Access::Read, selected, options).await?;
    let work = work.removing(&typed.removal, options.identity.match_by).await?;
    let mut saved = typed.out.as_deref().map(saved_plan::Writer::create).transpose()?;
    let mut report = report::Comparison::new(Subject::Actions, Combined::Off);
    let observe = |entry: Entry| {
        report.entry(0, &entry);
        if let Some(saved) = &mut saved {
            saved.entry(&entry);
        }
    };
    let ended = work.replication.plan(observe).await;
    progress::end();
    report.warn_of_refusal(0, ended?);
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
    if report.is_empty(0) {
        warn_of_no_image(&*compared.source, &compared.policy.selection).await?;
    }
    Ok(())
}

/// Runs `sync`.
pub(super) async fn sync(typed: Sync, context: Context<'_>) -> Result<Exit, CliError> {
    if typed.plan.is_some() && typed.to.len() > 1 {
        let what = "--plan can be used with one target only";
        return Err(CliError::usage(what)
            .hint("run `sync` once for each target and its plan, or leave out --plan"));
    }
    let (from, to) = one_to_many(&typed.from, &typed.to, context)?;
    let how = RunContext {
        course: &typed.course,
        metadefs: typed.metadefs.which(),
        removing: Some(&typed.removal),
        dry_run: typed.dry_run,
    };
    let works = open_all(from, to, &how, context).await?;
    if let (Some(path), [(_, Ok(work))]) = (&typed.plan, &works[..]) {
        let mut planned = saved_plan::Checker::open(path)?;
        work.replication.plan(|entry| planned.entry(&entry)).await?;
        planned.finish()?;
    }
    run_or_plan(works, typed.dry_run, context).await
}

fn cannot_write(path: &Path, error: std::io::Error) -> CliError {
    CliError::unwritten(format!("cannot write {}", path.display()), error)
}
