//! Proof of a copy's data, if necessary by reading the source where the records of image and
//! replica have no common digest.

use futures_util::stream::StreamExt;

use glance_core::digest::Digests;
use glance_core::image::Image;

use crate::comparison::{Difference, common_digest};
use crate::error::CopyError;
use crate::events::{Meter, Phase};
use crate::outcome::Proven;
use crate::replication::Replication;
use crate::streaming::resume::ResumableRead;
use glance_core::verified_body::{Expected, checked_timed};

impl Replication {
    /// What proves the data of `image` after it was stored and no fault was found. Data that was
    /// not verified in transit is proven by the records, or by a read of the source.
    pub(crate) fn proven(&self, image: &Image, stored: &Image, is_checked: bool) -> Proven {
        let common = common_digest(image, stored).filter(|_| !is_checked);
        let proven = match common {
            Some((common, _)) => Proven::Digest(common.algorithm.to_owned()),
            None => Proven::on_the_way(image),
        };
        match proven {
            Proven::Digest(by) => Proven::by_digest(&by, image, &self.policy.known_source),
            other => other,
        }
    }

    /// Reads the image at the source, and compares the data with its own record and with the digest
    /// that the target computed. Returns the digests of the data.
    pub(crate) async fn prove(
        &self,
        image: &Image,
        replica: &Image,
        meter: &Meter,
    ) -> Result<Digests, CopyError> {
        meter.enter(Phase::Verifying);
        let computable = |(algorithm, _): &(_, String)| self.policy.hashers.offers(*algorithm);
        let stored = Expected::of(replica).digest.filter(computable);
        let (algorithm, stored) = stored.ok_or(CopyError::Unproven)?;
        let own = Expected::of(image);
        let digest = own.digest.filter(computable);
        let expected = Expected { digest, also: [algorithm].into(), ..own };
        let read = ResumableRead::new(&self.source, image, &self.policy).metered(meter);
        let data = read.read(0).await.map_err(CopyError::Source)?;
        let waited = meter.digests();
        let (mut data, verdict) = checked_timed(data, expected, self.policy.hashers, &waited);
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
        Ok(digests.clone())
    }
}
