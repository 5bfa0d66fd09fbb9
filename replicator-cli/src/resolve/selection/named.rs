//! The images that the options name one by one: whether they exist, and which names are similar to a
//! name that no image has.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use glance_core::ImageStore;
use glance_core::image::{Image, ImageId};
use glance_core::selection::{Condition, NamePattern, NamedImages, Selection};
use glance_core::store::{ImageStoreExt, StoreError};
use replicator_engine::provenance;
use strsim::normalized_damerau_levenshtein;

use super::Selected;
use crate::error::CliError;
use crate::output::{named, quoted};

impl Selected {
    /// Fails unless each image that the options name is in at least one of these stores. If the
    /// options name all images, returns `selection` restricted to the ids of these images, so that
    /// no store has to list others.
    ///
    /// # Errors
    /// Says which images are missing, and which names are similar.
    pub(crate) async fn require_named(
        &self,
        selection: Selection,
        stores: &[&dyn ImageStore],
    ) -> Result<Selection, CliError> {
        let named = self.selection.named();
        let mut absent = named.clone();
        let mut ids = BTreeSet::new();
        for (index, store) in stores.iter().enumerate() {
            let is_in_source = !ids.is_empty();
            let mut first = None;
            for wanted in [of_ids(&absent.ids), of_names(&named.names)].into_iter().flatten() {
                each_image(*store, &wanted, |image| {
                    absent.found(&image);
                    ids.insert(image.id.clone());
                    first.get_or_insert(image);
                })
                .await?;
            }
            if let Some(replica) = first.filter(|_| index > 0 && !is_in_source) {
                refuse_replica(&replica, *store, stores[0]).await?;
            }
        }
        if !absent.is_empty() {
            let places: Vec<String> = stores.iter().map(ToString::to_string).collect();
            return Err(absence(&absent, &places.join(" nor in "), stores, CHECK).await);
        }
        Ok(match self.selection.names_all() {
            true => selection.among(ids),
            false => selection,
        })
    }
}

/// Fails if an image that only the target has by this name or id is the replica of an image of the
/// source: a selection is by the names and ids of the source.
async fn refuse_replica(
    replica: &Image,
    target: &dyn ImageStore,
    source: &dyn ImageStore,
) -> Result<(), CliError> {
    let Some(original) = source.find(&provenance::source_id(replica)).await? else { return Ok(()) };
    let (copy, name) = (named(replica.label()), named(original.label()));
    let what = format!("{copy} in {target} is a copy of {name} in {source}");
    Err(CliError::usage(what).hint(format!("name the original: --image {}", original.id)))
}

/// Restricts a selection to the only image that it admits in `source`, which gets another name at
/// the target.
///
/// # Errors
/// When the selection admits no image, or several.
pub(crate) async fn only_one(
    selection: &Selection,
    source: &dyn ImageStore,
) -> Result<Selection, CliError> {
    let (mut first, mut count) = (Vec::new(), 0_u64);
    each_image(source, selection, |image| {
        count += 1;
        if first.len() <= SHOWN {
            first.push(image);
        }
    })
    .await?;
    match &first[..] {
        [image] => Ok(selection.among([image.id.clone()].into())),
        [] => Err(CliError::usage("--rename applies to one image, but none is selected")
            .hint("name it with --image; the other options that select, such as --visibility, must match it, too")),
        several => {
            let what = format!("--rename applies to one image, but {count} images are selected");
            Err(CliError::usage(what).hint(format!("select one with --image: {}", ids(several))))
        }
    }
}

/// The only image of `store` that `wanted` names.
///
/// # Errors
/// When there is no such image, with similar names or else with `advice`, or when there are several.
pub(crate) async fn one_image(
    wanted: &Condition,
    store: &dyn ImageStore,
    advice: &str,
) -> Result<Image, CliError> {
    let selection = Selection::new([wanted.clone()], [], []);
    let mut listing = store.list(&selection).await?;
    let mut images = Vec::new();
    while let Some(item) = listing.next().await {
        images.push(item?);
    }
    match &images[..] {
        [image] => Ok(image.clone()),
        [] => {
            let named = selection.named();
            match named.is_empty() {
                true => {
                    let what = format!("no image of {store} matches {wanted}");
                    Err(CliError::usage(what).hint(advice))
                }
                false => Err(absence(&named, &store.to_string(), &[store], advice).await),
            }
        }
        several => {
            let what = format!("{} images of {store} match {wanted}", several.len());
            Err(CliError::usage(what).hint(format!("name one by its id: {}", ids(several))))
        }
    }
}

/// The first ids of these images, with the names.
fn ids(images: &[Image]) -> String {
    let text = |image: &Image| format!("{} {}", image.id, named(image.label()));
    let shown: Vec<String> = images.iter().take(SHOWN).map(text).collect();
    let more = if images.len() > SHOWN { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// Fails if a store that cannot be listed again lacks images that the options name.
pub(crate) fn refuse_absent(absent: &NamedImages, store: &str) -> Result<(), CliError> {
    match absent.is_empty() {
        true => Ok(()),
        false => Err(CliError::usage(missing(absent, store)).hint(CHECK)),
    }
}

/// The error for images that none of the stores has, with similar names or else with `advice`.
async fn absence(
    absent: &NamedImages,
    called: &str,
    stores: &[&dyn ImageStore],
    advice: &str,
) -> CliError {
    let similar = match absent.names.first() {
        Some(name) => similar(name, stores).await,
        None => Vec::new(),
    };
    CliError::usage(missing(absent, called)).hint(match similar.is_empty() {
        true => advice.to_owned(),
        false => format!("did you mean {}?", similar.join(" or ")),
    })
}

fn missing(absent: &NamedImages, stores: &str) -> String {
    let NamedImages { ids, names } = absent;
    match (names.first(), ids.first(), names.len() + ids.len()) {
        (Some(name), None, 1) => format!("no image is named {} in {stores}", quoted(name)),
        (None, Some(id), 1) => format!("no image has the id {id} in {stores}"),
        (name, id, count) => {
            let first = name.map(|name| quoted(name)).or(id.map(ToString::to_string));
            let first = first.unwrap_or_default();
            format!("{count} of the named images, such as {first}, are not in {stores}")
        }
    }
}

/// The names in these stores that are most similar to `wanted`, in quotes. A store that cannot be
/// listed has none: the error about the missing image is more important.
async fn similar(wanted: &str, stores: &[&dyn ImageStore]) -> Vec<String> {
    let mut similar = Similar::to(wanted);
    for store in stores {
        let Ok(mut listing) = store.list(&Selection::everything()).await else { continue };
        while let Some(item) = listing.next().await {
            if let Ok(Image { attributes, .. }) = item {
                attributes.name.iter().for_each(|name| similar.offer(name));
            }
        }
    }
    similar.quoted()
}

/// The names that are most similar to a name, for a hint.
pub(crate) struct Similar<'a> {
    wanted: &'a str,
    /// The best names so far with their likeness, the best one first.
    best: Vec<(f64, String)>,
}

impl<'a> Similar<'a> {
    pub(crate) fn to(wanted: &'a str) -> Self {
        Self { wanted, best: Vec::new() }
    }

    pub(crate) fn offer(&mut self, name: &str) {
        let likeness = likeness(self.wanted, name);
        if likeness >= LEAST && self.best.iter().all(|(_, known)| known != name) {
            self.best.push((likeness, name.to_owned()));
            self.best.sort_by(|(one, _), (other, _)| other.total_cmp(one));
            self.best.truncate(SHOWN);
        }
    }

    /// The names, in quotes.
    pub(crate) fn quoted(&self) -> Vec<String> {
        self.best.iter().map(|(_, name)| quoted(name)).collect()
    }
}

/// How similar two names are, from 0 to 1. A name that contains the other one is similar, too.
fn likeness(wanted: &str, name: &str) -> f64 {
    let (wanted, name) = (wanted.to_lowercase(), name.to_lowercase());
    let contains = wanted.chars().nth(2).is_some() && name.contains(&wanted);
    let likeness = normalized_damerau_levenshtein(&wanted, &name);
    if contains { likeness.max(LEAST) } else { likeness }
}

fn of_ids(ids: &BTreeSet<ImageId>) -> Option<Selection> {
    (!ids.is_empty()).then(|| Selection::of_ids(ids.clone()))
}

fn of_names(names: &BTreeSet<String>) -> Option<Selection> {
    let exactly = |name: &String| Condition::Name(NamePattern::exact(name));
    (!names.is_empty()).then(|| Selection::new(names.iter().map(exactly), [], []))
}

/// Passes each image of a listing to `take`. Of a record that cannot be read, passes the readable
/// part.
async fn each_image(
    store: &dyn ImageStore,
    selection: &Selection,
    mut take: impl FnMut(Image),
) -> Result<(), StoreError> {
    let mut listing = store.list(selection).await?;
    while let Some(item) = listing.next().await {
        match item {
            Ok(image) => take(image),
            Err(error) => match error.record {
                Some(read) => take(*read),
                None => return Err(error),
            },
        }
    }
    Ok(())
}

const CHECK: &str = "check --image and --ids-from, and whether the sign-in sees the image";

/// The number of images or names that a hint shows.
const SHOWN: usize = 3;

/// The smallest likeness of a name that a hint shows.
const LEAST: f64 = 0.6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names_are_told_from_others() {
        for (wanted, name) in [
            ("debain-12", "debian-12"),
            ("debian12", "debian-12"),
            ("Debian-12", "debian-12"),
            ("seed-ova", "seed-ovf"),
            ("debian", "debian-12-generic-amd64-20260101"),
        ] {
            assert!(likeness(wanted, name) >= LEAST, "{wanted} {name}");
        }
        for (wanted, name) in [("debian-12", "windows-2022"), ("12", "debian-12"), ("", "debian")] {
            assert!(likeness(wanted, name) < LEAST, "{wanted} {name}");
        }
        assert!(likeness("debian-12", "debian-13") > likeness("debian-12", "debian-9"));
    }
}
