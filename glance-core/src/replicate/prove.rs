//! Proof by reading, where the records of image and replica have no digest in common.

use futures_util::stream::StreamExt;

use crate::image::Image;
use crate::store::ByteRange;

use super::checked::{DataFault, Expected, checked};
use super::plan::Difference;
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
        let data = self.source.read(&image.id, ByteRange::ALL).await.map_err(CopyError::Source)?;
        let data = self.policy.pacing.read(data);
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
}
