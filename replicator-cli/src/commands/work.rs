//! A replication that is ready to run: open stores, and the policy from the options.

use std::sync::Arc;
use std::time::Duration;

use glance_core::ImageStore;
use keystone_auth::Projects;
use replicator_engine::events::SilenceLimits;
use replicator_engine::metadefs::{Mode, Surplus, Which};
use replicator_engine::{
    ContentCheck, CopyScope, DigestCache, Journal, JournalFile, PairClaim, Policy, Prune,
    Replication, Retries, Run,
};

use super::metadefs::Metadefs;
use crate::args::{self, Match, Options, Removing, RunOptions, WithMetadefs};
use crate::error::CliError;
use crate::output;
use crate::progress;
use crate::resolve::bandwidth::bandwidth_limits;
use crate::resolve::endpoint::{Access, Endpoint, Opened, Side};
use crate::resolve::mapping::mapping;
use crate::resolve::placement::delivery;
use crate::resolve::selection::{Selected, only_one};
use crate::resolve::{journals, state, token_lifetime};
use crate::tls;

/// The options of a run: order and limits, metadata definitions, and removal.
pub(super) struct RunContext<'a> {
    pub(super) course: &'a RunOptions,
    pub(super) metadefs: Option<Which>,
    pub(super) removing: Option<&'a Removing>,
    /// Whether the run is only planned.
    pub(super) dry_run: bool,
}

impl<'a> RunContext<'a> {
    pub(super) fn without_removal(
        course: &'a RunOptions,
        metadefs: WithMetadefs,
        dry_run: bool,
    ) -> Self {
        Self { course, metadefs: metadefs.which(), removing: None, dry_run }
    }
}

/// An open source, and everything that all its targets share.
pub(super) struct Source<'a> {
    pub(super) opened: Arc<Opened>,
    digests: Option<DigestCache>,
    /// The policy. Its limits apply to all targets together.
    policy: Policy,
    selected: &'a Selected,
    options: &'a Options,
}

impl RunContext<'_> {
    /// How the run claims its stores: a run that removes images works alone.
    pub(super) fn claim(&self) -> PairClaim {
        match self.removing.and_then(|removing| removing.delete.removal()) {
            Some(_) => PairClaim::Alone,
            None => PairClaim::Shared,
        }
    }
}

impl<'a> Source<'a> {
    pub(super) async fn open(
        from: Endpoint,
        selected: &'a Selected,
        options: &'a Options,
    ) -> Result<Self, CliError> {
        let opened = Arc::new(from.open(Side::Source, options).await?);
        output::opened_source(&opened.address);
        let store = &*opened.store;
        let mut selection = selected.at(store).await?;
        let renames = options.mapping.rename.is_some();
        if renames || !selected.is_of_both_sides() {
            selection = selected.require_named(selection, &[store]).await?;
        }
        if renames {
            refuse_rename_without_effect(options)?;
            selection = only_one(&selection, store).await?;
        }
        let digests = state::digests(&options.state);
        let known_source = digests.as_ref().map(|file| file.of(&opened.address));
        let known_source = known_source.unwrap_or_default();
        let policy = Policy { selection, known_source, ..policy(options)? };
        Ok(Self { opened, digests, policy, selected, options })
    }

    /// Opens a target and creates the replication to it.
    async fn to(&self, to: Endpoint, access: Access) -> Result<Work, CliError> {
        let (source, options) = (&self.opened, self.options);
        // A directory accepts data of every format.
        let content = match (options.content_check, &to) {
            (args::ContentCheckArg::Auto, Endpoint::Cloud(_) | Endpoint::Url(_)) => {
                ContentCheck::Glance
            }
            _ => ContentCheck::Off,
        };
        let target = to.open_to(access, Side::Target, options).await?;
        source.refuse_same(&target)?;
        let mut selection = self.policy.selection.clone();
        if self.selected.is_of_both_sides() {
            let stores: [&dyn ImageStore; 2] = [&*source.store, &*target.store];
            selection = self.selected.require_named(selection, &stores).await?;
        }
        let known_target = self.digests.as_ref().map(|file| file.of(&target.address));
        let policy = Policy {
            selection,
            content,
            mapping: mapping(options, source, &target).await?,
            delivery: delivery(options, source, &target).await?,
            known_target: known_target.unwrap_or_default(),
            events: progress::events().with_limits(silence_limits(source, &target, options)),
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
            keeping: JournalMode::Nothing,
            replication,
        })
    }

    /// Opens a target, in a dry run without locking the target.
    pub(super) async fn opening(
        &self,
        to: Endpoint,
        how: &RunContext<'_>,
    ) -> Result<Work, CliError> {
        self.to(to, Access::of_run(how.dry_run)).await
    }

    /// Prepares a replication to run, or to be planned.
    pub(super) async fn ready(&self, work: Work, how: &RunContext<'_>) -> Result<Work, CliError> {
        let work = work.going(how.course);
        let work = match how.removing {
            None => work,
            Some(typed) => work.removing(typed, self.options.identity.match_by).await?,
        };
        let work = work.with_metadefs(how.metadefs.clone(), how.dry_run).await?;
        if !how.dry_run {
            work.check_endurance(self.options).await?;
        }
        Ok(work)
    }
}

/// A replication between two open stores, and the work that goes with it.
pub(super) struct Work {
    pub(super) source: Arc<Opened>,
    pub(super) target: Opened,
    pub(super) metadefs: Option<Metadefs>,
    /// The projects whose names are written to the target.
    pub(super) named: Option<Arc<Projects>>,
    pub(super) conclusion: Conclusion,
    /// The time limit of the run.
    pub(super) limit: Option<Duration>,
    pub(super) keeping: JournalMode,
    pub(super) replication: Replication,
}

/// The state of a target directory after a successful run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conclusion {
    /// The directory is marked as finished.
    Finished,
    /// The directory is left as it is. The caller decides.
    Open,
}

/// The journal of the work.
pub(super) enum JournalMode {
    Nothing,
    /// The work is a new run.
    Run(JournalFile),
    /// The work continues an earlier run.
    EarlierRun(Journal),
}

impl Work {
    /// Opens both stores. With write access, claims the pair together with other runs.
    pub(super) async fn open(
        from: Endpoint,
        to: Endpoint,
        access: Access,
        selected: &Selected,
        options: &Options,
    ) -> Result<Self, CliError> {
        let source = Source::open(from, selected, options).await?;
        let mut work = source.to(to, access).await?;
        output::opened_target(0, &work.target.address);
        if access == Access::Write {
            work.keep_a_journal(&source, PairClaim::Shared).await?;
        }
        Ok(work)
    }

    /// Opens both stores, the target for writing, with a journal that is already open.
    pub(super) async fn keeping(
        from: Endpoint,
        to: Endpoint,
        keeping: JournalMode,
        selected: &Selected,
        options: &Options,
    ) -> Result<Self, CliError> {
        let source = Source::open(from, selected, options).await?;
        let (conclusion, work) = (Conclusion::Open, source.to(to, Access::Write).await?);
        output::opened_target(0, &work.target.address);
        Ok(Self { conclusion, keeping, ..work })
    }

    /// Claims the pair of source and target, and opens the journal.
    pub(super) async fn keep_a_journal(
        &mut self,
        source: &Source<'_>,
        claim: PairClaim,
    ) -> Result<(), CliError> {
        let (shard, options) = (source.selected.shard, source.options);
        let file = journals::journal(&self.source, &self.target, shard, claim, options).await?;
        self.keeping = file.map_or(JournalMode::Nothing, JournalMode::Run);
        Ok(())
    }

    /// Records the start of the run in the journal.
    pub(super) async fn begin(mut self, run: &Run) -> Result<Self, CliError> {
        self.replication.policy.journal = match &self.keeping {
            JournalMode::Nothing => Journal::default(),
            JournalMode::Run(file) => file.begin(run.clone()).await?,
            JournalMode::EarlierRun(journal) => journal.clone(),
        };
        Ok(self)
    }

    /// Marks new replicas as copies from this source.
    pub(super) async fn stamping(mut self) -> Result<Self, CliError> {
        self.replication.policy.stamp = Some(self.source.stamp().await?);
        Ok(self)
    }

    /// Writes the names of the source's projects to the target after the run.
    pub(super) fn naming_projects(mut self) -> Self {
        self.named = self.projects();
        self
    }

    /// With `--metaonly`, copies the records of all images, as the old tool does for dumps.
    pub(super) fn with_records_of_all(mut self, options: &Options) -> Self {
        if options.metaonly {
            self.replication.policy.scope = CopyScope::Records;
        }
        self
    }

    /// Applies the order, retries and limits of `course`.
    pub(super) fn going(mut self, course: &RunOptions) -> Self {
        course.apply(&mut self.replication.policy);
        self.limit = course.max_duration;
        self
    }

    /// Copies these metadata definitions after the images, or only compares them.
    pub(super) async fn with_metadefs(
        mut self,
        which: Option<Which>,
        dry_run: bool,
    ) -> Result<Self, CliError> {
        // Namespaces are not divided into shards: the first shard copies all of them.
        let shard = self.replication.policy.selection.shard();
        let is_ours = shard.is_none_or(|shard| shard.number().get() == 1);
        if let Some(which) = which.filter(|_| is_ours) {
            let (source, target) = (&self.source, &self.target);
            let which = vec![which];
            let mode = if dry_run { Mode::DryRun } else { Mode::Write };
            let metadefs = Metadefs::new(source, target, which, Surplus::Keep, mode).await?;
            self.metadefs = Some(metadefs);
        }
        Ok(self)
    }

    /// The projects of the source, if Keystone or the dump can name them.
    pub(super) fn projects(&self) -> Option<Arc<Projects>> {
        self.source.projects.clone()
    }

    /// Opens both stores for reading and creates the replication between them.
    pub(super) async fn open_to_read(
        from: Endpoint,
        to: Endpoint,
        selected: &Selected,
        options: &Options,
    ) -> Result<Replication, CliError> {
        let work = Self::open(from, to, Access::Read, selected, options).await?;
        Ok(work.replication)
    }

    /// Applies the removal options of `sync` and `plan`.
    pub(super) async fn removing(
        mut self,
        typed: &Removing,
        selected: Match,
    ) -> Result<Self, CliError> {
        let how = typed.delete.removal();
        if how.is_some() && selected != Match::Id {
            let what = "--delete requires replicas that are matched by id";
            return Err(CliError::usage(what).hint("leave out --match"));
        }
        if !typed.no_stamp {
            self = self.stamping().await?;
        }
        self.replication.policy.adopt = typed.adopt;
        self.replication.policy.prune =
            how.map(|how| Prune { how, most: typed.max_delete, unprotect: typed.unprotect });
        Ok(self)
    }

    /// Fails if a token that cannot be renewed expires before the work can be completed.
    pub(super) async fn check_endurance(&self, options: &Options) -> Result<(), CliError> {
        for (side, opened) in [(Side::Source, &*self.source), (Side::Target, &self.target)] {
            let session = opened.session.as_deref();
            token_lifetime::check(side, session, &self.replication, options.limits.highest_rate())
                .await?;
        }
        Ok(())
    }
}

/// Fails if the name of the copy would not be used.
fn refuse_rename_without_effect(options: &Options) -> Result<(), CliError> {
    if options.identity.match_by == Match::Name {
        let what = "--rename gives a copy another name, so --match name cannot find the copy";
        return Err(CliError::usage(what).hint("leave out --match, or use --match hash"));
    }
    if options.dontreplicate.split_whitespace().any(|field| field == "name") {
        let what = "--rename has no effect if --dontreplicate contains `name`";
        return Err(CliError::usage(what).hint("leave out one of the two"));
    }
    Ok(())
}

/// The policy of a run, from the options of every command.
pub(super) fn policy(options: &Options) -> Result<Policy, CliError> {
    Ok(Policy {
        queued: options.identity.queued,
        members: options.identity.members.into(),
        match_by: options.identity.match_by.into(),
        on_burned_id: options.identity.on_burned_id.into(),
        new_ids: options.identity.new_id,
        scope: match options.metaonly {
            true => CopyScope::HeldRecords,
            false => CopyScope::Everything,
        },
        approval: output::approval(options.yes),
        transfers: options.transfers.or(TRANSFERS),
        hashers: tls::hashers(options.tls)?,
        bandwidth: bandwidth_limits(&options.limits),
        retries: retries(options),
        wait: options.state.wait(),
        streams: options.transfer.streams.or(1),
        controller: options.controller().clone(),
        spool: options.transfer.spool(std::env::var_os("TMPDIR").map(Into::into)),
        ..Policy::default()
    })
}

/// The number of images in progress, unless the operator chooses it: at the beginning.
pub(super) const TRANSFERS: usize = 4;

/// How long each server may be silent. A directory is never given up.
fn silence_limits(source: &Opened, target: &Opened, options: &Options) -> SilenceLimits {
    let idle = options.limits.idle_timeout;
    let of = |store: &Opened, limit| store.glance.is_some().then_some(limit);
    let storing = idle.max(transport_hyper::ClientOptions::default().commit_timeout);
    SilenceLimits {
        source: of(source, idle),
        target: of(target, idle),
        storing: of(target, storing),
    }
}

/// The retries of the engine, in addition to the retries of single requests in the transport.
fn retries(options: &Options) -> Retries {
    let default = Retries::default();
    let low_level = options.limits.low_level_retries.and_then(|count| count.try_into().ok());
    Retries { low_level: low_level.unwrap_or(default.low_level), ..default }
}
