//! Finds the replica of each source image.

use std::collections::BTreeMap;

use futures_util::future::ready;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};

use glance_core::image::provenance::{NEW_ID, SOURCE_ID};
use glance_core::image::{Image, ImageId};
use glance_core::selection::{Condition, Selection};
use glance_core::store::{ImageStoreExt, StoreError, holds};
use glance_core::units::plural;

use crate::error::CopyError;
use crate::mapping::{Mapping, Owners};
use crate::pairing::merge_join::{Listed, Pair, held, pairs};
use crate::policy::{MatchBy, OnBurnedId};
use crate::provenance;
use crate::replication::Replication;

pub(crate) mod merge_join;

/// The replicas that have another id than their source images, keyed by the source id.
#[derive(Debug, Default)]
pub(super) struct Moved {
    replicas: BTreeMap<ImageId, Image>,
    /// The images of which several complete replicas fit, with the reason for the report.
    ambiguous: BTreeMap<ImageId, String>,
    /// Whether the target has no such replica, not even one that this run leaves alone.
    is_empty: bool,
}

impl Moved {
    /// The replica of the image `id`, if there is one.
    pub(super) fn get(&self, id: &ImageId) -> Option<&Image> {
        self.replicas.get(id)
    }

    /// The ids of the source images, each with the replica's id.
    pub(crate) fn ids(&self) -> impl Iterator<Item = (ImageId, ImageId)> {
        self.replicas.iter().map(|(id, replica)| (id.clone(), replica.id.clone()))
    }

    fn pair(&self, image: Image) -> Pair {
        match (self.ambiguous.get(&image.id), self.get(&image.id)) {
            (Some(reason), _) => Pair::Ambiguous(image, reason.clone()),
            (None, Some(replica)) => Pair::Both(image, replica.clone()),
            (None, None) => Pair::SourceOnly(image),
        }
    }
}

impl Replication {
    /// Lists the replicas that have another id than their source images.
    pub(super) async fn reassigned(&self) -> Result<Moved, StoreError> {
        let condition =
            Condition::Property { key: NEW_ID.to_owned(), value: Some(provenance::YES.to_owned()) };
        let marked = Selection::new([condition], [], []);
        let replicas = self.target.list(&marked).await?;
        // A server may ignore the property filter, so the records are checked here, too.
        let is_marked = |item: &Result<Image, StoreError>| match item {
            Ok(replica) => provenance::has_new_id(replica),
            Err(error) => error.record.as_ref().is_none_or(|read| provenance::has_new_id(read)),
        };
        let mut marked = replicas.filter(move |item| ready(is_marked(item)));
        let mut found = BTreeMap::<ImageId, Vec<Image>>::new();
        while let Some(replica) = marked.try_next().await? {
            found.entry(provenance::source_id(&replica)).or_default().push(replica);
        }
        let mut moved = Moved { is_empty: found.is_empty(), ..Moved::default() };
        for (id, replicas) in found {
            match self.only(replicas) {
                Ok(replica) => moved.replicas.insert(id, replica).map(drop),
                Err(reason) => moved.ambiguous.insert(id, reason).map(drop),
            };
        }
        if !self.policy.new_ids && !moved.is_empty {
            self.leave_out_copies_next_to_replicas(&mut moved).await?;
        }
        Ok(moved)
    }

    /// Leaves out the copies of images of which the target also has a replica with the same id. That
    /// replica is the one that other images refer to.
    async fn leave_out_copies_next_to_replicas(&self, moved: &mut Moved) -> Result<(), StoreError> {
        let ids = moved.replicas.keys().chain(moved.ambiguous.keys()).cloned().collect();
        let mut replicas = self.target.list(&Selection::of_ids(ids)).await?;
        while let Some(item) = replicas.next().await {
            let id = match item {
                Ok(replica) => replica.id,
                Err(StoreError { record: Some(record), .. }) => record.id,
                Err(error) => return Err(error),
            };
            moved.replicas.remove(&id);
            moved.ambiguous.remove(&id);
        }
        Ok(())
    }

    /// The one of several replicas of an image that this replication would make. A replica without data
    /// counts only if none has data: an interrupted run left it.
    ///
    /// # Errors
    /// The reason, if several fit. They may belong to different users.
    fn only(&self, mut replicas: Vec<Image>) -> Result<Image, String> {
        let Mapping { owners, name, .. } = &self.policy.mapping;
        let has_data = |replica: &Image| replica.status.has_data();
        let has_owner = |replica: &Image| match owners {
            Owners::Project { id, .. } => replica.attributes.owner.project() == Some(id),
            _ => true,
        };
        let has_name = |replica: &Image| name.is_none() || replica.attributes.name == *name;
        let fits: [&dyn Fn(&Image) -> bool; 3] = [&has_data, &has_owner, &has_name];
        for fits in fits {
            if replicas.iter().any(fits) {
                replicas.retain(fits);
            }
        }
        match <[Image; 1]>::try_from(replicas) {
            Ok([replica]) => Ok(replica),
            Err(mut several) if !several.iter().any(has_data) => Ok(several.swap_remove(0)),
            Err(several) => {
                let ids: Vec<&str> = several.iter().map(|replica| replica.id.as_str()).collect();
                let ids = ids.join(", ");
                Err(format!(
                    "not unique: the target has several copies with new ids ({ids}); give the --rename or \
                     --owner that made one of them, or delete the others"
                ))
            }
        }
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
        let key: Key = match self.policy.match_by {
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
        let new_ids = self.policy.new_ids;
        if moved.is_empty && !new_ids {
            return Ok(pairs);
        }
        let pairs = pairs.and_then(move |pair| async move {
            let pair = match pair {
                // The image with the same id is not the replica.
                Pair::Both(image, _) if new_ids => Pair::SourceOnly(image),
                pair => pair,
            };
            Ok(match pair {
                Pair::SourceOnly(image) => Some(match moved.pair(image) {
                    // A new copy can have the id of the image.
                    Pair::Ambiguous(image, _) if !self.policy.may_give_new_ids() => {
                        Pair::SourceOnly(image)
                    }
                    pair => pair,
                }),
                Pair::TargetOnly(replica) if self.has_image_elsewhere(&replica).await? => None,
                other => Some(other),
            })
        });
        Ok(pairs.try_filter_map(|pair| ready(Ok(pair))).boxed())
    }

    /// Whether `replica` belongs to a source image with another id that still exists, or that a source
    /// without look-ups may have.
    async fn has_image_elsewhere(&self, replica: &Image) -> Result<bool, StoreError> {
        let id = provenance::source_id(replica);
        match (id == replica.id, self.policy.finds_by_id) {
            (true, _) => Ok(false),
            (false, true) => holds(&*self.source, &id).await,
            (false, false) => Ok(true),
        }
    }

    /// Fetches one image and its replica again.
    pub(super) async fn pair(
        &self,
        image: &ImageId,
        replica: Option<&ImageId>,
    ) -> Result<Pair, CopyError> {
        let image = self.source.get(image).await.map_err(CopyError::Source)?;
        let found = match replica {
            None if self.policy.new_ids => Ok(None),
            replica => self.target.find(replica.unwrap_or(&image.id)).await,
        };
        Ok(match found.map_err(CopyError::Target)? {
            Some(replica) => Pair::Both(image, replica),
            None => Pair::SourceOnly(image),
        })
    }
}

impl Replication {
    /// The replica of an image that another run made under a new id since the listing. Only a run
    /// that gives new ids, next to other runs, looks for such replicas: it would make a second one.
    pub(super) async fn new_replica(&self, image: &ImageId) -> Result<Option<ImageId>, StoreError> {
        let is_alone = !self.policy.journal.claims_images();
        if is_alone || self.policy.on_burned_id != OnBurnedId::New {
            return Ok(None);
        }
        let key = SOURCE_ID.to_owned();
        let condition = Condition::Property { key, value: Some(image.to_string()) };
        let mut replicas = self.target.list(&Selection::new([condition], [], [])).await?;
        while let Some(replica) = replicas.try_next().await? {
            // A server may ignore the property filter.
            if provenance::has_new_id(&replica) && provenance::source_id(&replica) == *image {
                return Ok(Some(replica.id));
            }
        }
        Ok(None)
    }
}

/// The key of an image, or why it has none.
type Key = fn(&Image) -> Result<String, &'static str>;

/// The images of one store that have the same key.
type Groups = BTreeMap<String, Vec<Image>>;

/// Pairs images by a key that should be unique in each store.
fn matched(images: Vec<Listed>, replicas: Vec<Image>, key: Key) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let (replicas, without_key) = group_by_key(replicas, key);
    pairs.extend(without_key.into_iter().map(|(replica, _)| Pair::TargetOnly(replica)));
    let mut readable = Vec::new();
    for image in images {
        match image {
            Listed::Known(image) => readable.push(image),
            Listed::Unreadable(image, error) => {
                pairs.push(Pair::Unreadable(image, CopyError::Source(error)));
            }
        }
    }
    let (images, without_key) = group_by_key(readable, key);
    let ambiguous = |(image, reason): (_, &str)| Pair::Ambiguous(image, reason.to_owned());
    pairs.extend(without_key.into_iter().map(ambiguous));
    pairs.extend(join_groups(images, replicas));
    // Listings are ordered by id.
    pairs.sort_by(|one, other| one.id().cmp(other.id()));
    pairs
}

/// Groups images by key. Also returns the images without a key, each with the reason.
fn group_by_key(images: Vec<Image>, key: Key) -> (Groups, Vec<(Image, &'static str)>) {
    let mut groups = Groups::new();
    let mut without_key = Vec::new();
    for image in images {
        match key(&image) {
            Ok(key) => groups.entry(key).or_default().push(image),
            Err(reason) => without_key.push((image, reason)),
        }
    }
    (groups, without_key)
}

/// Pairs the groups with the same key. Images whose key is not unique are ambiguous.
fn join_groups(images: Groups, mut replicas: Groups) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (key, images) in images {
        let replicas = replicas.remove(&key).unwrap_or_default();
        match (images.len(), replicas.len()) {
            (1, 0 | 1) => {
                let mut replicas = replicas.into_iter();
                pairs.extend(images.into_iter().map(|image| match replicas.next() {
                    Some(replica) => Pair::Both(image, replica),
                    None => Pair::SourceOnly(image),
                }));
            }
            (source, target) => {
                let reason = format!(
                    "not unique: {source} image{s} at the source and {target} at the target have the same \
                     name or digest, {key:?}",
                    s = plural(source)
                );
                let images = images.into_iter();
                pairs.extend(images.map(|image| Pair::Ambiguous(image, reason.clone())));
            }
        }
    }
    pairs.extend(replicas.into_values().flatten().map(Pair::TargetOnly));
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
