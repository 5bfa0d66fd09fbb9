//! The images of a directory on the command line. Images of clouds are not completed: no request is made
//! while the operator types.

use std::ffi::{OsStr, OsString};
use std::future::ready;
use std::path::Path;

use clap_complete::engine::CompletionCandidate;
use futures_util::StreamExt;
use glance_core::digest::Hashers;
use glance_core::image::Image;
use glance_core::selection::Selection;

use crate::resolve::directories::DirectoryPlace;

/// The number of images that are read: a large dump must not delay the shell.
const MOST: usize = 1000;

/// The images of the first directory that the words name, if an image is to be completed.
pub(super) async fn of_dump(words: &[OsString]) -> Vec<Image> {
    if !wants_image(words) {
        return Vec::new();
    }
    let open = |word: &OsString| {
        let place = DirectoryPlace::of_operand(Path::new(word));
        place.open(Hashers::default()).ok()
    };
    let Some(store) = words.iter().skip(2).find_map(open) else { return Vec::new() };
    let images = store.images();
    let Ok(listing) = images.list(&Selection::default()).await else { return Vec::new() };
    listing.take(MOST).filter_map(|image| ready(image.ok())).collect().await
}

/// Whether the last word may be an image.
fn wants_image(words: &[OsString]) -> bool {
    let [.., before, last] = words else { return false };
    let of_option = last.to_str().is_some_and(|word| word.starts_with("--image="));
    of_option || before == "--image" || words.get(1).is_some_and(|command| command == "show")
}

/// The names of the images, and the ids that begin like `typed`.
pub(super) fn candidates(images: &[Image], typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    let mut found = Vec::new();
    for image in images {
        let (name, id) = (image.attributes.name.as_deref().unwrap_or_default(), image.id.as_str());
        if !name.is_empty() && name.starts_with(typed) {
            found.push(CompletionCandidate::new(name).help(Some(id.to_owned().into())));
        } else if id.starts_with(typed) {
            found.push(CompletionCandidate::new(id).help(Some(name.to_owned().into())));
        }
    }
    found
}
