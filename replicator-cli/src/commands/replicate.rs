//! The commands that bring two stores in step, or say how far they are from it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use glance_core::identity::Projects;
use glance_core::metadefs::{Mode, Surplus, Which};
use glance_core::replicate::{
    self, ContentCheck, DigestFile, Entry, Level, Policy, Prune, Replication, Retries, RunError,
    State, Stop, Why,
};

use super::metadefs::Metadefs;
use super::stopping::Stopping;
use super::{both, one_to_many};
use crate::args::{self, Compare, Course, Match, Options, Plan, Removing, Sync};
use crate::endpoint::{Access, Endpoint, Opened, Side};
use crate::error::CliError;
use crate::exit::Exit;
use crate::mapping::mapping;
use crate::pacing::pacing;
use crate::placement::delivery;
use crate::print::{self, Combined, Subject};
use crate::select::Selected;
use crate::{endurance, saved_plan, state, tls};

/// A store to write, as the operator named it.
pub(super) struct Target {
    pub(super) word: String,
    pub(super) endpoint: Endpoint,
}

/// What a run does beside copying, and how it goes about it.
pub(super) struct How<'a> {
    pub(super) course: &'a Course,
    pub(super) metadefs: Option<Which>,
    pub(super) removing: Option<&'a Removing>,
}

/// `livecopy`, and others that end in it: replicates from one store to others.
pub(super) async fn replicate(
    from: Endpoint,
    to: Vec<Target>,
    how: How<'_>,
    selected: &Selected,
    options: &Options,
    stopping: &Stopping,
) -> Result<Exit, CliError> {
    let works = open_all(from, to, &how, selected, options).await?;
    Ok(run_all(works, options, stopping).await)
}

/// Opens a source and all of its targets. One of several targets may fail, but for usage.
async fn open_all(
    from: Endpoint,
    to: Vec<Target>,
    how: &How<'_>,
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
        print::report_is_of(selected, &source.opened.address, Some(&named.join(" ")));
    }
    Ok(works)
}

/// Two uploads to the same record would get in each other's way.
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

/// Runs to all targets at once, and reports.
async fn run_all(
    works: Vec<(String, Result<Work, CliError>)>,
    options: &Options,
    stopping: &Stopping,
) -> Exit {
    let named: Vec<String> = works.iter().map(|(word, _)| word.clone()).collect();
    let mut reports = print::Reports::new(options.output, &named);
    let stop = stopping.heed();
    let (mut replications, mut begun, mut limit) = (Vec::new(), Vec::new(), None);
    for (target, (_, work)) in works.into_iter().enumerate() {
        match work {
            Err(error) => reports.ended(target, Err(error), None),
            Ok(mut work) => {
                work.replication.policy.stop = stop.clone();
                limit = work.limit;
                replications.push(work.replication);
                begun.push((target, work.metadefs));
            }
        }
    }
    let observe = |number: usize, outcome| reports.outcome(begun[number].0, &outcome);
    let run = replicate::run_all(&replications, observe);
    let ended = tokio::select! {
        ended = run => ended,
        never = out_of_time(limit, &stop) => match never {},
    };
    stopping.let_be();
    for (((target, metadefs), replication), ended) in begun.iter().zip(&replications).zip(ended) {
        let left = ended.as_ref().err().map_or(0, RunError::left);
        reports.left(*target, left);
        let mut of_metadefs = None;
        let ended = match (ended, metadefs, stop.why()) {
            (Ok(()), Some(_), Some(why)) => {
                Err(RunError::Stopped { why, left: 0, unseen: false }.into())
            }
            (Ok(()), Some(metadefs), None) => {
                let written = print::Metadefs::new(options.output, Mode::Write);
                let written = of_metadefs.insert(written);
                metadefs.run(&replication.policy.mapping, written, drop).await
            }
            (ended, ..) => ended.map_err(Into::into),
        };
        reports.ended(*target, ended, of_metadefs);
    }
    reports.finish()
}

/// Tells a run to end when its time is up.
async fn out_of_time(limit: Option<Duration>, stop: &Stop) -> Infallible {
    if let Some(limit) = limit {
        tokio::time::sleep(limit).await;
        print::stopping(Why::OutOfTime);
        stop.stop(Level::BreakOff, Why::OutOfTime);
    }
    std::future::pending().await
}

/// A source that is opened, and what is the same for all of its targets.
struct Source<'a> {
    opened: Arc<Opened>,
    digests: Option<DigestFile>,
    /// Its limits are those of all targets together.
    policy: Policy,
    selected: &'a Selected,
    options: &'a Options,
}

impl<'a> Source<'a> {
    async fn open(
        from: Endpoint,
        selected: &'a Selected,
        options: &'a Options,
    ) -> Result<Self, CliError> {
        let opened = Arc::new(from.open(Side::Source, options).await?);
        let selection = selected.at(&*opened.store).await?;
        let digests = state::digests(&options.state);
        let known_source = digests.as_ref().map(|file| file.of(&opened.address));
        let known_source = known_source.unwrap_or_default();
        let policy = Policy { selection, known_source, ..policy(options)? };
        Ok(Self { opened, digests, policy, selected, options })
    }

    /// What it is to do with this target.
    async fn to(&self, to: Endpoint, access: Access) -> Result<Work, CliError> {
        let (source, options) = (&self.opened, self.options);
        // A directory holds whatever the source holds.
        let content = match (options.content_check, &to) {
            (args::ContentCheck::Auto, Endpoint::Cloud(_) | Endpoint::Url(_)) => {
                ContentCheck::Glance
            }
            _ => ContentCheck::Off,
        };
        let target = to.open_to(access, Side::Target, options).await?;
        print::report_is_of(self.selected, &source.address, Some(&target.address));
        let known_target = self.digests.as_ref().map(|file| file.of(&target.address));
        let policy = Policy {
            content,
            mapping: mapping(options, source, &target).await?,
            delivery: delivery(options, source, &target).await?,
            known_target: known_target.unwrap_or_default(),
            ..self.policy.clone()
        };
        let (from, to) = (Arc::clone(&source.store), Arc::clone(&target.store));
        let replication = Replication { source: from, target: to, policy };
        Ok(Work { source: Arc::clone(source), target, metadefs: None, limit: None, replication })
    }

    /// The same, ready to run.
    async fn ready(&self, to: Endpoint, how: &How<'_>) -> Result<Work, CliError> {
        let work = self.to(to, Access::Write).await?.going(how.course);
        let work = match how.removing {
            None => work,
            Some(typed) => work.removing(typed, self.options.identity.match_by)?,
        };
        let work = work.with_metadefs(how.metadefs.clone()).await?;
        work.check_endurance(self.options).await?;
        Ok(work)
    }
}

/// What two opened stores are to do with each other.
pub(super) struct Work {
    source: Arc<Opened>,
    target: Opened,
    metadefs: Option<Metadefs>,
    /// How long the run may take.
    limit: Option<Duration>,
    pub(super) replication: Replication,
}

impl Work {
    pub(super) async fn open(
        from: Endpoint,
        to: Endpoint,
        access: Access,
        selected: &Selected,
        options: &Options,
    ) -> Result<Self, CliError> {
        Source::open(from, selected, options).await?.to(to, access).await
    }

    /// The same, which goes so.
    pub(super) fn going(mut self, course: &Course) -> Self {
        course.apply(&mut self.replication.policy);
        self.limit = course.max_duration;
        self
    }

    /// The same, with these metadata definitions after the images.
    pub(super) async fn with_metadefs(mut self, which: Option<Which>) -> Result<Self, CliError> {
        // Namespaces are in no shard: the first copies them all.
        let shard = self.replication.policy.selection.shard();
        let is_ours = shard.is_none_or(|shard| shard.number().get() == 1);
        if let Some(which) = which.filter(|_| is_ours) {
            let (source, target) = (&self.source, &self.target);
            let which = vec![which];
            let metadefs = Metadefs::new(source, target, which, Surplus::Keep, Mode::Write).await?;
            self.metadefs = Some(metadefs);
        }
        Ok(self)
    }

    /// The projects that the source's images are of, where somebody can be asked.
    pub(super) fn projects(&self) -> Option<Arc<Projects>> {
        self.source.projects.clone()
    }

    /// What two stores that are only read are to do with each other.
    pub(super) async fn open_to_read(
        from: Endpoint,
        to: Endpoint,
        selected: &Selected,
        options: &Options,
    ) -> Result<Replication, CliError> {
        let work = Self::open(from, to, Access::Read, selected, options).await?;
        Ok(work.replication)
    }

    /// The same, with what `sync` and `plan` remove.
    fn removing(mut self, typed: &Removing, selected: Match) -> Result<Self, CliError> {
        let how = typed.delete.removal();
        if how.is_some() && selected != Match::Id {
            let what = "--delete needs replicas that are found by their ids";
            return Err(CliError::usage(what).hint("leave out --match"));
        }
        let policy = &mut self.replication.policy;
        policy.stamp = (!typed.no_stamp).then(|| self.source.address.clone());
        policy.prune =
            how.map(|how| Prune { how, most: typed.max_delete, unprotect: typed.unprotect });
        Ok(self)
    }

    pub(super) async fn run(
        self,
        options: &Options,
        stopping: &Stopping,
    ) -> Result<Exit, CliError> {
        self.check_endurance(options).await?;
        Ok(self.run_unchecked(options, stopping).await)
    }

    /// Refuses work that outlives a sign-in.
    pub(super) async fn check_endurance(&self, options: &Options) -> Result<(), CliError> {
        for (side, opened) in [(Side::Source, &*self.source), (Side::Target, &self.target)] {
            let session = opened.session.as_deref();
            endurance::check(side, session, &self.replication, options.limits.highest_rate())
                .await?;
        }
        Ok(())
    }

    /// Runs, without a look ahead.
    pub(super) async fn run_unchecked(self, options: &Options, stopping: &Stopping) -> Exit {
        run_all(vec![(String::new(), Ok(self))], options, stopping).await
    }
}

/// `compare`
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
            File::create(path).map_err(|error| cannot_write(path, error))?,
        )),
    };
    let mut report = print::Comparison::new(options.output, Subject::States, combined);
    let observe = |entry: Entry| {
        if !(typed.one_way && entry.state == State::Extra) {
            report.entry(&entry);
        }
    };
    work.replication.plan(observe).await?;
    let path = typed.combined.unwrap_or_default();
    report.finish().map_err(|error| cannot_write(&path, error))
}

/// `plan`
pub(super) async fn plan(
    typed: Plan,
    selected: &Selected,
    options: &Options,
) -> Result<Exit, CliError> {
    let (from, to) = both(&typed.sides.from, &typed.sides.to, options)?;
    let work = Work::open(from, to, Access::Read, selected, options).await?;
    let work = work.removing(&typed.removal, options.identity.match_by)?;
    let mut saved = typed.out.as_deref().map(saved_plan::Writer::create).transpose()?;
    let mut report = print::Comparison::new(options.output, Subject::Actions, Combined::Off);
    let observe = |entry: Entry| {
        report.entry(&entry);
        if let Some(saved) = &mut saved {
            saved.entry(&entry);
        }
    };
    work.replication.plan(observe).await?;
    if let Some(saved) = saved {
        saved.finish()?;
    }
    report.finish().map_err(|error| cannot_write(Path::new(""), error))
}

/// `sync`
pub(super) async fn sync(
    typed: Sync,
    selected: &Selected,
    options: &Options,
    stopping: &Stopping,
) -> Result<Exit, CliError> {
    if typed.plan.is_some() && typed.to.len() > 1 {
        let what = "--plan is for one target: a plan is made for two sides";
        return Err(CliError::usage(what).hint("sync by each plan on its own, or by none"));
    }
    let (from, to) = one_to_many(&typed.from, &typed.to, options)?;
    let metadefs = typed.metadefs.which();
    let how = How { course: &typed.course, metadefs, removing: Some(&typed.removal) };
    let works = open_all(from, to, &how, selected, options).await?;
    if let (Some(path), [(_, Ok(work))]) = (&typed.plan, &works[..]) {
        let mut planned = saved_plan::Checker::open(path)?;
        work.replication.plan(|entry| planned.entry(&entry)).await?;
        planned.finish()?;
    }
    Ok(run_all(works, options, stopping).await)
}

fn cannot_write(path: &Path, error: std::io::Error) -> CliError {
    CliError::usage(format!("cannot write {}", path.display())).caused_by(error)
}

pub(super) fn policy(options: &Options) -> Result<Policy, CliError> {
    Ok(Policy {
        queued: options.identity.queued,
        match_by: options.identity.match_by.into(),
        on_burned_id: options.identity.on_burned_id.into(),
        metadata_only: options.metaonly,
        transfers: options.transfers.get(),
        hashers: tls::hashers(options.tls)?,
        pacing: pacing(options.limits.bwlimit.as_ref()),
        retries: retries(options),
        streams: options.transfer.streams.get(),
        spool: options.transfer.spool(std::env::var_os("TMPDIR").map(Into::into)),
        ..Policy::default()
    })
}

/// How often the engine tries again, beside requests that are repeated by themselves.
fn retries(options: &Options) -> Retries {
    let default = Retries::default();
    let low_level = options.limits.low_level_retries.and_then(|count| count.try_into().ok());
    Retries { low_level: low_level.unwrap_or(default.low_level), ..default }
}
