//! What proves the data of a copy, and proof by reading the source where the records of image and
//! replica have no common digest.

use futures_util::stream::StreamExt;

use glance_core::image::Image;

use crate::planning::{Difference, common_digest};
use crate::streaming::resume::ResumableRead;
use crate::{CachedDigests, CopyError, Replication};
use glance_core::verified_body::{Expected, checked};

/// What proves that the target holds the source's data.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proven {
    /// A digest of this algorithm in the source's record.
    Digest(String),
    /// A digest of this algorithm, computed by an earlier read of the source. The source's record
    /// has none.
    Remembered(String),
    /// Only the size in the source's record, which has no digest. The target holds the data that
    /// was read.
    Size,
    /// Nothing in the source's record. The target holds the data that was read.
    Transfer,
    /// There is no data; only the record was copied.
    Record,
}

impl Proven {
    /// Proof by a digest of `image`. The digest may be a remembered one if the record has none.
    pub(crate) fn by_digest(algorithm: &str, image: &Image, known: &CachedDigests) -> Self {
        if known.knows(image, algorithm) {
            return Self::Remembered(algorithm.to_owned());
        }
        Self::Digest(algorithm.to_owned())
    }

    /// Proof for data that was streamed completely and verified in transit against the record of
    /// `image`.
    pub fn on_the_way(image: &Image) -> Self {
        match (Expected::of(image).digest, image.size) {
            (Some((algorithm, _)), _) => Self::Digest(algorithm.to_string()),
            (None, Some(_)) => Self::Size,
            (None, None) => Self::Transfer,
        }
    }
}

impl Replication {
    /// What proves the data of `image` after it was stored and no fault was found. Data that was
    /// not verified in transit is proven by the records, or by a read of the source.
    pub(crate) fn proven(&self, image: &Image, stored: &Image, is_checked: bool) -> Proven {
        let common = common_digest(image, stored).filter(|_| !is_checked);
        let proven = match common {
            Some(common) => Proven::Digest(common.algorithm.to_owned()),
            None => Proven::on_the_way(image),
        };
        match proven {
            Proven::Digest(by) => Proven::by_digest(&by, image, &self.policy.known_source),
            other => other,
        }
    }

    /// Reads the image at the source, and compares the data with its own record and with the digest
    /// that the target computed.
    pub(crate) async fn prove(&self, image: &Image, replica: &Image) -> Result<(), CopyError> {
        let computable = |(algorithm, _): &(_, String)| self.policy.hashers.offers(*algorithm);
        let stored = Expected::of(replica).digest.filter(computable);
        let (algorithm, stored) = stored.ok_or(CopyError::Unproven)?;
        let own = Expected::of(image);
        let digest = own.digest.filter(computable);
        let expected = Expected { digest, also: [algorithm].into(), ..own };
        let read = ResumableRead::new(&self.source, image, &self.policy);
        let data = read.read(0).await.map_err(CopyError::Source)?;
        let (mut data, verdict) = checked(data, expected, self.policy.hashers);
        while data.next().await.is_some_and(|chunk| chunk.is_ok()) {}
        if let Some(fault) = verdict.fault() {
            return Err(CopyError::Data { source_store: self.source.to_string(), fault });
        }
        let digests = verdict.digests().ok_or(CopyError::Unproven)?;
        let read = digests.get(&algorithm).ok_or(CopyError::Unproven)?;
        if !read.eq_ignore_ascii_case(&stored) {
            return Err(CopyError::content_differs(Difference {
                field: algorithm.to_string(),
                source: read.clone().into(),
                target: stored.into(),
            }));
        }
        self.policy.known_source.keep(image, digests).await;
        Ok(())
    }

    /// Like [`prove`](Self::prove), for a replica that was just uploaded or imported: a replica
    /// that differs is quarantined.
    pub(crate) async fn prove_stored(
        &self,
        image: &Image,
        stored: &Image,
    ) -> Result<(), CopyError> {
        match self.prove(image, stored).await {
            Err(CopyError::ContentDiffers(difference)) => {
                Err(self.quarantine(image, stored, difference).await)
            }
            proven => proven,
        }
    }
}
