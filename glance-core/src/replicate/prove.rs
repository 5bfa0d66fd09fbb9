//! Proof by reading, where the records of image and replica have no digest in common.

use futures_util::stream::StreamExt;

use crate::image::Image;

use super::checked::{DataFault, Expected, checked};
use super::plan::Difference;
use super::splice::Splice;
use super::{CopyError, Replication};

impl Replication {
    /// Reads the image at the source, and compares it with the digest that the target computed of
    /// what it stored.
    pub(super) async fn prove(&self, image: &Image, replica: &Image) -> Result<(), CopyError> {
        let expected = Expected::of(replica);
        let computable = |(algorithm, _): &(_, String)| self.policy.hashers.offers(*algorithm);
        if !expected.digest.as_ref().is_some_and(computable) {
            return Err(CopyError::Unproven);
        }
        let splice = Splice::new(&self.source, image, &self.policy);
        let data = splice.read(0).await.map_err(CopyError::Source)?;
        let (mut data, verdict) = checked(data, expected, self.policy.hashers);
        while data.next().await.is_some_and(|chunk| chunk.is_ok()) {}
        if let Some(digests) = verdict.digests() {
            self.policy.known_source.keep(image, digests).await;
            return Ok(());
        }
        match verdict.fault() {
            None => Err(CopyError::Unproven),
            Some(DataFault::Digest { algorithm, wanted, got }) => {
                Err(CopyError::content_differs(Difference {
                    field: algorithm.to_string(),
                    source: got.into(),
                    target: wanted.into(),
                }))
            }
            Some(fault) => Err(CopyError::Data { source_store: self.source.to_string(), fault }),
        }
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
