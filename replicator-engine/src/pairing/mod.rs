//! Finds the replica of each source image.

use std::collections::BTreeMap;

use futures_util::future::ready;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};

use glance_core::image::provenance::NEW_ID;
use glance_core::image::{Image, ImageId};
use glance_core::selection::{Condition, Selection};
use glance_core::store::{ImageStoreExt, StoreError, holds};

use crate::error::CopyError;
use crate::pairing::merge_join::{Listed, Pair, held, pairs};
use crate::policy::MatchBy;
use crate::provenance;
use crate::replication::Replication;

pub(crate) mod merge_join;

/// The replicas that have another id than their source images, keyed by the source id.
pub(super) type Moved = BTreeMap<ImageId, Image>;

impl Replication {
    /// Lists the replicas that have another id than their source images.
    pub(super) async fn reassigned(&self) -> Result<Moved, StoreError> {
        let (key, value) = (NEW_ID.to_owned(), Some(provenance::YES.to_owned()));
        let marked = Selection::new([Condition::Property { key, value }], [], []);
        let replicas = self.target.list(&marked).await?;
        // A server may ignore the property filter, so the records are checked here, too.
        let is_marked = |item: &Result<Image, StoreError>| match item {
            Ok(replica) => provenance::has_new_id(replica),
            Err(error) => error.record.as_ref().is_none_or(|read| provenance::has_new_id(read)),
        };
        let marked = replicas.filter(move |item| ready(is_marked(item)));
        marked.map_ok(|replica| (provenance::source_id(&replica), replica)).try_collect().await
    }

    /// The same replication with these ids added to its mapping, which translates references to
    /// them.
    pub(super) fn with_id_map(&self, ids: impl Iterator<Item = (ImageId, ImageId)>) -> Self {
        let mut policy = self.policy.clone();
        policy.mapping.ids.extend(ids);
        Self { source: self.source.clone(), target: self.target.clone(), policy }
    }

    /// Lists both stores and pairs every image with its replica.
    pub(super) async fn pairs<'a>(
        &'a self,
        moved: &'a Moved,
    ) -> Result<BoxStream<'a, Result<Pair, StoreError>>, StoreError> {
        let key = match self.policy.match_by {
            MatchBy::Id => return self.pairs_by_id(moved).await,
            MatchBy::Name => name,
            MatchBy::Hash => hash,
        };
        let selection = &self.policy.selection;
        let everything = Selection::everything();
        let (images, replicas) =
            tokio::try_join!(self.source.list(&everything), self.target.list(&everything))?;
        let (images, replicas) = tokio::try_join!(
            held(images.map(Listed::of), &self.source),
            held(replicas.map(Listed::of), &self.target)
        )?;
        // The selection is applied after pairing: an excluded image is not missing, and its name
        // still counts as taken.
        let selected = |pair: &Pair| match pair {
            Pair::TargetOnly(image)
            | Pair::SourceOnly(image)
            | Pair::Both(image, _)
            | Pair::Ambiguous(image, _) => selection.admits(image),
            Pair::Unreadable(image, _) | Pair::UnreadableExtra(image, _) => {
                selection.may_admit(image)
            }
        };
        let replicas: Vec<Image> =
            replicas.into_iter().map(Listed::readable).collect::<Result<_, _>>()?;
        let pairs = matched(images, replicas, key).into_iter().filter(selected);
        Ok(stream::iter(pairs.map(Ok).collect::<Vec<_>>()).boxed())
    }

    async fn pairs_by_id<'a>(
        &'a self,
        moved: &'a Moved,
    ) -> Result<BoxStream<'a, Result<Pair, StoreError>>, StoreError> {
        let pairs = pairs(&*self.source, &*self.target, &self.policy.selection).await?;
        if moved.is_empty() {
            return Ok(pairs);
        }
        let found = pairs.and_then(move |pair| async move {
            Ok(match pair {
                Pair::SourceOnly(image) => Some(match moved.get(&image.id) {
                    Some(replica) => Pair::Both(image, replica.clone()),
                    None => Pair::SourceOnly(image),
                }),
                Pair::TargetOnly(replica) if self.has_image_elsewhere(&replica).await? => None,
                other => Some(other),
            })
        });
        Ok(found.try_filter_map(|pair| ready(Ok(pair))).boxed())
    }

    /// Whether `replica` belongs to a source image with another id that still exists.
    async fn has_image_elsewhere(&self, replica: &Image) -> Result<bool, StoreError> {
        let id = provenance::source_id(replica);
        if id == replica.id {
            return Ok(false);
        }
        holds(&*self.source, &id).await
    }

    /// Fetches one image and its replica again.
    pub(super) async fn pair(
        &self,
        image: &ImageId,
        replica: Option<&ImageId>,
    ) -> Result<Pair, CopyError> {
        let image = self.source.get(image).await.map_err(CopyError::Source)?;
        let found = self.target.find(replica.unwrap_or(&image.id)).await;
        Ok(match found.map_err(CopyError::Target)? {
            Some(replica) => Pair::Both(image, replica),
            None => Pair::SourceOnly(image),
        })
    }
}

/// The ids of the source images whose replicas have another id, each with the replica's id.
pub(crate) fn ids(moved: &Moved) -> impl Iterator<Item = (ImageId, ImageId)> {
    moved.iter().map(|(id, replica)| (id.clone(), replica.id.clone()))
}

/// Pairs images by a key that should be unique in each store.
fn matched(
    images: Vec<Listed>,
    replicas: Vec<Image>,
    key: fn(&Image) -> Result<String, &'static str>,
) -> Vec<Pair> {
    let mut here: BTreeMap<String, Vec<Image>> = BTreeMap::new();
    let mut pairs = Vec::new();
    for replica in replicas {
        match key(&replica) {
            Ok(key) => here.entry(key).or_default().push(replica),
            Err(_) => pairs.push(Pair::TargetOnly(replica)),
        }
    }
    let mut there: BTreeMap<String, Vec<Image>> = BTreeMap::new();
    for image in images {
        let image = match image {
            Listed::Known(image) => image,
            Listed::Unreadable(image, error) => {
                pairs.push(Pair::Unreadable(image, CopyError::Source(error)));
                continue;
            }
        };
        match key(&image) {
            Ok(key) => there.entry(key).or_default().push(image),
            Err(reason) => pairs.push(Pair::Ambiguous(image, reason.to_owned())),
        }
    }
    for (key, mut images) in there {
        let mut replicas = here.remove(&key).unwrap_or_default();
        let counts = (images.len(), replicas.len());
        match (images.pop(), replicas.pop()) {
            (Some(image), Some(replica)) if counts == (1, 1) => {
                pairs.push(Pair::Both(image, replica));
            }
            (Some(image), None) if counts == (1, 0) => pairs.push(Pair::SourceOnly(image)),
            (last, _) => {
                let (source, target) = counts;
                let reason = format!(
                    "{source} images at the source and {target} at the target have {key:?}"
                );
                let images = images.into_iter().chain(last);
                pairs.extend(images.map(|image| Pair::Ambiguous(image, reason.clone())));
            }
        }
    }
    pairs.extend(here.into_values().flatten().map(Pair::TargetOnly));
    // Listings are ordered by id.
    pairs.sort_by(|one, other| one.id().cmp(other.id()));
    pairs
}

fn name(image: &Image) -> Result<String, &'static str> {
    image.attributes.name.clone().ok_or("the image has no name to match by")
}

fn hash(image: &Image) -> Result<String, &'static str> {
    let digest = image.recorded_digests().next();
    let digest = digest.map(|digest| format!("{} {}", digest.algorithm, digest.value));
    digest.ok_or("the image has no digest to match by")
}
