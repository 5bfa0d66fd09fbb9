//! What is to be done with a source and a target: both opened, and the policy as typed.

use std::sync::Arc;
use std::time::Duration;

use keystone_auth::Projects;
use replicator_engine::metadefs::{Mode, Surplus, Which};
use replicator_engine::provenance;
use replicator_engine::{
    ContentCheck, DigestFile, Journal, JournalFile, Policy, Prune, Replication, Retries, Run, Scope,
};

use super::metadefs::Metadefs;
use crate::args::{self, Course, Match, Options, Removing};
use crate::error::CliError;
use crate::resolve::bandwidth::pacing;
use crate::resolve::endpoint::{Access, Endpoint, Opened, Side};
use crate::resolve::mapping::mapping;
use crate::resolve::placement::delivery;
use crate::resolve::selection::Selected;
use crate::resolve::{journals, state, token_lifetime};
use crate::{output, tls};

/// What a run does beside copying, and how it goes about it.
pub(super) struct How<'a> {
    pub(super) course: &'a Course,
    pub(super) metadefs: Option<Which>,
    pub(super) removing: Option<&'a Removing>,
}

/// A source that is opened, and what is the same for all of its targets.
pub(super) struct Source<'a> {
    pub(super) opened: Arc<Opened>,
    digests: Option<DigestFile>,
    /// Its limits are those of all targets together.
    policy: Policy,
    selected: &'a Selected,
    options: &'a Options,
}

impl<'a> Source<'a> {
    pub(super) async fn open(
        from: Endpoint,
        selected: &'a Selected,
        options: &'a Options,
    ) -> Result<Self, CliError> {
        let opened = Arc::new(from.open(Side::Source, options).await?);
        if !selected.is_of_both_sides() {
            selected.require_ids(&[&*opened.store]).await?;
        }
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
        output::report_is_of(self.selected, &source.address, Some(&target.address));
        if self.selected.is_of_both_sides() {
            self.selected.require_ids(&[&*source.store, &*target.store]).await?;
        }
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
        let source = Arc::clone(source);
        Ok(Work {
            source,
            target,
            metadefs: None,
            named: None,
            conclusion: Conclusion::Finished,
            limit: None,
            keeping: Keeping::Nothing,
            replication,
        })
    }

    /// The same, ready to run.
    pub(super) async fn ready(&self, to: Endpoint, how: &How<'_>) -> Result<Work, CliError> {
        let work = self.to(to, Access::Write).await?.keeping_a_journal(self)?;
        let work = work.going(how.course);
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
    pub(super) source: Arc<Opened>,
    pub(super) target: Opened,
    pub(super) metadefs: Option<Metadefs>,
    /// The projects whose names are to be written down in the target.
    pub(super) named: Option<Arc<Projects>>,
    pub(super) conclusion: Conclusion,
    /// How long the run may take.
    pub(super) limit: Option<Duration>,
    pub(super) keeping: Keeping,
    pub(super) replication: Replication,
}

/// What is said of a directory that was written, when the run ends well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conclusion {
    /// That it is whole.
    Finished,
    /// Nothing: the caller knows more.
    Open,
}

/// What is written down of the work.
pub(super) enum Keeping {
    Nothing,
    /// A run of its own.
    Run(JournalFile),
    /// How an earlier run goes on.
    EarlierRun(Journal),
}

impl Work {
    /// Opens both stores. No other process works on the pair, if this one writes.
    pub(super) async fn open(
        from: Endpoint,
        to: Endpoint,
        access: Access,
        selected: &Selected,
        options: &Options,
    ) -> Result<Self, CliError> {
        let source = Source::open(from, selected, options).await?;
        let work = source.to(to, access).await?;
        match access {
            Access::Read => Ok(work),
            Access::Write => work.keeping_a_journal(&source),
        }
    }

    /// Opens both stores to write, with what is written down already held.
    pub(super) async fn keeping(
        from: Endpoint,
        to: Endpoint,
        keeping: Keeping,
        selected: &Selected,
        options: &Options,
    ) -> Result<Self, CliError> {
        let source = Source::open(from, selected, options).await?;
        let conclusion = Conclusion::Open;
        Ok(Self { conclusion, keeping, ..source.to(to, Access::Write).await? })
    }

    fn keeping_a_journal(self, source: &Source) -> Result<Self, CliError> {
        let shard = source.selected.shard;
        let file = journals::journal(&self.source, &self.target, shard, source.options)?;
        Ok(Self { keeping: file.map_or(Keeping::Nothing, Keeping::Run), ..self })
    }

    /// Writes down that the run begins.
    pub(super) async fn begin(mut self, run: &Run) -> Result<Self, CliError> {
        self.replication.policy.journal = match &self.keeping {
            Keeping::Nothing => Journal::default(),
            Keeping::Run(file) => file.begin(run.clone()).await?,
            Keeping::EarlierRun(journal) => journal.clone(),
        };
        Ok(self)
    }

    /// The same, with new replicas marked as the source's.
    pub(super) fn stamping(mut self) -> Self {
        self.replication.policy.stamp = Some(provenance::Source::new(&self.source.address));
        self
    }

    /// The same, with the names of the source's projects written down in the target.
    pub(super) fn naming_projects(mut self) -> Self {
        self.named = self.projects();
        self
    }

    /// The same, with `--metaonly` as the old tool had it for dumps: the records of all images.
    pub(super) fn with_records_of_all(mut self, options: &Options) -> Self {
        if options.metaonly {
            self.replication.policy.scope = Scope::Records;
        }
        self
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
    pub(super) fn removing(mut self, typed: &Removing, selected: Match) -> Result<Self, CliError> {
        let how = typed.delete.removal();
        if how.is_some() && selected != Match::Id {
            let what = "--delete needs replicas that are found by their ids";
            return Err(CliError::usage(what).hint("leave out --match"));
        }
        let policy = &mut self.replication.policy;
        policy.stamp = (!typed.no_stamp).then(|| provenance::Source::new(&self.source.address));
        policy.prune =
            how.map(|how| Prune { how, most: typed.max_delete, unprotect: typed.unprotect });
        Ok(self)
    }

    /// Refuses work that outlives a sign-in.
    pub(super) async fn check_endurance(&self, options: &Options) -> Result<(), CliError> {
        for (side, opened) in [(Side::Source, &*self.source), (Side::Target, &self.target)] {
            let session = opened.session.as_deref();
            token_lifetime::check(side, session, &self.replication, options.limits.highest_rate())
                .await?;
        }
        Ok(())
    }
}

pub(super) fn policy(options: &Options) -> Result<Policy, CliError> {
    Ok(Policy {
        queued: options.identity.queued,
        match_by: options.identity.match_by.into(),
        on_burned_id: options.identity.on_burned_id.into(),
        scope: match options.metaonly {
            true => Scope::HeldRecords,
            false => Scope::Everything,
        },
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
