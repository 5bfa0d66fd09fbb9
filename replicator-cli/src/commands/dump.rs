//! `dump` and `load`: copy images to and from a directory or a tar stream.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use format_dump::{Encoding, Extras, StreamStore, TarWriter};
use futures_util::StreamExt;
use glance_core::image::Visibility;
use glance_core::project::Project;
use glance_core::selection::Selection;
use glance_core::store::memory::MemoryStore;
use glance_core::store::{ImageStore, ImageStoreExt, StoreError};
use keystone_auth::Projects;
use replicator_engine::metadefs::Which;
use replicator_engine::{Controller, Entry, Replication, export};

use super::dry_run::dry_run;
use super::replicate::replicate;
use super::work::{RunContext, Work};
use super::{Context, refuse_same, refuse_useless, targets};
use crate::args::{Compression, Match, Options, RunOptions};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{self, human_size};
use crate::progress;
use crate::report;
use crate::resolve::directories::{DirectoryFormat, DirectoryPlace, DirectoryStore};
use crate::resolve::endpoint::{Access, Endpoint, Side};
use crate::resolve::selection::{Selected, refuse_absent, warn_of_no_image, warn_of_none_among};
use crate::resolve::store_names::directory;
use crate::resolve::trust::effect;
use crate::tls;

/// The options of `dump` only.
pub(super) struct Dump<'a> {
    pub(super) dry_run: bool,
    pub(super) compress: Option<Compression>,
    pub(super) metadefs: Option<Which>,
    pub(super) course: &'a RunOptions,
}

/// Runs `dump`.
pub(super) async fn dump(
    server: &str,
    place: &DirectoryPlace,
    typed: Dump<'_>,
    context: Context<'_>,
) -> Result<Exit, CliError> {
    let Context { selected, options, stopping } = context;
    let from = Endpoint::parse(server, Side::Source, options)?;
    let to = Endpoint::Directory(place.clone());
    effect::refuse_without(&[(Side::Source, &from), (Side::Target, &to)], options)?;
    refuse_same(&from, &to, &place.path.display().to_string())?;
    if is_stream(place) {
        return dump_stream(from, typed, context).await;
    }
    let place = match typed.compress {
        None => place.clone(),
        Some(Compression::Zstd) => place.clone().compressed()?,
    };
    let to = Endpoint::Directory(place.clone());
    let access = Access::of_run(typed.dry_run);
    let work = Work::open(from, to, access, selected, options).await?.going(typed.course);
    let work = work.with_records_of_all(options);
    if typed.dry_run {
        let work = work.with_metadefs(typed.metadefs, true).await;
        return dry_run(vec![(String::new(), work)]).await;
    }
    if let Some(store) = &work.target.in_directory {
        check_space(store, &place, &work.replication).await?;
    }
    work.with_metadefs(typed.metadefs, false).await?.naming_projects().run(options, stopping).await
}

/// Runs `load`.
pub(super) async fn load(
    word: &str,
    servers: &[String],
    how: RunContext<'_>,
    context: Context<'_>,
) -> Result<Exit, CliError> {
    let mut targets = targets(word, servers, context)?;
    let place = directory(word)?;
    let source = Endpoint::Directory(place.clone());
    refuse_useless(&source, &targets, context.options)?;
    if !is_stream(&place) {
        return replicate(source, targets, how, context).await;
    }
    if how.metadefs.is_some() {
        return Err(no_metadefs());
    }
    match targets.pop() {
        Some(target) if targets.is_empty() => load_stream(target.endpoint, &how, context).await,
        _ => Err(CliError::usage("a stream can be loaded to one target only")
            .hint("extract the stream and load the directory")),
    }
}

fn is_stream(place: &DirectoryPlace) -> bool {
    place.path == Path::new("-")
}

fn no_metadefs() -> CliError {
    CliError::usage("metadata definitions cannot be copied through a stream")
        .hint("copy them with `metadefs`, or dump to a directory")
}

async fn dump_stream(
    from: Endpoint,
    typed: Dump<'_>,
    context: Context<'_>,
) -> Result<Exit, CliError> {
    let Context { selected, options, .. } = context;
    refuse_for_streams(&typed, options)?;
    let nowhere = Endpoint::Stream(Arc::new(MemoryStore::new("the stream")), Vec::new());
    let access = Access::of_run(typed.dry_run);
    let work = Work::open(from, nowhere, access, selected, options).await;
    if typed.dry_run {
        return dry_run(vec![(String::new(), work)]).await;
    }
    let work = work?;
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
    let extras = Extras { projects, ..Extras::default() };
    let mut report = report::Reports::new(options, &[output::only_target()]);
    let ended = async {
        let mut stream = TarWriter::begin(output::stream(), policy.hashers, &extras).await?;
        export(&*source, &policy, &mut stream, |outcome| report.outcome(0, &outcome)).await
    };
    let ended = ended.await;
    progress::end();
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
        let what = "options for the order, retries and limits of a run have no effect on a stream";
        return Err(CliError::usage(what).hint("leave these options out, or dump to a directory"));
    }
    if options.metaonly {
        let what = "--metaonly cannot be used with a stream, which always contains image data";
        return Err(CliError::usage(what).hint("dump to a directory"));
    }
    if typed.compress.is_some() {
        let what =
            "a stream states the size of each image before its data, so --compress cannot be used";
        return Err(CliError::usage(what).hint("compress the whole stream: `... | zstd`"));
    }
    if output::is_on_a_terminal() && !typed.dry_run {
        let what = "standard output is a terminal, and a stream is not text";
        return Err(CliError::usage(what).hint("redirect standard output to a file or a pipe"));
    }
    Ok(())
}

async fn load_stream(
    target: Endpoint,
    how: &RunContext<'_>,
    context: Context<'_>,
) -> Result<Exit, CliError> {
    let Context { selected, options, stopping } = context;
    let ahead = options.identity.match_by != Match::Id
        || options.mapping.rename.is_some()
        || selected.latest.is_some()
        || how.course.looks_ahead();
    if ahead {
        let what = "--match, --rename, --latest-per, --order-by and --max-errors N% need the list of \
            all images, which a stream does not have";
        return Err(CliError::usage(what).hint("extract the stream and load the directory"));
    }
    if std::io::stdin().is_terminal() {
        let what = "standard input is a terminal";
        return Err(
            CliError::usage(what).hint("pipe the output of `dump STORE -` into this command")
        );
    }
    let stream = StreamStore::open(tokio::io::stdin(), tls::hashers(options.tls)?).await?;
    let stream = Arc::new(stream.selecting(selected.selection.clone()));
    let source = Endpoint::Stream(stream.clone(), stream.extras().projects.clone());
    // The stream applies the selection itself. The report still names the original selection
    // options.
    let everything = Selected { selection: Selection::everything(), ..selected.clone() };
    let access = Access::of_run(how.dry_run);
    let work = Work::open(source, target, access, &everything, options).await?;
    let mut work = work.going(how.course);
    work.replication.policy.finds_by_id = false;
    work.replication.policy.transfers = 1;
    work.replication.policy.controller = Controller::default();
    work.replication.policy.retries.per_run = 0;
    let exit = match how.dry_run {
        true => dry_run(vec![(String::new(), Ok(work))]).await?,
        false => work.run_unchecked(options, stopping).await,
    };
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
    store: &DirectoryStore,
    place: &DirectoryPlace,
    replication: &Replication,
) -> Result<(), CliError> {
    let is_compressed = place.format == DirectoryFormat::Dump(Encoding::Zstd);
    let place = place.path.display();
    let Some(free) = store.free_space() else {
        tracing::info!("the free space of the filesystem of {place} is unknown");
        return Ok(());
    };
    let mut needed = 0_u64;
    let outstanding = |entry: &Entry| match entry.outstanding() {
        bytes if is_compressed || bytes == 0 => bytes,
        bytes => bytes.saturating_sub(store.begun_bytes(&entry.image.id)),
    };
    let observe = |entry| needed = needed.saturating_add(outstanding(&entry));
    replication.plan(observe).await?;
    tracing::debug!("{place} has {free} bytes free, {needed} are needed");
    if needed <= free {
        return Ok(());
    }
    if !is_compressed {
        let what = format!(
            "the dump needs {needed} bytes ({}), but the filesystem of {place} has only {free} bytes \
             ({}) free",
            human_size(needed),
            human_size(free)
        );
        return Err(CliError::limit(what).hint(
            "free space, choose a directory elsewhere, select fewer images, or use --compress zstd",
        ));
    }
    tracing::warn!(
        "the dump fits into {place} only if compression saves {} of {}; free space, or select fewer \
         images",
        human_size(needed - free),
        human_size(needed)
    );
    Ok(())
}

/// Writes the names of the projects of a directory's images and namespaces to the directory, as far
/// as they are known. A later load uses the names to find the projects of the target.
pub(super) async fn write_projects(
    store: &DirectoryStore,
    projects: &Projects,
) -> Result<(), StoreError> {
    let before = store.projects().await?;
    let before = before.into_iter().map(|project| (project.id.clone(), project));
    let before: BTreeMap<String, Project> = before.collect();
    let mut ids = belongs_to(&*store.images(), &Selection::everything()).await?;
    for namespace in store.metadefs().await? {
        ids.extend(namespace["owner"].as_str().map(str::to_owned));
    }
    let known = named(projects, ids, &before).await;
    match known.is_empty() && before.is_empty() {
        true => Ok(()),
        false => store.write_projects(&known).await,
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
            tracing::info!("cannot look up the name of project {id}: {error}");
            None
        });
        if found.is_none() {
            tracing::info!("project {id} does not exist at the source, or is not visible");
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
        let members = store.members_if_shown(&image.id).await?.unwrap_or_default();
        ids.extend(members.into_iter().map(|member| member.project));
    }
    Ok(ids)
}
