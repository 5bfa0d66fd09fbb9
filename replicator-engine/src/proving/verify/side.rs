//! Reads an image in one store, and compares the data with the image's own record.

use std::collections::BTreeSet;
use std::fmt::Display;

use futures_util::stream::StreamExt;

use glance_core::digest::{Algorithm, Digests, Hashers};
use glance_core::error::BodyError;
use glance_core::image::Image;
use glance_core::rate_limit::ByteRateLimiter;
use glance_core::sampling::Sample;
use glance_core::store::{ByteRange, ImageStore, StoreError, StoreErrorKind};
use glance_core::verified_body::is_damage;

use super::{Proof, Verdict, VerifyFault, verdict_of};
use crate::events;
use crate::known_digests::CachedDigests;
use crate::outcome::Proven;
use crate::policy::Policy;

/// The strongest digest algorithm in a record that can be computed here.
pub(super) fn best(image: &Image, hashers: Hashers) -> Option<Algorithm> {
    image.digests().map(|(algorithm, _)| algorithm).find(|algorithm| hashers.offers(*algorithm))
}

/// An image in one store.
pub(super) struct Side<'a> {
    pub(super) store: &'a dyn ImageStore,
    pub(super) image: &'a Image,
    pub(super) known: &'a CachedDigests,
    pub(super) limiter: Option<&'a ByteRateLimiter>,
    pub(super) from: events::Side,
    pub(super) policy: &'a Policy,
}

/// The result of a read that matches the record.
pub(super) struct Reading {
    pub(super) bytes: u64,
    pub(super) digests: Digests,
}

/// The result of a read; `None` if the record is trusted instead.
pub(super) type Attempt = Option<Result<Reading, Trouble>>;

/// Why a read gave no usable result.
pub(super) enum Trouble {
    Bad(VerifyFault),
    Failed(StoreError),
}

impl Side<'_> {
    /// Compares the data with the image's own record.
    pub(super) async fn verify(&self, chosen: &Sample) -> (Verdict, Option<String>) {
        let image = self.image;
        if !image.status.has_data() {
            let reason = format!("the image has no data (status {})", image.status);
            return (Verdict::NoData, Some(reason));
        }
        if !chosen.contains(&image.id) {
            return (Verdict::NotChosen, None);
        }
        let proof = best(image, self.policy.hashers);
        let verdict = match self.read(proof.unwrap_or(Algorithm::Sha512)).await {
            Err(trouble) => verdict_of(vec![trouble]).unwrap_or(Verdict::Unproven),
            Ok(Reading { bytes, digests }) => {
                let by = match (proof, image.size) {
                    (Some(proof), _) => Some(Proven::by_digest(proof.as_str(), image, self.known)),
                    // An image of size 0 is proven by its size.
                    (None, Some(0)) => Some(Proven::Size),
                    (None, _) => None,
                };
                self.known.keep(image, &digests).await;
                let verified = |by| Verdict::Verified(Proof::Reading { bytes }, by);
                by.map_or(Verdict::Unproven, verified)
            }
        };
        (verdict, None)
    }

    /// The digest of this algorithm in the record.
    pub(super) fn recorded(&self, algorithm: Algorithm) -> Option<&str> {
        self.image.digests().find(|(one, _)| *one == algorithm).map(|(_, value)| value)
    }

    /// The digest of this algorithm: from the data if it was read, else from the record.
    pub(super) fn digest(&self, algorithm: Algorithm, attempt: &Attempt) -> Option<String> {
        match attempt {
            Some(Ok(reading)) => reading.digests.get(&algorithm).cloned(),
            Some(Err(_)) => None,
            None => self.recorded(algorithm).map(str::to_ascii_lowercase),
        }
    }

    /// Reads all data and compares it with the record.
    pub(super) async fn read(&self, algorithm: Algorithm) -> Result<Reading, Trouble> {
        let recorded = self.image.digests().map(|(algorithm, _)| algorithm);
        let algorithms: BTreeSet<Algorithm> = recorded.chain([algorithm]).collect();
        let mut hashing = self.policy.hashers.start(algorithms);
        let data = self.store.read(&self.image.id, ByteRange::ALL).await.map_err(trouble)?;
        let data = match self.limiter {
            Some(limiter) => limiter.keep(data),
            None => data,
        };
        let mut data = self.policy.events.reading(self.image, self.from, data);
        let size = self.image.size;
        let mut bytes = 0_u64;
        while let Some(chunk) = data.next().await {
            let chunk = chunk.map_err(|error| self.interrupted(bytes, error))?;
            bytes += chunk.len() as u64;
            if let Some(size) = size.filter(|size| bytes > *size) {
                return Err(self.mismatch(&"size", &size, &"more"));
            }
            hashing.update(&chunk).await;
        }
        if let Some(size) = size.filter(|size| bytes < *size) {
            return Err(self.mismatch(&"size", &size, &bytes));
        }
        let digests = hashing.finish().await.map_err(|error| self.interrupted(bytes, error))?;
        for (algorithm, wanted) in self.image.digests() {
            match digests.get(&algorithm) {
                Some(got) if !got.eq_ignore_ascii_case(wanted) => {
                    return Err(self.mismatch(&algorithm, &wanted, got));
                }
                _ => {}
            }
        }
        Ok(Reading { bytes, digests })
    }

    fn mismatch(&self, what: &dyn Display, wanted: &dyn Display, got: &dyn Display) -> Trouble {
        Trouble::Bad(VerifyFault::Other {
            store: self.store.to_string(),
            what: what.to_string(),
            wanted: wanted.to_string(),
            got: got.to_string(),
        })
    }

    /// The result for data that ended with an error.
    fn interrupted(&self, bytes: u64, error: BodyError) -> Trouble {
        let kind =
            if is_damage(&*error) { StoreErrorKind::Unreadable } else { StoreErrorKind::Server };
        let reason = format!("the data ended after {bytes} bytes");
        let failed = StoreError::new(kind, &self.store, "read the data", reason);
        trouble(failed.on(&self.image.id).caused_by(error))
    }
}

/// Data that its store reports as damaged is bad. Any other error is a failure of the store.
fn trouble(error: StoreError) -> Trouble {
    match error.kind {
        StoreErrorKind::Unreadable => Trouble::Bad(VerifyFault::Unreadable(error)),
        _ => Trouble::Failed(error),
    }
}
