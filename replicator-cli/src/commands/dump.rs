//! `dump`, and what it writes down beside the images.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use format_dump::DumpStore;
use futures_util::StreamExt;
use glance_core::identity::{Project, Projects};
use glance_core::image::Visibility;
use glance_core::metadefs::Which;
use glance_core::{ImageStore, Selection, StoreError};

use super::replicate::Work;
use crate::args::Options;
use crate::endpoint::{Access, Endpoint, Side};
use crate::error::CliError;
use crate::exit::Exit;
use crate::select::Selected;

/// `dump`
pub(super) async fn dump(
    server: &str,
    path: &Path,
    metadefs: Option<Which>,
    selected: &Selected,
    options: &Options,
) -> Result<Exit, CliError> {
    let from = Endpoint::parse(server, Side::Source, options)?;
    let to = Endpoint::Directory(path.to_owned());
    let work = Work::open(from, to, Access::Write, selected, options).await?;
    let work = work.with_metadefs(metadefs).await?;
    let projects = work.projects();
    let exit = work.run(options).await?;
    let dump = DumpStore::open(path)?;
    if let Some(projects) = projects {
        write_projects(&dump, &projects).await?;
    }
    if exit == Exit::Success {
        dump.finish().await?;
    }
    Ok(exit)
}

/// Writes down the names of the projects that the dump's images and namespaces belong to, as far as
/// they can be had: a load elsewhere finds projects by them.
async fn write_projects(dump: &DumpStore, projects: &Projects) -> Result<(), StoreError> {
    let before = dump.projects().await?;
    let before = before.into_iter().map(|project| (project.id.clone(), project));
    let before: BTreeMap<String, Project> = before.collect();
    let mut known = Vec::new();
    for id in belongs_to(dump).await? {
        let found = projects.by_id(&id).await.unwrap_or_else(|error| {
            tracing::info!("the name of project {id} is not known: {error}");
            None
        });
        if found.is_none() {
            tracing::info!("project {id} is not known at the source, or not shown");
        }
        known.extend(found.or_else(|| before.get(&id).cloned()));
    }
    match known.is_empty() && before.is_empty() {
        true => Ok(()),
        false => dump.write_projects(&known).await,
    }
}

/// The ids of the projects that a dump's images and namespaces belong to, or are shared with.
async fn belongs_to(dump: &DumpStore) -> Result<BTreeSet<String>, StoreError> {
    let mut ids = BTreeSet::new();
    let mut images = dump.list(&Selection::everything()).await?;
    while let Some(image) = images.next().await {
        let image = image?;
        ids.extend(image.attributes.owner.project().map(str::to_owned));
        if image.attributes.visibility == Visibility::Shared {
            let members = dump.members(&image.id).await?;
            ids.extend(members.into_iter().map(|member| member.project));
        }
    }
    for namespace in dump.metadefs().await? {
        ids.extend(namespace["owner"].as_str().map(str::to_owned));
    }
    Ok(ids)
}
