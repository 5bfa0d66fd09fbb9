//! The digests that an upload computes for the record.

use std::collections::BTreeSet;

use glance_core::digest::{Algorithm, Digests, Hashers};

use super::{AnnouncedDigests, StoredRecord};

/// The digests for the record of an image.
#[derive(Debug, Clone)]
pub struct WantedDigests {
    /// The algorithm for `os_hash_algo`.
    algorithm: Algorithm,
    /// The digests announced for the data.
    expected: Option<AnnouncedDigests>,
}

impl WantedDigests {
    /// The digests for `record`, as far as `hashers` offers them.
    pub fn of<D>(record: &StoredRecord<D>, hashers: Hashers) -> Self {
        // A digest in an unsupported algorithm could not be checked.
        let algorithm = record.image.os_hash_algo.as_ref().and_then(|name| name.parse().ok());
        match algorithm.filter(|algorithm| hashers.offers(*algorithm)) {
            Some(algorithm) => Self { algorithm, expected: record.expected.clone() },
            None => Self { algorithm: Algorithm::Sha512, expected: None },
        }
    }

    /// The algorithms to compute. MD5 is omitted if a stronger digest verifies the data: it costs
    /// as much as SHA-512.
    pub fn algorithms(&self) -> BTreeSet<Algorithm> {
        let md5 = self.expected.is_none().then_some(Algorithm::Md5);
        [self.algorithm].into_iter().chain(md5).collect()
    }

    /// Updates `record` with the size and the digests of the data that was written.
    pub fn describe<D>(&self, record: &mut StoredRecord<D>, size: u64, digests: &Digests) {
        let digest = |algorithm| digests.get(&algorithm).cloned();
        let image = &mut record.image;
        image.size = Some(size);
        image.os_hash_algo = Some(self.algorithm.to_string());
        image.os_hash_value = digest(self.algorithm);
        let is_expected = |expected: &&AnnouncedDigests| {
            let wanted = Some(expected.os_hash_value.to_ascii_lowercase());
            image.os_hash_value == wanted
        };
        image.checksum = match self.expected.as_ref().filter(is_expected) {
            Some(expected) => expected.checksum.clone(),
            None => digest(Algorithm::Md5),
        };
        record.expected = None;
    }
}
