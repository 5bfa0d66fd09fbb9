//! Which images' data is read.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;

use futures_util::stream::StreamExt;

use super::{Selection, byte_count};
use crate::image::ImageId;
use crate::store::{ImageStore, StoreError};

/// A part of a store, to verify it piece by piece.
///
/// As text: `all`, `2/5`, `10%`, `5G` (k, M, G and T are powers of 1024).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Subset {
    /// Every image.
    #[default]
    All,
    /// The `number`-th of `of` parts, from 1. An image is always in the same part, so that `of`
    /// runs see all of them.
    Part {
        /// Which one.
        number: u64,
        /// Of how many.
        of: u64,
    },
    /// So many of a hundred images, chosen at random; at least one.
    Percent(f64),
    /// Whole images of so many bytes together, chosen at random; at least one.
    Bytes(u64),
}

/// A text that is no [`Subset`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSubset(String);

impl FromStr for Subset {
    type Err = InvalidSubset;

    fn from_str(text: &str) -> Result<Self, InvalidSubset> {
        let parsed = if text == "all" {
            Some(Self::All)
        } else if let Some((number, of)) = text.split_once('/') {
            let (number, of) = (number.parse().ok(), of.parse().ok());
            let part = number.zip(of).filter(|(number, of)| (1..=*of).contains(number));
            part.map(|(number, of)| Self::Part { number, of })
        } else if let Some(percent) = text.strip_suffix('%') {
            let percent = percent.parse().ok();
            percent.filter(|it: &f64| *it > 0.0 && *it <= 100.0).map(Self::Percent)
        } else {
            byte_count(text).ok().filter(|bytes| *bytes > 0).map(Self::Bytes)
        };
        parsed.ok_or_else(|| InvalidSubset(text.to_owned()))
    }
}

impl fmt::Display for InvalidSubset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no subset: write it as all, 2/5, 10% or 5G", self.0)
    }
}

impl std::error::Error for InvalidSubset {}

/// The images of a [`Subset`] of one store.
#[derive(Debug)]
pub struct Chosen(Choice);

#[derive(Debug)]
enum Choice {
    All,
    Part {
        number: u64,
        of: u64,
    },
    /// Those whose hashes, under a key of this run, are among these: eight bytes for each.
    Random(RandomState, HashSet<u64>),
}

impl Chosen {
    /// Chooses among `ids`. Only an amount of bytes takes a look at the records.
    pub async fn of(
        subset: Subset,
        ids: impl Iterator<Item = ImageId>,
        store: &dyn ImageStore,
    ) -> Self {
        let by = RandomState::new();
        match subset {
            Subset::All => Self(Choice::All),
            Subset::Part { number, of } => Self(Choice::Part { number, of }),
            Subset::Percent(percent) => {
                let ranks = ids.map(|id| by.hash_one(id)).collect();
                Self::share(by, ranks, percent)
            }
            Subset::Bytes(bytes) => {
                let mut sizes = Vec::new();
                for id in ids {
                    // Whose record can't be read is reported as that.
                    let Ok(image) = store.get(&id).await else { continue };
                    if image.status.has_data() {
                        sizes.push((by.hash_one(&id), image.size.unwrap_or(0)));
                    }
                }
                Self::filling(by, sizes, bytes)
            }
        }
    }

    /// Chooses among the images that `selection` admits and that have data. Lists them where that
    /// is needed, and keeps 16 bytes of each.
    ///
    /// # Errors
    /// When the store can't be listed.
    pub async fn among(
        subset: Subset,
        store: &dyn ImageStore,
        selection: &Selection,
    ) -> Result<Self, StoreError> {
        if let Subset::All | Subset::Part { .. } = subset {
            return Ok(Self::of(subset, std::iter::empty(), store).await);
        }
        let by = RandomState::new();
        let mut sizes = Vec::new();
        let mut images = store.list(selection).await?;
        while let Some(item) = images.next().await {
            let image = match item {
                Ok(image) => image,
                // It is reported as that, whatever is chosen.
                Err(error) if error.record.is_some() => continue,
                Err(error) => return Err(error),
            };
            if image.status.has_data() {
                sizes.push((by.hash_one(&image.id), image.size.unwrap_or(0)));
            }
        }
        Ok(match subset {
            Subset::Bytes(bytes) => Self::filling(by, sizes, bytes),
            Subset::Percent(percent) => {
                Self::share(by, sizes.into_iter().map(|(rank, _)| rank).collect(), percent)
            }
            Subset::All | Subset::Part { .. } => Self(Choice::All),
        })
    }

    /// Whether the image is one of them.
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

    fn share(by: RandomState, mut ranks: Vec<u64>, percent: f64) -> Self {
        ranks.sort_unstable();
        ranks.truncate(share(percent, ranks.len()));
        Self(Choice::Random(by, ranks.into_iter().collect()))
    }

    fn filling(by: RandomState, mut sizes: Vec<(u64, u64)>, bytes: u64) -> Self {
        sizes.sort_unstable();
        Self(Choice::Random(by, within(&sizes, bytes)))
    }
}

/// So many of a hundred, rounded up.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a number of images, and a positive share of it"
)]
fn share(percent: f64, of: usize) -> usize {
    (percent * of as f64 / 100.0).ceil() as usize
}

/// The first ranks whose sizes fit into `bytes`, and the very first when none does.
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

    #[test]
    fn a_subset_is_read_or_refused() {
        let good = [
            ("all", Subset::All),
            ("1/1", Subset::Part { number: 1, of: 1 }),
            ("5/5", Subset::Part { number: 5, of: 5 }),
            ("10%", Subset::Percent(10.0)),
            ("0.5%", Subset::Percent(0.5)),
            ("7", Subset::Bytes(7)),
            ("2k", Subset::Bytes(2048)),
            ("5G", Subset::Bytes(5 << 30)),
        ];
        for (text, subset) in good {
            assert_eq!(text.parse(), Ok(subset), "{text}");
        }
        for text in ["", "0/5", "6/5", "1/0", "x", "0%", "101%", "nan%", "0", "5X", "-1", "G", "5€"]
        {
            assert!(text.parse::<Subset>().is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn parts_are_disjoint_and_stable_and_percents_are_rounded_up() {
        let ids: Vec<ImageId> = std::iter::repeat_with(ImageId::random).take(101).collect();
        let store = MemoryStore::new("none");
        let mut seen = 0;
        for number in 1..=3 {
            let part =
                Chosen::of(Subset::Part { number, of: 3 }, ids.iter().cloned(), &store).await;
            seen += ids.iter().filter(|id| part.contains(id)).count();
        }
        assert_eq!(seen, 101);
        for (percent, wanted) in [(10.0, 11), (0.1, 1), (100.0, 101)] {
            let part = Chosen::of(Subset::Percent(percent), ids.iter().cloned(), &store).await;
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
