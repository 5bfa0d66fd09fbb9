//! Replicates the images of one store into others and verifies the copies.
//!
//! [`run_all`] is the whole run: it lists the source and the targets, pairs their images, plans a
//! step for each pair, copies data through a verifying body, compares the digests in the target's
//! record, and publishes the image. At the end of the run it can prune: remove images that only a
//! target holds. [`Replication::run`] does the same for a single target. [`Replication::plan`]
//! reports the planned steps without changing anything. [`Replication::verify`] reads the data
//! where records alone do not prove it.

use std::sync::Arc;

use futures_util::stream::StreamExt;

use glance_core::image::{Image, ImageId};
use glance_core::store::{ImageStore, StoreError};

mod copying;
mod error;
pub mod mapping;
pub mod metadefs;
mod pairing;
mod planning;
mod policy;
mod proving;
mod recovery;
mod running;
mod streaming;
#[cfg(test)]
mod testing;

pub use copying::delivery::{
    DataPath, DeliveryOptions, Fallback, ImportSource, InvalidTemplate, Placement, Template,
    TransferMethod,
};
pub use error::{CopyError, RunError};
pub use mapping::Mapping;
pub use pairing::{MatchBy, provenance};
pub use planning::loss::{Loss, LossKind};
pub use planning::{Difference, Entry, State};
pub use policy::{ContentCheck, CopyScope, ErrorLimit, OnBurnedId, Order, Policy, Retries};
pub use proving::by_reading::Proven;
pub use proving::digest_cache::{CachedDigests, DigestCache};
pub use proving::target_digests::TargetDigests;
pub use proving::verify::{Depth, Proof, Verdict, Verification, VerifyFault, verify_store};
pub use recovery::journal::{
    Journal, JournalContents, JournalEntry, JournalError, JournalFile, Phase, Run,
};
pub use recovery::repair::{KnownBy, Leftover, LeftoverScan, LeftoverState};
pub use running::cancel::{CancelMode, CancelReason, CancelToken};
pub use running::prune::{NothingRemoved, Prune, Removal};
pub use running::run_all;
pub use streaming::spool::{Spool, SpoolWhen};

use pairing::Moved;
use pairing::merge_join::Pair;
use planning::Step;
use streaming::fan_out::Subscription;

/// A replication from one source to one target.
#[derive(Debug)]
pub struct Replication {
    /// The store that images are copied from.
    pub source: Arc<dyn ImageStore>,
    /// The store that images are copied to.
    pub target: Arc<dyn ImageStore>,
    /// What to replicate, and how.
    pub policy: Policy,
}

/// The result for one image.
#[derive(Debug)]
pub struct Outcome {
    /// The image as the source describes it; for a removed image, as the target described it.
    pub image: Image,
    /// What was done, or why the image failed.
    pub result: Result<Done, CopyError>,
    /// How the data reached the target, and what proves it.
    pub journey: DataPath,
    /// Parts of the image that could not be translated and therefore differ at the target.
    pub losses: Vec<Loss>,
}

/// What was done successfully with one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// The data was copied into a new record and proven.
    Copied,
    /// Like `Copied`, but the replica has this id instead of the source image's id.
    CopiedAs(ImageId),
    /// The data was copied into an existing record without data, for example one that an earlier
    /// run left, and proven.
    Completed,
    /// The record was updated in the listed fields; the data was already in place.
    Updated(Vec<String>),
    /// The replica was already up to date.
    InPlace,
    /// The target's image was removed because the source no longer holds it.
    Removed(Removal),
    /// Nothing was done; the text is the reason.
    Skipped(String),
}

impl Replication {
    /// Runs [`run_all`] for this target alone, and passes each image's result to `observe`.
    ///
    /// # Errors
    /// When a store can't be listed, when a requested removal was not carried out, when too many
    /// images failed, or when the run was stopped before its end.
    pub async fn run(&self, mut observe: impl FnMut(Outcome) + Send) -> Result<(), RunError> {
        let all = run_all(std::slice::from_ref(self), |_, outcome| observe(outcome)).await;
        all.into_iter().collect()
    }

    /// Compares both stores and passes one entry per image of either store to `observe`, ordered by
    /// id. Changes nothing.
    ///
    /// # Errors
    /// When one of the stores can't be listed.
    pub async fn plan(&self, mut observe: impl FnMut(Entry)) -> Result<(), StoreError> {
        let moved = self.reassigned().await?;
        let this = self.with_id_map(ids(&moved));
        let pairs = this.pairs(&moved).await?;
        let work = pairs.map(|pair| async { Ok::<_, StoreError>(this.examine(pair?).await) });
        let mut entries = work.buffered(self.policy.transfers.max(1));
        while let Some(entry) = entries.next().await {
            observe(entry?);
        }
        Ok(())
    }

    /// The number of data bytes that [`run`](Self::run) would copy, according to the sizes in the
    /// source's records. Changes nothing.
    ///
    /// # Errors
    /// When one of the stores can't be listed.
    pub async fn outstanding(&self) -> Result<u64, StoreError> {
        let mut bytes = 0_u64;
        self.plan(|entry| bytes = bytes.saturating_add(entry.outstanding())).await?;
        Ok(bytes)
    }

    /// Executes the entry's step.
    async fn execute(&self, entry: Entry, mut share: Subscription) -> Outcome {
        let Entry { image, replica, differences, reason, losses, step, .. } = entry;
        let mut journey = DataPath::default();
        let result = match (step, &replica) {
            (Step::Copy(goal), _) => self.copy(&image, &goal, &mut share, &mut journey).await,
            (Step::Record(goal), _) => self.record(&image, &goal, &mut journey).await,
            (Step::Complete(goal), Some(record)) => {
                self.complete(&image, record, &goal, &mut share, &mut journey).await
            }
            (Step::Reconcile(goal), Some(replica)) if !differences.is_empty() => {
                let fields = differences.into_iter().map(|found| found.field).collect();
                self.reconcile(&image, replica, &goal).await.map(|()| Done::Updated(fields))
            }
            (Step::Reconcile(_), _) => Ok(Done::InPlace),
            (Step::Fail(error), _) => Err(error),
            _ => Ok(Done::Skipped(reason.unwrap_or_default())),
        };
        self.policy.journal.close(&image, &result).await;
        Outcome { journey, ..Outcome::of(image, result) }.with_losses(losses)
    }
}

impl Outcome {
    /// The result for an image, without details of a data transfer and without losses.
    pub fn of(image: Image, result: Result<Done, CopyError>) -> Self {
        Self { image, result, journey: DataPath::default(), losses: Vec::new() }
    }

    /// Adds the losses of an image that is at the target. Skipped and failed images keep none.
    #[must_use]
    pub fn with_losses(self, losses: Vec<Loss>) -> Self {
        match self.result {
            Ok(Done::Skipped(_)) | Err(_) => self,
            Ok(_) => Self { losses, ..self },
        }
    }
}

/// The ids of the source images whose replicas have another id, each with the replica's id.
fn ids(moved: &Moved) -> impl Iterator<Item = (ImageId, ImageId)> {
    moved.iter().map(|(id, replica)| (id.clone(), replica.id.clone()))
}
