//! The commands that bring two stores in step, or say how far they are from it.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;

use glance_core::identity::Projects;
use glance_core::metadefs::{Mode, Surplus, Which};
use glance_core::replicate::{ContentCheck, Entry, Policy, Prune, Replication, Retries, State};

use super::both;
use super::metadefs::Metadefs;
use crate::args::{self, Compare, Match, Options, Plan, Removing, Sync};
use crate::endpoint::{Access, Endpoint, Opened, Side};
use crate::error::CliError;
use crate::exit::Exit;
use crate::mapping::mapping;
use crate::pacing::pacing;
use crate::placement::delivery;
use crate::print::{self, Combined, Subject};
use crate::select::Selected;
use crate::{endurance, saved_plan, state, tls};

/// Replicates from one store to the other.
pub(super) async fn replicate(
    from: Endpoint,
    to: Endpoint,
    metadefs: Option<Which>,
    selected: &Selected,
    options: &Options,
) -> Result<Exit, CliError> {
    let work = Work::open(from, to, Access::Write, selected, options).await?;
    let work = work.with_metadefs(metadefs).await?;
    work.run(options).await
}

/// What two opened stores are to do with each other.
pub(super) struct Work {
    source: Opened,
    target: Opened,
    metadefs: Option<Metadefs>,
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
        // A directory holds whatever the source holds.
        let content = match (options.content_check, &to) {
            (args::ContentCheck::Auto, Endpoint::Cloud(_) | Endpoint::Url(_)) => {
                ContentCheck::Glance
            }
            _ => ContentCheck::Off,
        };
        let source = from.open(Side::Source, options).await?;
        let target = to.open_to(access, Side::Target, options).await?;
        print::report_is_of(selected, &source.address, Some(&target.address));
        let mapping = mapping(options, &source, &target).await?;
        let delivery = delivery(options, &source, &target).await?;
        let selection = selected.at(&*source.store).await?;
        let digests = state::digests(&options.state);
        let known =
            |address: &str| digests.as_ref().map(|file| file.of(address)).unwrap_or_default();
        let policy = Policy {
            selection,
            content,
            mapping,
            delivery,
            known_source: known(&source.address),
            known_target: known(&target.address),
            ..policy(options)?
        };
        let (from, to) = (Arc::clone(&source.store), Arc::clone(&target.store));
        let replication = Replication { source: from, target: to, policy };
        Ok(Self { source, target, metadefs: None, replication })
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

    pub(super) async fn run(self, options: &Options) -> Result<Exit, CliError> {
        self.check_endurance(options).await?;
        self.run_unchecked(options).await
    }

    /// Refuses work that outlives a sign-in.
    pub(super) async fn check_endurance(&self, options: &Options) -> Result<(), CliError> {
        for (side, opened) in [(Side::Source, &self.source), (Side::Target, &self.target)] {
            let session = opened.session.as_deref();
            endurance::check(side, session, &self.replication, options.limits.highest_rate())
                .await?;
        }
        Ok(())
    }

    /// Runs, without a look ahead.
    pub(super) async fn run_unchecked(self, options: &Options) -> Result<Exit, CliError> {
        let mut report = print::Report::new(options.output);
        let mut ended: Result<(), CliError> =
            self.replication.run(|outcome| report.outcome(&outcome)).await.map_err(Into::into);
        let mut of_metadefs = None;
        if let (Ok(()), Some(metadefs)) = (&ended, &self.metadefs) {
            let written = of_metadefs.insert(print::Metadefs::new(options.output, Mode::Write));
            ended = metadefs.run(&self.replication.policy.mapping, written, drop).await;
        }
        let exit = report.finish(of_metadefs);
        match ended {
            Ok(()) => Ok(exit),
            Err(error) => Ok(exit.worse(print::failure(&error))),
        }
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
) -> Result<Exit, CliError> {
    let (from, to) = both(&typed.sides.from, &typed.sides.to, options)?;
    let work = Work::open(from, to, Access::Write, selected, options).await?;
    let work = work.removing(&typed.removal, options.identity.match_by)?;
    let work = work.with_metadefs(typed.metadefs.which()).await?;
    if let Some(path) = &typed.plan {
        let mut planned = saved_plan::Checker::open(path)?;
        work.replication.plan(|entry| planned.entry(&entry)).await?;
        planned.finish()?;
    }
    work.run(options).await
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

fn retries(options: &Options) -> Retries {
    let default = Retries::default();
    let low_level = options.limits.low_level_retries.and_then(|count| count.try_into().ok());
    Retries { low_level: low_level.unwrap_or(default.low_level), ..default }
}
