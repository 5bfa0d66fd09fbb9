//! `repair`: finds and completes images that earlier runs left unfinished at the target.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use glance_core::image::ImageId;
use glance_core::selection::Selection;
use replicator_engine::provenance;
use replicator_engine::{JournalContents, JournalFile, Leftover, LeftoverScan, LeftoverState, Run};

use super::resume::{go_to, understood};
use super::work::{JournalMode, Work};
use super::{Context, both};
use crate::args::{Args, Command, Compression, Options, Repair};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::report;
use crate::resolve::directories::DirectoryPlace;
use crate::resolve::endpoint::{Access, Endpoint, Side};
use crate::resolve::selection::Selected;
use crate::resolve::{journals, state};
use crate::tls;

/// Runs `repair`.
pub(super) async fn repair(typed: Repair, context: Context<'_>) -> Result<Exit, CliError> {
    let options = context.options;
    let (from, to) = both(&typed.sides.from, &typed.sides.to, options)?;
    let source = from.open(Side::Source, options).await?;
    output::opened_source(&source.address);
    let target = to.open_to(Access::Read, Side::Target, options).await?;
    output::opened_target(0, &target.address);
    source.refuse_same(&target)?;
    // A dry run writes nothing, not even a lock.
    let journals = match typed.dry_run {
        true => Vec::new(),
        false => journals::journals_of(&source, &target, options).await?,
    };
    let recorded = together(match typed.dry_run {
        true => journals::recorded_of(&source, &target, options)?,
        false => journals.iter().map(JournalFile::recorded).collect(),
    });
    let search = LeftoverScan {
        source: &*source.store,
        target: &*target.store,
        recorded: &recorded,
        stamp: &provenance::Source::new(&source.address),
        patience: if typed.dry_run { Duration::ZERO } else { PATIENCE },
    };
    let findings = search.run().await?;
    report::findings(&findings, state::journals(&options.state).is_some());
    if typed.dry_run {
        let is_clean = !findings.iter().any(Leftover::is_ours);
        return Ok(if is_clean { Exit::Success } else { Exit::Differences });
    }
    let mendable = mendable(&findings);
    let is_written = !mendable.is_empty();
    let repairs = Repairs { typed: &typed, journals: &journals, context };
    let mut reports = report::Reports::new(options, &[output::only_target()]);
    let exit = repairs.complete_all(mendable, &recorded, &mut reports).await;
    let exit = match is_written {
        true => exit.worse(reports.finish()),
        false => exit,
    };
    let exit = stuck(&findings).worse(exit);
    for journal in &journals {
        for finding in &findings {
            finding.close(journal).await;
        }
    }
    if let Some(place) = target.directory.filter(|_| is_written && exit == Exit::Success) {
        finish(&place, &recorded, options).await?;
    }
    Ok(exit)
}

/// Marks the repaired directory as finished, unless a run to it is unfinished: that run may not have
/// processed all images.
async fn finish(
    place: &DirectoryPlace,
    recorded: &JournalContents,
    options: &Options,
) -> Result<(), CliError> {
    let _lock = place.lock(&journals::this_process(options))?;
    let store = place.create(tls::hashers(options.tls)?)?;
    if recorded.unfinished().next().is_some() {
        tracing::warn!(
            "{} stays unfinished because a run to it was interrupted; complete it with `resume`",
            store.images()
        );
        return Ok(());
    }
    Ok(store.finish().await?)
}

/// The combined contents of several journals.
fn together(journals: Vec<JournalContents>) -> JournalContents {
    let mut all = JournalContents::default();
    for recorded in journals {
        all.merge(recorded);
    }
    all
}

/// The exit code for findings that cannot be repaired.
fn stuck(findings: &[Leftover]) -> Exit {
    findings.iter().fold(Exit::Success, |exit, finding| match &finding.standing {
        LeftoverState::Content(_) => exit.worse(Exit::Integrity),
        standing if standing.is_stuck() => exit.worse(Exit::SomeFailed),
        _ => exit,
    })
}

/// The images that can be repaired, grouped by the run that left them.
fn mendable(findings: &[Leftover]) -> BTreeMap<Option<&str>, BTreeSet<ImageId>> {
    let mut runs: BTreeMap<_, BTreeSet<ImageId>> = BTreeMap::new();
    for finding in findings.iter().filter(|finding| finding.standing == LeftoverState::Mendable) {
        let run = finding.left.as_ref().map(|left| left.run.as_str());
        runs.entry(run).or_default().insert(finding.image.clone());
    }
    runs
}

/// The repairs between two stores.
struct Repairs<'a> {
    typed: &'a Repair,
    journals: &'a [JournalFile],
    context: Context<'a>,
}

impl Repairs<'_> {
    /// Completes the images of all runs, until a signal arrives.
    async fn complete_all(
        &self,
        images: BTreeMap<Option<&str>, BTreeSet<ImageId>>,
        recorded: &JournalContents,
        reports: &mut report::Reports,
    ) -> Exit {
        let mut exit = Exit::Success;
        for (run, ids) in images {
            let completed = match run.and_then(|name| recorded.run(name)) {
                Some(run) => self.complete(run, ids, reports).await,
                None => self.complete_stamped(ids, reports).await,
            };
            let ended = completed.unwrap_or_else(|error| output::failure(&error));
            exit = exit.worse(ended);
            if ended.is_by_signal() {
                break;
            }
        }
        exit
    }

    /// Completes images that no journal records. They are known by their stamp, and only `sync`
    /// stamps replicas.
    async fn complete_stamped(
        &self,
        ids: BTreeSet<ImageId>,
        reports: &mut report::Reports,
    ) -> Result<Exit, CliError> {
        let Context { options, stopping, .. } = self.context;
        let (from, to) = both(&self.typed.sides.from, &self.typed.sides.to, options)?;
        let keeping = self.journals.first().cloned();
        let keeping = keeping.map_or(JournalMode::Nothing, JournalMode::Run);
        let work = Work::keeping(from, to, keeping, &selecting(ids), options).await?;
        let work = work.stamping().await?;
        Ok(work.run_part(reports, options, stopping).await)
    }

    /// Completes images with the options of the run that started them, except the options for
    /// connections and the report, which come from this run.
    async fn complete(
        &self,
        run: &Run,
        ids: BTreeSet<ImageId>,
        reports: &mut report::Reports,
    ) -> Result<Exit, CliError> {
        let Context { options, stopping, .. } = self.context;
        let (from, to) = both(&self.typed.sides.from, &self.typed.sides.to, options)?;
        let Args { command, options: kept, .. } = understood(run)?;
        let kept = reaching_stores_as(options, kept);
        go_to(Path::new(&run.directory))?;
        let to = match (&command, to) {
            (
                Command::Dump { compress: Some(Compression::Zstd), .. },
                Endpoint::Directory(place),
            ) => Endpoint::Directory(place.compressed()?),
            (_, to) => to,
        };
        let its_own = self.journals.iter().find(|file| file.recorded().run(&run.run).is_some());
        let keeping = its_own
            .map_or(JournalMode::Nothing, |journal| JournalMode::EarlierRun(journal.of(&run.run)));
        let work = Work::keeping(from, to, keeping, &selecting(ids), &kept).await?;
        let work = match command {
            Command::Sync(sync) if !sync.removal.no_stamp => work.stamping().await?,
            _ => work,
        };
        Ok(work.run_part(reports, &kept, stopping).await)
    }
}

fn selecting(ids: BTreeSet<ImageId>) -> Selected {
    Selected { selection: Selection::of_ids(ids), command: "repair", ..Selected::default() }
}

/// The options of an earlier run, combined with the options of this run for connections, state and
/// report.
fn reaching_stores_as(options: &Options, kept: Options) -> Options {
    Options {
        output: options.output,
        tls: options.tls,
        require_fips: options.require_fips,
        state: options.state.clone(),
        trust: options.trust.clone(),
        sign_in: options.sign_in.clone(),
        ..kept
    }
}

/// How long to wait for Glance to notice that an upload has been abandoned.
const PATIENCE: Duration = Duration::from_secs(10);
