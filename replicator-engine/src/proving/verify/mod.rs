//! Verifies the data of images against their records, and the data of two stores against each
//! other.
//!
//! Nothing is changed. Where data has to be read, it is read once per side and hashed with all
//! algorithms in its record.

use futures_util::future::OptionFuture;
use futures_util::stream::StreamExt;

use glance_core::digest::Algorithm;
use glance_core::image::Image;
use glance_core::sampling::Sample;
use glance_core::store::{ImageStore, StoreError};

use crate::comparison::{Difference, common_digest, content_difference};
use crate::events::{self, Compared};
use crate::outcome::Proven;
use crate::planning::{Entry, SourceMembers};
use crate::policy::Policy;
use crate::replication::Replication;
use crate::state::State;

mod side;

use side::{Attempt, Side, Trouble, best};

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
#[non_exhaustive]
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
        let limiter = policy.bandwidth.source.as_ref();
        let from = events::Side::Source;
        let side = Side { store, image: &image, known, limiter, from, policy };
        let (verdict, reason) = side.verify(chosen).await;
        Ok(Verification { image, state: None, reason, verdict })
    });
    let mut results = Box::pin(work.buffer_unordered(policy.transfers.max(1)));
    let mut compared = Compared::by(&policy.events);
    while let Some(result) = results.next().await {
        observe(result?);
        compared.count();
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
        let this = self.with_id_map(moved.ids());
        let pairs = this.pairs(&moved).await?;
        let work = pairs.map(|pair| async {
            let entry = this.examine(pair?, &SourceMembers::default()).await;
            let verdict = this.verify_entry(&entry, depth, chosen).await;
            let Entry { image, state, reason, .. } = entry;
            Ok::<_, StoreError>(Verification { image, state: Some(state), reason, verdict })
        });
        let mut results = work.buffer_unordered(self.policy.transfers.max(1));
        let mut compared = Compared::by(&self.policy.events);
        while let Some(result) = results.next().await {
            observe(result?);
            compared.count();
        }
        Ok(())
    }

    async fn verify_entry(&self, entry: &Entry, depth: Depth, chosen: &Sample) -> Verdict {
        let Some(replica) = &entry.replica else { return Verdict::NoData };
        let image = &entry.image;
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
        let source = Side {
            store: &*self.source,
            image,
            known: &policy.known_source,
            limiter: policy.bandwidth.source.as_ref(),
            from: events::Side::Source,
            policy,
        };
        let target = Side {
            store: &*self.target,
            image: replica,
            known: &policy.known_target,
            limiter: policy.bandwidth.target.as_ref(),
            from: events::Side::Target,
            policy,
        };
        verify_both(&source, &target, depth).await
    }
}

/// Reads the side that lacks the digest of the other side, or both, and compares.
async fn verify_both(source: &Side<'_>, target: &Side<'_>, depth: Depth) -> Verdict {
    let hashers = source.policy.hashers;
    let algorithm = best(target.image, hashers).or_else(|| best(source.image, hashers));
    let algorithm = algorithm.unwrap_or(Algorithm::Sha512);
    let needs_read = |side: &Side| depth == Depth::Deep || side.recorded(algorithm).is_none();
    let (mut source_read, mut target_read) = tokio::join!(
        OptionFuture::from(needs_read(source).then(|| source.read(algorithm))),
        OptionFuture::from(needs_read(target).then(|| target.read(algorithm))),
    );
    let digests =
        source.digest(algorithm, &source_read).zip(target.digest(algorithm, &target_read));
    // The digests differ: both sides are read to find out whose data does not match its record.
    if digests.is_some_and(|(at_source, at_target)| at_source != at_target) {
        if source_read.is_none() {
            source_read = Some(source.read(algorithm).await);
        }
        if target_read.is_none() {
            target_read = Some(target.read(algorithm).await);
        }
    }
    judge(algorithm, (source, source_read), (target, target_read)).await
}

/// Computes the result, and remembers the digests of data whose record has none.
async fn judge(
    algorithm: Algorithm,
    (source, source_read): (&Side<'_>, Attempt),
    (target, target_read): (&Side<'_>, Attempt),
) -> Verdict {
    let at_source = source.digest(algorithm, &source_read);
    let at_target = target.digest(algorithm, &target_read);
    let by = Proven::by_digest(algorithm.as_str(), source.image, source.known);
    let mut bytes = 0;
    let mut troubles = Vec::new();
    for (side, attempt) in [(source, source_read), (target, target_read)] {
        match attempt {
            None => {}
            Some(Err(trouble)) => troubles.push(trouble),
            Some(Ok(reading)) => {
                bytes += reading.bytes;
                // A mismatch may be caused by this one download, so its digest is not remembered.
                if at_source == at_target {
                    side.known.keep(side.image, &reading.digests).await;
                }
            }
        }
    }
    if let Some(verdict) = verdict_of(troubles) {
        return verdict;
    }
    if at_source != at_target {
        return Verdict::Different(Difference {
            field: algorithm.to_string(),
            source: at_source.into(),
            target: at_target.into(),
        });
    }
    match at_source {
        Some(_) => Verdict::Verified(Proof::Reading { bytes }, by),
        // Without a digest there is nothing to compare.
        None => Verdict::Unproven,
    }
}

/// The result for failed reads, if any. Wrong data takes precedence over data that was not
/// delivered.
fn verdict_of(troubles: Vec<Trouble>) -> Option<Verdict> {
    let mut faults = Vec::new();
    let mut failure = None;
    for trouble in troubles {
        match trouble {
            Trouble::Bad(fault) => faults.push(fault),
            Trouble::Failed(error) => failure = failure.or(Some(error)),
        }
    }
    if faults.is_empty() {
        return failure.map(Verdict::Failed);
    }
    Some(Verdict::Bad(faults))
}
