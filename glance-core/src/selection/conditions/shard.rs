//! Shards: parts of all images, so that several machines can share the work.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::image::ImageId;

/// One of several parts of all images. Text form: `2/8`, the second of eight shards.
///
/// The shard of an image depends only on the image's id and on the number of shards. The first
/// eight bytes of the SHA-256 of the id (36 characters, lower case) are a big-endian number; the
/// remainder of this number divided by the number of shards, plus one, is the shard's number.
/// Machines that do not communicate, and other releases, compute the same result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    number: NonZeroU32,
    of: NonZeroU32,
}

/// A text that is not a [`Shard`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a shard; write the second of eight as 2/8")]
pub struct InvalidShard(pub String);

impl Shard {
    /// Shard `number` of `of` shards, from 1; `None` unless `number` is between 1 and `of`.
    pub fn new(number: u64, of: NonZeroU32) -> Option<Self> {
        let number = NonZeroU32::new(u32::try_from(number).ok()?)?;
        (number <= of).then_some(Self { number, of })
    }

    /// The number of this shard, from 1.
    pub fn number(self) -> NonZeroU32 {
        self.number
    }

    /// The number of shards.
    pub fn of(self) -> NonZeroU32 {
        self.of
    }

    /// Whether the image with this id belongs to this shard.
    pub fn contains(self, id: &ImageId) -> bool {
        let digest = Sha256::digest(id.as_str().to_ascii_lowercase());
        let first = digest.iter().take(8);
        let number = first.fold(0, |number, byte| number << 8 | u64::from(*byte));
        number % u64::from(self.of.get()) + 1 == u64::from(self.number.get())
    }
}

impl FromStr for Shard {
    type Err = InvalidShard;

    fn from_str(text: &str) -> Result<Self, InvalidShard> {
        let numbers = text.split_once('/');
        let parsed =
            numbers.and_then(|(number, of)| Self::new(number.parse().ok()?, of.parse().ok()?));
        parsed.ok_or_else(|| InvalidShard(text.to_owned()))
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_read_or_refused() {
        for text in ["1/1", "2/8", "4294967295/4294967295"] {
            assert_eq!(text.parse::<Shard>().unwrap().to_string(), text);
        }
        for text in ["", "2", "/8", "0/8", "9/8", "1/0", "a/8", "-1/8", "1/8/2", "1/4294967296"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }

    /// The expected numbers come from `printf %s ID | sha256sum` and a calculator. With other
    /// numbers, two releases that work together would copy some images twice and others not at all.
    #[test]
    fn an_image_is_in_the_same_shard_for_ever() {
        for (id, of, number) in VECTORS {
            let shard = Shard::new(*number, NonZeroU32::new(*of).unwrap()).unwrap();
            assert!(shard.contains(&id.parse().unwrap()), "{id} {shard}");
            assert!(shard.contains(&id.to_uppercase().parse().unwrap()), "{id} {shard}");
        }
    }

    #[test]
    fn every_image_is_in_one_shard_whatever_its_id_looks_like() {
        let random = std::iter::repeat_with(ImageId::random).take(800);
        // Time-based ids from one machine: equal suffixes, and an even number of shards.
        let alike =
            (0..800).map(|n| format!("{n:08x}-1234-11f0-8000-0242ac110002").parse().unwrap());
        for ids in [random.collect::<Vec<_>>(), alike.collect()] {
            let shards: Vec<Shard> =
                (1..=8).filter_map(|n| Shard::new(n, NonZeroU32::new(8).unwrap())).collect();
            let mut sizes = [0; 8];
            for id in &ids {
                let holders = shards.iter().filter(|shard| shard.contains(id));
                let [holder] = holders.collect::<Vec<_>>()[..] else { panic!("{id}") };
                sizes[holder.number().get() as usize - 1] += 1;
            }
            assert!(sizes.iter().all(|size| (60..140).contains(size)), "{sizes:?}");
        }
    }

    const VECTORS: &[(&str, u32, u64)] = &[
        ("6d55dd55-053a-4765-b7bc-b30df0ea3861", 1, 1),
        ("6d55dd55-053a-4765-b7bc-b30df0ea3861", 3, 2),
        ("6d55dd55-053a-4765-b7bc-b30df0ea3861", 8, 8),
        ("6d55dd55-053a-4765-b7bc-b30df0ea3861", 1000, 160),
        ("00000000-0000-4000-8000-000000000001", 1, 1),
        ("00000000-0000-4000-8000-000000000001", 3, 2),
        ("00000000-0000-4000-8000-000000000001", 8, 1),
        ("00000000-0000-4000-8000-000000000001", 1000, 793),
        ("ffffffff-ffff-4fff-bfff-ffffffffffff", 1, 1),
        ("ffffffff-ffff-4fff-bfff-ffffffffffff", 3, 2),
        ("ffffffff-ffff-4fff-bfff-ffffffffffff", 8, 1),
        ("ffffffff-ffff-4fff-bfff-ffffffffffff", 1000, 681),
    ];
}
