//! Samples of the images of a store, by percentage or size. Most samples require a listing first.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use futures_util::StreamExt;

use crate::image::ImageId;
use crate::selection::{Selection, Subset};
use crate::store::{ImageStore, StoreError};

/// The images of a store that a [`Subset`] chooses.
#[derive(Debug)]
pub struct Sample(Choice);

#[derive(Debug)]
enum Choice {
    All,
    Part {
        number: u64,
        of: u64,
    },
    /// Images whose hashes, with a random key of this run, are in the set. Each hash takes eight
    /// bytes.
    Random(RandomState, HashSet<u64>),
}

impl Sample {
    /// Chooses among `ids`. Reads records only for [`Subset::Bytes`].
    pub async fn of(
        subset: Subset,
        ids: impl Iterator<Item = ImageId>,
        store: &dyn ImageStore,
    ) -> Self {
        let by = RandomState::new();
        let mut sizes = Vec::new();
        match subset {
            Subset::All | Subset::Part { .. } => {}
            Subset::Percent(_) => sizes.extend(ids.map(|id| (by.hash_one(id), 0))),
            Subset::Bytes(_) => {
                for id in ids {
                    // An image whose record cannot be read is reported elsewhere.
                    let Ok(image) = store.get(&id).await else { continue };
                    if image.status.has_data() {
                        sizes.push((by.hash_one(&id), image.size.unwrap_or(0)));
                    }
                }
            }
        }
        Self::chosen(subset, by, sizes)
    }

    /// Chooses among the images that `selection` admits and that have data. Lists the store only if
    /// the subset requires it, and keeps 16 bytes per image in memory.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub async fn among(
        subset: Subset,
        store: &dyn ImageStore,
        selection: &Selection,
    ) -> Result<Self, StoreError> {
        let by = RandomState::new();
        let mut sizes = Vec::new();
        if let Subset::All | Subset::Part { .. } = subset {
            return Ok(Self::chosen(subset, by, sizes));
        }
        let mut images = store.list(selection).await?;
        while let Some(item) = images.next().await {
            let image = match item {
                Ok(image) => image,
                // An image whose record cannot be read is reported elsewhere, regardless of the
                // sample.
                Err(error) if error.record.is_some() => continue,
                Err(error) => return Err(error),
            };
            if image.status.has_data() {
                sizes.push((by.hash_one(&image.id), image.size.unwrap_or(0)));
            }
        }
        Ok(Self::chosen(subset, by, sizes))
    }

    /// Whether the sample contains the image.
    pub fn contains(&self, id: &ImageId) -> bool {
        match &self.0 {
            Choice::All => true,
            Choice::Part { number, of } => {
                let digits = id.as_str().replace('-', "");
                let id = u128::from_str_radix(&digits, 16).unwrap_or_default();
                id % u128::from(*of) == u128::from(*number) - 1
            }
            Choice::Random(by, ranks) => ranks.contains(&by.hash_one(id)),
        }
    }

    /// `sizes` are the hashes by `by` and the sizes of the images to choose from.
    fn chosen(subset: Subset, by: RandomState, mut sizes: Vec<(u64, u64)>) -> Self {
        sizes.sort_unstable();
        Self(match subset {
            Subset::All => Choice::All,
            Subset::Part { number, of } => Choice::Part { number, of },
            Subset::Bytes(bytes) => Choice::Random(by, within(&sizes, bytes)),
            Subset::Percent(percent) => {
                let first = sizes.iter().take(share(percent, sizes.len()));
                Choice::Random(by, first.map(|(rank, _)| *rank).collect())
            }
        })
    }
}

/// This percentage of a number, rounded up.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a number of images, and a positive share of it"
)]
fn share(percent: f64, of: usize) -> usize {
    (percent * of as f64 / 100.0).ceil() as usize
}

/// The first ranks whose sizes fit into `bytes` together; the very first one if none fits.
fn within(sizes: &[(u64, u64)], bytes: u64) -> HashSet<u64> {
    let mut left = bytes;
    let mut ranks = HashSet::new();
    for (rank, size) in sizes {
        if *size <= left {
            left -= size;
            ranks.insert(*rank);
        }
    }
    if ranks.is_empty() {
        ranks.extend(sizes.first().map(|(rank, _)| *rank));
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryStore;

    #[tokio::test]
    async fn parts_are_disjoint_and_stable_and_percents_are_rounded_up() {
        let ids: Vec<ImageId> = std::iter::repeat_with(ImageId::random).take(101).collect();
        let store = MemoryStore::new("none");
        let mut seen = 0;
        for number in 1..=3 {
            let part =
                Sample::of(Subset::Part { number, of: 3 }, ids.iter().cloned(), &store).await;
            seen += ids.iter().filter(|id| part.contains(id)).count();
        }
        assert_eq!(seen, 101);
        for (percent, wanted) in [(10.0, 11), (0.1, 1), (100.0, 101)] {
            let part = Sample::of(Subset::Percent(percent), ids.iter().cloned(), &store).await;
            assert_eq!(ids.iter().filter(|id| part.contains(id)).count(), wanted);
        }
    }

    #[test]
    fn bytes_are_filled_with_whole_images() {
        let sizes = [(1, 50), (2, 60), (3, 40), (4, 10)];
        assert_eq!(within(&sizes, 100), HashSet::from([1, 3, 4]));
        assert_eq!(within(&sizes, 5), HashSet::from([1]));
        assert_eq!(within(&[], 5), HashSet::new());
    }
}
