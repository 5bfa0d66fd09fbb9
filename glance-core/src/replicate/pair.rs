//! Finding the replica of every image.

use std::collections::BTreeMap;

use futures_util::stream::StreamExt;

use crate::image::{Image, ImageId};
use crate::store::{ImageStore, ImageStream, StoreError};

/// The image of one id in two stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pair {
    /// Both stores hold it.
    Both(Image, Image),
    /// Only the source holds it.
    SourceOnly(Image),
    /// Only the target holds it.
    TargetOnly(Image),
}

impl Pair {
    /// The source's image and its replica, unless only the target has it.
    pub fn at_source(self) -> Option<(Image, Option<Image>)> {
        match self {
            Self::Both(image, replica) => Some((image, Some(replica))),
            Self::SourceOnly(image) => Some((image, None)),
            Self::TargetOnly(_) => None,
        }
    }
}

/// Lists both stores at once and pairs their images by id, in ascending order.
///
/// # Errors
/// When one of the stores can't be listed.
pub async fn pairs(
    source: &dyn ImageStore,
    target: &dyn ImageStore,
) -> Result<Vec<Pair>, StoreError> {
    let all = |store| async move { by_id(ImageStore::list(store).await?).await };
    let (images, mut replicas) = tokio::try_join!(all(source), all(target))?;
    let mut pairs: BTreeMap<ImageId, Pair> = BTreeMap::new();
    for (id, image) in images {
        let pair = match replicas.remove(&id) {
            Some(replica) => Pair::Both(image, replica),
            None => Pair::SourceOnly(image),
        };
        pairs.insert(id, pair);
    }
    pairs.extend(replicas.into_iter().map(|(id, replica)| (id, Pair::TargetOnly(replica))));
    Ok(pairs.into_values().collect())
}

async fn by_id(mut images: ImageStream<'_>) -> Result<BTreeMap<ImageId, Image>, StoreError> {
    let mut found = BTreeMap::new();
    while let Some(image) = images.next().await {
        let image = image?;
        found.insert(image.id.clone(), image);
    }
    Ok(found)
}
