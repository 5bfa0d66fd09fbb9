//! `show`: shows the record of one image.

use glance_core::image::Visibility;
use glance_core::store::ImageStoreExt;

use crate::args::{Options, Show, shell_word};
use crate::commands::one;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::report;
use crate::resolve::endpoint::Side;
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
    report::image(&image, members.as_deref());
    Ok(Exit::Success)
}
