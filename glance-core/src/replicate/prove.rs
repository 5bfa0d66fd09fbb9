//! Proof by reading, where the records of image and replica have no digest in common.

use futures_util::stream::StreamExt;

use crate::image::Image;

use super::checked::{Expected, checked};
use super::plan::Difference;
use super::splice::Splice;
use super::{CopyError, Replication};

impl Replication {
    /// Reads the image at the source, and compares it with its own record and with the digest that
    /// the target computed of what it stored.
    pub(super) async fn prove(&self, image: &Image, replica: &Image) -> Result<(), CopyError> {
        let computable = |(algorithm, _): &(_, String)| self.policy.hashers.offers(*algorithm);
        let stored = Expected::of(replica).digest.filter(computable);
        let (algorithm, stored) = stored.ok_or(CopyError::Unproven)?;
        let own = Expected::of(image);
        let digest = own.digest.filter(computable);
        let expected = Expected { digest, also: [algorithm].into(), ..own };
        let splice = Splice::new(&self.source, image, &self.policy);
        let data = splice.read(0).await.map_err(CopyError::Source)?;
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

    /// The same of a replica that was stored just now, or got by the target itself: what differs is
    /// quarantined.
    pub(super) async fn prove_stored(
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
