//! Selections that require listing the store first: the newest images of each group, and samples by
//! percentage or size.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{BuildHasher, RandomState};

use futures_util::StreamExt;
use jiff::Timestamp;

use crate::image::{Image, ImageId};
use crate::selection::{Latest, Selection, Subset, instant};
use crate::store::{ImageStore, StoreError};

/// Lists the images that `selection` admits in `store`, in any shard, and selects the newest of
/// each group of `latest`. Keeps the ids of the newest images in memory.
///
/// # Errors
/// When the store cannot be listed.
pub async fn newest(
    latest: &Latest,
    selection: &Selection,
    store: &dyn ImageStore,
) -> Result<Selection, StoreError> {
    let mut groups = Groups::default();
    let mut images = store.list(&selection.in_shard(None)).await?;
    let mut unreadable = BTreeSet::new();
    while let Some(item) = images.next().await {
        match item {
            Ok(image) => groups.take(image, latest),
            // The image may be one of the newest. The later listing by the selection reports the
            // error.
            Err(error) => match &error.record {
                Some(read) => drop(unreadable.insert(read.id.clone())),
                None => return Err(error),
            },
        }
    }
    let mut ids = groups.ids();
    ids.extend(unreadable);
    Ok(selection.among(ids))
}

/// The newest images of each group seen so far.
#[derive(Default)]
struct Groups(BTreeMap<String, BTreeSet<(Timestamp, ImageId)>>);

impl Groups {
    fn take(&mut self, image: Image, latest: &Latest) {
        let Some(group) = latest.group_of(&image) else { return };
        let created = image.created_at.as_deref().and_then(instant);
        let newest = self.0.entry(group).or_default();
        newest.insert((created.unwrap_or(Timestamp::MIN), image.id));
        if newest.len() > latest.count() {
            newest.pop_first();
        }
    }

    fn ids(self) -> BTreeSet<ImageId> {
        self.0.into_values().flatten().map(|(_, id)| id).collect()
    }
}

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
    use crate::image::{Attributes, Status};
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

    /// The newest of these images, which are given by name, property `os` and day of creation.
    fn newest(key: &str, images: &[(&str, &str, u8)]) -> Vec<u8> {
        let latest: Latest = key.parse().unwrap();
        let mut groups = Groups::default();
        let mut days = BTreeMap::new();
        for (name, os, day) in images {
            let mut attributes =
                Attributes { name: Some((*name).to_owned()), ..Default::default() };
            if !os.is_empty() {
                attributes.properties.insert("os".to_owned(), (*os).to_owned());
            }
            let mut image = Image::queued(ImageId::random(), attributes);
            image.status = if *day > 20 { Status::Queued } else { Status::Active };
            image.created_at = Some(format!("2026-01-{day:02}T00:00:00Z"));
            days.insert(image.id.clone(), *day);
            groups.take(image, &latest);
        }
        let mut found: Vec<u8> = groups.ids().iter().map(|id| days[id]).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn the_newest_of_each_group_stay() {
        let images = [
            ("debian-12-20260101", "debian", 1),
            ("debian-12-20260107", "debian", 7),
            ("debian-13-20260103", "debian", 3),
            ("debian-13-20260103", "", 4),
            ("ubuntu-24-20260102", "ubuntu", 2),
            // An image without data.
            ("ubuntu-24-20260128", "ubuntu", 28),
        ];
        assert_eq!(newest("os", &images), [2, 7]);
        assert_eq!(newest("os=2", &images), [2, 3, 7]);
        assert_eq!(newest("name", &images), [1, 2, 4, 7]);
        assert_eq!(newest(r"/^([a-z]+-\d+)-\d{8}$/", &images), [2, 4, 7]);
        assert_eq!(newest("/^debian/=2", &images), [4, 7]);
        assert!(newest("unknown", &images).is_empty());
    }
}
