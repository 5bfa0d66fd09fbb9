//! `show`: shows the record of one image.

use std::collections::BTreeMap;

use glance_core::image::{Image, Member, Owner, Visibility};
use glance_core::store::ImageStoreExt;
use keystone_auth::Projects;

use crate::args::{Options, Show, shell_word};
use crate::commands::one;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::report;
use crate::resolve::endpoint::Side;
use crate::resolve::mapping::label;
use crate::resolve::selection::one_image;

/// Runs `show`.
pub(in crate::commands) async fn show(typed: Show, options: &Options) -> Result<Exit, CliError> {
    let opened = one(&typed.server, options)?.open(Side::Source, options).await?;
    output::opened_source(&opened.address);
    let store = opened.store;
    let advice = format!("`glance-replicator ls {}` lists the images", shell_word(&typed.server));
    let image = one_image(&typed.image, &*store, &advice).await?;
    // Only shared images have members.
    let members = match image.attributes.visibility {
        Visibility::Shared => store.members_if_shown(&image.id).await?,
        _ => None,
    };
    let names = names(&image, members.as_deref().unwrap_or_default(), opened.projects.as_deref());
    report::image(&image, members.as_deref(), &names.await);
    Ok(Exit::Success)
}

/// The names of the projects that own or share the image, by id, as far as Keystone or the dump
/// tells them.
async fn names(
    image: &Image,
    members: &[Member],
    projects: Option<&Projects>,
) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    let Some(projects) = projects else { return names };
    let owner = match &image.attributes.owner {
        Owner::Project(id) => Some(id),
        Owner::NoProject | Owner::Unsaid => None,
    };
    for id in owner.into_iter().chain(members.iter().map(|member| &member.project)) {
        match projects.by_id(id).await {
            Ok(Some(project)) => {
                names.insert(id.clone(), label(&project));
            }
            Ok(None) => {}
            Err(error) => tracing::debug!("cannot look up the project {id}: {error}"),
        }
    }
    names
}
