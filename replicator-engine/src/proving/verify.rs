//! Verifies the data of images against their records, and the data of two stores against each
//! other.
//!
//! Nothing is changed. Where data has to be read, it is read once per side and hashed with all
//! algorithms in its record.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io;

use futures_util::future::OptionFuture;
use futures_util::stream::StreamExt;

use glance_core::digest::{Algorithm, Digests, Hashers};
use glance_core::error::BodyError;
use glance_core::image::Image;
use glance_core::sampling::Sample;
use glance_core::store::{ByteRange, ImageStore, StoreError, StoreErrorKind};

use crate::comparison::{Difference, common_digest, content_difference};
use crate::known_digests::CachedDigests;
use crate::outcome::Proven;
use crate::pairing::ids;
use crate::planning::{Entry, State};
use crate::policy::Policy;
use crate::replication::Replication;
use glance_core::rate_limit::ByteRateLimiter;
use glance_core::verified_body::DataFault;

/// How much the records of an image and its replica are trusted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Depth {
    /// Compare the digests in the records. Read the data only if they have no common digest.
    #[default]
    Records,
    /// Always read both sides.
    Deep,
}

/// The result for one image.
#[derive(Debug)]
pub struct Verification {
    /// The image; if only the target has it, the target's image.
    pub image: Image,
    /// State of the replica, if a target was compared.
    pub state: Option<State>,
    /// The reason for the state, where the state alone does not explain it.
    pub reason: Option<String>,
    /// The result for the data.
    pub verdict: Verdict,
}

/// The result for the data of an image.
#[derive(Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// The data matches its record, and the replica holds the same data. The fields tell how this
    /// was verified, and what proves it.
    Verified(Proof, Proven),
    /// The data does not match its record; one fault for each side where this is so.
    Bad(Vec<VerifyFault>),
    /// Image and replica hold different data. If both were read, each matches its own record.
    Different(Difference),
    /// No record has a digest to compare with.
    Unproven,
    /// A store did not deliver the data.
    Failed(StoreError),
    /// The data would have to be read, but is not part of the chosen sample.
    NotChosen,
    /// There is no data, or one side has none.
    NoData,
}

/// How data was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// From the records of both sides.
    Records,
    /// By reading the data.
    Reading {
        /// Number of bytes read, for all sides together.
        bytes: u64,
    },
}

/// Why data does not match its record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyFault {
    /// The size or a digest differs.
    #[error("{store}: the {what} of the data is {got}, the record says {wanted}")]
    Other {
        /// The store that holds the data.
        store: String,
        /// `size`, or the name of the digest's algorithm.
        what: String,
        /// The value in the record.
        wanted: String,
        /// The value of the data.
        got: String,
    },
    /// The store reports the data as damaged.
    #[error(transparent)]
    Unreadable(StoreError),
}

/// Reads the data of every image that the policy selects, and compares it with the image's own
/// record. Passes the results to `observe` as they become available, in no fixed order. Reads only
/// images that are `chosen`.
///
/// An image without a digest in its record is compared with the digest that the policy remembers
/// for the source. If there is none, the digest of the data is remembered for later runs.
///
/// # Errors
/// When the store can't be listed.
pub async fn verify_store(
    store: &dyn ImageStore,
    policy: &Policy,
    chosen: &Sample,
    mut observe: impl FnMut(Verification),
) -> Result<(), StoreError> {
    let known = &policy.known_source;
    let images = store.list(&policy.selection).await?;
    let work = images.map(|item| async move {
        let mut image = match item {
            Ok(image) => image,
            Err(mut error) => {
                let Some(image) = error.record.take() else { return Err(error) };
                let verdict = Verdict::Failed(error);
                return Ok(Verification { image: *image, state: None, reason: None, verdict });
            }
        };
        known.fill(&mut image, None);
        let pace = policy.pacing.source.as_ref();
        let side = Side { store, image: &image, known, pace, policy };
        let (verdict, reason) = side.verify(chosen).await;
        Ok(Verification { image, state: None, reason, verdict })
    });
    let mut found = Box::pin(work.buffer_unordered(policy.transfers.max(1)));
    while let Some(one) = found.next().await {
        observe(one?);
    }
    Ok(())
}

impl Replication {
    /// Verifies every image against its replica. Passes the results to `observe` as they become
    /// available, in no fixed order. Reads only images that are `chosen`.
    ///
    /// # Errors
    /// When one of the stores can't be listed.
    pub async fn verify(
        &self,
        depth: Depth,
        chosen: &Sample,
        mut observe: impl FnMut(Verification),
    ) -> Result<(), StoreError> {
        let moved = self.reassigned().await?;
        let this = self.with_id_map(ids(&moved));
        let pairs = this.pairs(&moved).await?;
        let work = pairs.map(|pair| async {
            let entry = this.examine(pair?).await;
            let verdict = this.verify_entry(&entry, depth, chosen).await;
            let Entry { image, state, reason, .. } = entry;
            Ok::<_, StoreError>(Verification { image, state: Some(state), reason, verdict })
        });
        let mut found = work.buffer_unordered(self.policy.transfers.max(1));
        while let Some(one) = found.next().await {
            observe(one?);
        }
        Ok(())
    }

    async fn verify_entry(&self, entry: &Entry, depth: Depth, chosen: &Sample) -> Verdict {
        let (image, Some(replica)) = (&entry.image, &entry.replica) else {
            return Verdict::NoData;
        };
        if entry.state == State::Skipped || !image.status.has_data() || !replica.status.has_data() {
            return Verdict::NoData;
        }
        if depth == Depth::Records {
            if let Some(difference) = content_difference(image, replica) {
                return Verdict::Different(difference);
            }
            if let Some((common, _)) = common_digest(image, replica) {
                let by = Proven::by_digest(common.algorithm, image, &self.policy.known_source);
                return Verdict::Verified(Proof::Records, by);
            }
        }
        if !chosen.contains(&image.id) {
            return Verdict::NotChosen;
        }
        let policy = &self.policy;
        let (known, pace) = (&policy.known_source, policy.pacing.source.as_ref());
        let source = Side { store: &*self.source, image, known, pace, policy };
        let (known, pace) = (&policy.known_target, policy.pacing.target.as_ref());
        let target = Side { store: &*self.target, image: replica, known, pace, policy };
        verify_both(&source, &target, depth).await
    }
}

/// Reads the side that lacks the digest of the other side, or both, and compares.
async fn verify_both(source: &Side<'_>, target: &Side<'_>, depth: Depth) -> Verdict {
    let hashers = source.policy.hashers;
    let common = best(target.image, hashers).or_else(|| best(source.image, hashers));
    let common = common.unwrap_or(Algorithm::Sha512);
    let reads = |side: &Side| depth == Depth::Deep || side.recorded(common).is_none();
    let (mut one, mut other) = tokio::join!(
        OptionFuture::from(reads(source).then(|| source.read(common))),
        OptionFuture::from(reads(target).then(|| target.read(common))),
    );
    let values = (source.digest(common, &one), target.digest(common, &other));
    // The digests differ: both sides are read to find out whose data does not match its record.
    if let (Some(there), Some(here)) = values {
        if there != here && one.is_none() {
            one = Some(source.read(common).await);
        }
        if there != here && other.is_none() {
            other = Some(target.read(common).await);
        }
    }
    judge(common, (source, one), (target, other)).await
}

/// Computes the result, and remembers the digests of data whose record has none.
async fn judge(
    common: Algorithm,
    (source, one): (&Side<'_>, Attempt),
    (target, other): (&Side<'_>, Attempt),
) -> Verdict {
    let (there, here) = (source.digest(common, &one), target.digest(common, &other));
    let by = Proven::by_digest(common.as_str(), source.image, source.known);
    let mut bytes = 0;
    let mut troubles = Vec::new();
    for (side, attempt) in [(source, one), (target, other)] {
        match attempt {
            None => {}
            Some(Err(trouble)) => troubles.push(trouble),
            Some(Ok(reading)) => {
                bytes += reading.bytes;
                // A mismatch may be caused by this one download, so its digest is not remembered.
                if there == here {
                    side.known.keep(side.image, &reading.digests).await;
                }
            }
        }
    }
    match (verdict_of(troubles), there == here) {
        (Some(verdict), _) => verdict,
        // Without a digest there is nothing to compare.
        (None, true) if there.is_none() => Verdict::Unproven,
        (None, true) => Verdict::Verified(Proof::Reading { bytes }, by),
        (None, false) => Verdict::Different(Difference {
            field: common.to_string(),
            source: there.into(),
            target: here.into(),
        }),
    }
}

/// The result for failed reads, if any. Wrong data takes precedence over data that was not
/// delivered.
fn verdict_of(troubles: Vec<Trouble>) -> Option<Verdict> {
    let (mut faults, mut failure) = (Vec::new(), None);
    for trouble in troubles {
        match trouble {
            Trouble::Bad(fault) => faults.push(fault),
            Trouble::Failed(error) => failure = failure.or(Some(error)),
        }
    }
    match faults.is_empty() {
        false => Some(Verdict::Bad(faults)),
        true => failure.map(Verdict::Failed),
    }
}

/// The strongest digest algorithm in a record that can be computed here.
fn best(image: &Image, hashers: Hashers) -> Option<Algorithm> {
    image.digests().map(|(algorithm, _)| algorithm).find(|algorithm| hashers.offers(*algorithm))
}

/// An image in one store.
struct Side<'a> {
    store: &'a dyn ImageStore,
    image: &'a Image,
    known: &'a CachedDigests,
    pace: Option<&'a ByteRateLimiter>,
    policy: &'a Policy,
}

/// The result of a read that matches the record.
struct Reading {
    bytes: u64,
    digests: Digests,
}

/// The result of a read; `None` if the record is trusted instead.
type Attempt = Option<Result<Reading, Trouble>>;

/// Why a read gave no usable result.
enum Trouble {
    Bad(VerifyFault),
    Failed(StoreError),
}

impl Side<'_> {
    /// Compares the data with the image's own record.
    async fn verify(&self, chosen: &Sample) -> (Verdict, Option<String>) {
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
    fn recorded(&self, algorithm: Algorithm) -> Option<&str> {
        self.image.digests().find(|(one, _)| *one == algorithm).map(|(_, value)| value)
    }

    /// The digest of this algorithm: from the data if it was read, else from the record.
    fn digest(&self, algorithm: Algorithm, attempt: &Attempt) -> Option<String> {
        match attempt {
            Some(Ok(reading)) => reading.digests.get(&algorithm).cloned(),
            Some(Err(_)) => None,
            None => self.recorded(algorithm).map(str::to_ascii_lowercase),
        }
    }

    /// Reads all data and compares it with the record.
    async fn read(&self, common: Algorithm) -> Result<Reading, Trouble> {
        let recorded = self.image.digests().map(|(algorithm, _)| algorithm);
        let algorithms: BTreeSet<Algorithm> = recorded.chain([common]).collect();
        let mut hashing = self.policy.hashers.start(algorithms);
        let data = self.store.read(&self.image.id, ByteRange::ALL).await.map_err(trouble)?;
        let mut data = match self.pace {
            Some(pace) => pace.keep(data),
            None => data,
        };
        let (mut bytes, size) = (0_u64, self.image.size);
        while let Some(chunk) = data.next().await {
            let chunk = chunk.map_err(|error| self.broke_off(bytes, error))?;
            bytes += chunk.len() as u64;
            if let Some(size) = size.filter(|size| bytes > *size) {
                return Err(self.other(&"size", &size, &"more"));
            }
            hashing.update(&chunk).await;
        }
        if let Some(size) = size.filter(|size| bytes < *size) {
            return Err(self.other(&"size", &size, &bytes));
        }
        let digests = hashing.finish().await.map_err(|error| self.broke_off(bytes, error))?;
        for (algorithm, wanted) in self.image.digests() {
            match digests.get(&algorithm) {
                Some(got) if !got.eq_ignore_ascii_case(wanted) => {
                    return Err(self.other(&algorithm, &wanted, got));
                }
                _ => {}
            }
        }
        Ok(Reading { bytes, digests })
    }

    fn other(&self, what: &dyn Display, wanted: &dyn Display, got: &dyn Display) -> Trouble {
        let (store, what) = (self.store.to_string(), what.to_string());
        Trouble::Bad(VerifyFault::Other {
            store,
            what,
            wanted: wanted.to_string(),
            got: got.to_string(),
        })
    }

    /// The result for data that ended with an error. An I/O error for invalid or missing file
    /// content means damaged data; errors of a connection have other types.
    fn broke_off(&self, bytes: u64, error: BodyError) -> Trouble {
        let of_file = error.downcast_ref::<io::Error>().is_some_and(|error| {
            matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
        });
        let of_store = matches!(error.downcast_ref(), Some(DataFault::Damaged { .. }));
        let damaged = of_file || of_store;
        let kind = if damaged { StoreErrorKind::Unreadable } else { StoreErrorKind::Server };
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
