//! `dump` and `load`: copy images to and from a directory or a tar stream.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use format_dump::{Beside, DumpStore, Encoding, StreamStore, export};
use futures_util::StreamExt;
use glance_core::image::Visibility;
use glance_core::project::Project;
use glance_core::selection::Selection;
use glance_core::store::memory::MemoryStore;
use glance_core::store::{ImageStore, StoreError, StoreErrorKind};
use keystone_auth::Projects;
use replicator_engine::metadefs::Which;
use replicator_engine::{Entry, Replication};

use super::replicate::replicate;
use super::work::{RunContext, Work};
use super::{Context, refuse_without_effect, targets};
use crate::args::{Compression, Match, Options, RunOptions};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, human_size};
use crate::report;
use crate::resolve::endpoint::{Access, Endpoint, Side};
use crate::resolve::selection::{Selected, refuse_absent, warn_of_no_image, warn_of_none_among};
use crate::resolve::trust::effect;
use crate::tls;

/// The options of `dump` only.
pub(super) struct Dump<'a> {
    pub(super) compress: Option<Compression>,
    pub(super) metadefs: Option<Which>,
    pub(super) course: &'a RunOptions,
}

/// Runs `dump`.
pub(super) async fn dump(
    server: &str,
    path: &Path,
    typed: Dump<'_>,
    context: Context<'_>,
) -> Result<Exit, CliError> {
    let Context { selected, options, stopping } = context;
    let from = Endpoint::parse(server, Side::Source, options)?;
    let to = Endpoint::Directory(path.to_owned());
    effect::refuse_without(&[(Side::Source, &from), (Side::Target, &to)], options)?;
    if is_stream(path) {
        return dump_stream(from, typed, context).await;
    }
    let encoding = match typed.compress {
        None => Encoding::Identity,
        Some(Compression::Zstd) => Encoding::Zstd,
    };
    let to = Endpoint::Dump(path.to_owned(), encoding);
    let work = Work::open(from, to, Access::Write, selected, options).await?.going(typed.course);
    let work = work.with_records_of_all(options);
    if let Some(dump) = &work.target.dump {
        check_space(dump, path, encoding, &work.replication).await?;
    }
    work.with_metadefs(typed.metadefs).await?.naming_projects().run(options, stopping).await
}

/// Runs `load`.
pub(super) async fn load(
    path: PathBuf,
    servers: &[String],
    how: RunContext<'_>,
    context: Context<'_>,
) -> Result<Exit, CliError> {
    let options = context.options;
    let mut targets = targets(servers, options)?;
    let source = Endpoint::Directory(path.clone());
    refuse_without_effect(&source, &targets, options)?;
    if !is_stream(&path) {
        return replicate(source, targets, how, context).await;
    }
    if how.metadefs.is_some() {
        return Err(no_metadefs());
    }
    match targets.pop() {
        Some(target) if targets.is_empty() => {
            load_stream(target.endpoint, how.course, context).await
        }
        _ => Err(CliError::usage("a stream is read once, for one target")
            .hint("extract it, and load the directory")),
    }
}

fn is_stream(path: &Path) -> bool {
    path == Path::new("-")
}

fn no_metadefs() -> CliError {
    CliError::usage("a stream carries no metadata definitions")
        .hint("copy them by `metadefs`, or dump to a directory")
}

async fn dump_stream(
    from: Endpoint,
    typed: Dump<'_>,
    context: Context<'_>,
) -> Result<Exit, CliError> {
    let Context { selected, options, .. } = context;
    refuse_for_streams(&typed, options)?;
    let nowhere = Endpoint::Stream(Arc::new(MemoryStore::new("the stream")), Vec::new());
    let work = Work::open(from, nowhere, Access::Write, selected, options).await?;
    work.check_endurance(options).await?;
    let projects = work.projects();
    let Replication { source, policy, .. } = work.replication;
    let projects = match projects {
        None => Vec::new(),
        Some(projects) => {
            let ids = belongs_to(&*source, &policy.selection).await?;
            named(&projects, ids, &BTreeMap::new()).await
        }
    };
    let beside = Beside { projects, ..Beside::default() };
    let out = output::stream();
    let mut report = report::Report::new(options);
    let ended = export(&*source, &policy, &beside, out, |outcome| report.outcome(&outcome)).await;
    let is_empty = report.is_empty();
    let exit = report.finish();
    match ended {
        Ok(()) if is_empty => warn_of_no_image(&*source, &policy.selection).await?,
        Ok(()) => {}
        Err(error) => return Ok(exit.worse(output::failure(&error.into()))),
    }
    Ok(exit)
}

/// Fails if an option cannot have an effect on a dump to a stream.
fn refuse_for_streams(typed: &Dump<'_>, options: &Options) -> Result<(), CliError> {
    if typed.metadefs.is_some() {
        return Err(no_metadefs());
    }
    if *typed.course != RunOptions::default() {
        let what = "a stream is written at one go: none of the options for runs apply";
        return Err(CliError::usage(what).hint("leave them out, or dump to a directory"));
    }
    if options.metaonly {
        let what = "a stream carries the data of its images, and --metaonly leaves it out";
        return Err(CliError::usage(what).hint("dump to a directory"));
    }
    if typed.compress.is_some() {
        let what = "a stream says how long each image is before its data, and is not compressed";
        return Err(CliError::usage(what).hint("compress all of it: `... | zstd`"));
    }
    if output::is_on_a_terminal() {
        let what = "standard output is a terminal, and the stream is no text";
        return Err(CliError::usage(what).hint("write it to a file or into a pipe"));
    }
    Ok(())
}

async fn load_stream(
    target: Endpoint,
    course: &RunOptions,
    context: Context<'_>,
) -> Result<Exit, CliError> {
    let Context { selected, options, stopping } = context;
    let ahead =
        options.identity.match_by != Match::Id || selected.latest.is_some() || course.looks_ahead();
    if ahead {
        let what = "a stream is read once: replicas can't be found in it by --match, nor the latest \
            images, nor another order or the number of all";
        return Err(CliError::usage(what).hint("extract it, and load the directory"));
    }
    if std::io::stdin().is_terminal() {
        let what = "standard input is a terminal";
        return Err(CliError::usage(what).hint("pipe `dump SERVER -` into it"));
    }
    let stream = StreamStore::open(tokio::io::stdin(), tls::hashers(options.tls)?).await?;
    let stream = Arc::new(stream.selecting(selected.selection.clone()));
    let source = Endpoint::Stream(stream.clone(), stream.beside().projects.clone());
    // The stream applies the selection itself. The report still names the original selection
    // options.
    let everything = Selected { selection: Selection::everything(), ..selected.clone() };
    let work = Work::open(source, target, Access::Write, &everything, options).await?;
    let mut work = work.going(course);
    work.replication.policy.transfers = 1;
    work.replication.policy.retries.per_run = 0;
    let exit = work.run_unchecked(options, stopping).await;
    let ended = stream.finish().await.map_err(CliError::from);
    let listed = stream.listed();
    if listed.admitted == 0 && ended.is_ok() && exit == Exit::Success {
        warn_of_none_among(listed.images, "the stream");
    }
    match ended.and_then(|()| refuse_absent(&listed.absent, "the stream")) {
        Ok(()) => Ok(exit),
        Err(error) => Ok(exit.worse(output::failure(&error))),
    }
}

/// Fails if the images still to be dumped need more space than the filesystem has free. Partial
/// data of an earlier run is taken into account. With compression the size is not known in advance,
/// so only a warning is logged.
async fn check_space(
    dump: &DumpStore,
    path: &Path,
    encoding: Encoding,
    replication: &Replication,
) -> Result<(), CliError> {
    let Some(free) = dump.free_space() else {
        tracing::info!("the filesystem of {} does not say how much is free", path.display());
        return Ok(());
    };
    let mut needed = 0_u64;
    let outstanding = |entry: &Entry| match (entry.outstanding(), encoding) {
        (bytes @ 1.., Encoding::Identity) => {
            bytes.saturating_sub(dump.begun_bytes(&entry.image.id))
        }
        (bytes, _) => bytes,
    };
    let observe = |entry| needed = needed.saturating_add(outstanding(&entry));
    replication.plan(observe).await?;
    tracing::debug!("{} has {free} bytes free, {needed} are to come", path.display());
    if needed <= free {
        return Ok(());
    }
    let what = format!(
        "the images to come have {needed} bytes ({}), the filesystem of {} has {free} ({}) free",
        human_size(needed),
        path.display(),
        human_size(free)
    );
    if encoding == Encoding::Identity {
        return Err(CliError::limit(what).hint(
            "make room, name a directory elsewhere, select fewer images, or try --compress zstd",
        ));
    }
    tracing::warn!("{what}: only if they become so much smaller, they fit");
    Ok(())
}

/// Writes the names of the projects of the dump's images and namespaces to the dump, as far as they
/// are known. A later load uses the names to find the projects of the target.
pub(super) async fn write_projects(
    dump: &DumpStore,
    projects: &Projects,
) -> Result<(), StoreError> {
    let before = dump.projects().await?;
    let before = before.into_iter().map(|project| (project.id.clone(), project));
    let before: BTreeMap<String, Project> = before.collect();
    let mut ids = belongs_to(dump, &Selection::everything()).await?;
    for namespace in dump.metadefs().await? {
        ids.extend(namespace["owner"].as_str().map(str::to_owned));
    }
    let known = named(projects, ids, &before).await;
    match known.is_empty() && before.is_empty() {
        true => Ok(()),
        false => dump.write_projects(&known).await,
    }
}

/// The projects with these ids whose names the source shows now or `before` contains.
async fn named(
    projects: &Projects,
    ids: BTreeSet<String>,
    before: &BTreeMap<String, Project>,
) -> Vec<Project> {
    let mut known = Vec::new();
    for id in ids {
        let found = projects.by_id(&id).await.unwrap_or_else(|error| {
            tracing::info!("the name of project {id} is not known: {error}");
            None
        });
        if found.is_none() {
            tracing::info!("project {id} is not known at the source, or not shown");
        }
        known.extend(found.or_else(|| before.get(&id).cloned()));
    }
    known
}

/// The ids of the projects that own images of a store, or that images are shared with, as far as
/// the store shows the members.
async fn belongs_to(
    store: &dyn ImageStore,
    selection: &Selection,
) -> Result<BTreeSet<String>, StoreError> {
    let mut ids = BTreeSet::new();
    let mut images = store.list(selection).await?;
    while let Some(item) = images.next().await {
        let image = match item {
            Ok(image) => image,
            // The copy of this image reports the error.
            Err(error) if error.record.is_some() => continue,
            Err(error) => return Err(error),
        };
        ids.extend(image.attributes.owner.project().map(str::to_owned));
        if image.attributes.visibility != Visibility::Shared {
            continue;
        }
        match store.members(&image.id).await {
            Ok(members) => ids.extend(members.into_iter().map(|member| member.project)),
            Err(error)
                if matches!(error.kind, StoreErrorKind::Forbidden | StoreErrorKind::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(ids)
}
