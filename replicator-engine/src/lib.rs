//! Making one store hold what another holds, and proving it.
//!
//! [`run_all`] is the whole way of every image: list source and targets, pair the images, decide,
//! copy through the checked body, compare what the target says it stored, publish. What only a
//! target holds may be removed at the end. [`Replication::run`] is that for one target. [`Replication::plan`] decides and does nothing,
//! [`Replication::verify`] reads what records do not prove.

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
    Delivery, Fallback, InvalidTemplate, Journey, Origin, Placement, Template, Way,
};
pub use error::{CopyError, RunError};
pub use mapping::Mapping;
pub use pairing::{MatchBy, provenance};
pub use planning::loss::{Loss, LossKind};
pub use planning::{Difference, Entry, State};
pub use policy::{ContentCheck, Most, OnBurnedId, Order, Policy, Retries, Scope};
pub use proving::by_reading::Proven;
pub use proving::digest_cache::{DigestFile, Remembered};
pub use proving::target_digests::Habits;
pub use proving::verify::{Depth, Fault, Proof, Verdict, Verification, verify_store};
pub use recovery::journal::{Journal, JournalError, JournalFile, Leftover, Phase, Recorded, Run};
pub use recovery::repair::{Finding, KnownBy, Search, Standing};
pub use running::cancel::{Level, Stop, Why};
pub use running::prune::{NothingRemoved, Prune, Removal};
pub use running::run_all;
pub use streaming::spool::{Spool, SpoolWhen};

use pairing::Moved;
use pairing::merge_join::Pair;
use planning::Step;
use streaming::fan_out::Share;

/// One store made to hold what another holds.
#[derive(Debug)]
pub struct Replication {
    /// Where images come from.
    pub source: Arc<dyn ImageStore>,
    /// Where they go.
    pub target: Arc<dyn ImageStore>,
    /// How.
    pub policy: Policy,
}

/// What became of one image.
#[derive(Debug)]
pub struct Outcome {
    /// The image, as the source describes it; of a removed one, as the target does.
    pub image: Image,
    /// What was done.
    pub result: Result<Done, CopyError>,
    /// How its data came.
    pub journey: Journey,
    /// What of it could not be translated, and is not at the target as at the source.
    pub losses: Vec<Loss>,
}

/// What was done with one image, successfully.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// The data was copied and proven, in a new record.
    Copied,
    /// The same, under another id than the image's.
    CopiedAs(ImageId),
    /// The data was copied and proven, in a record that an earlier run left without data.
    Completed,
    /// The record was brought up to date; the data was in place.
    Updated(Vec<String>),
    /// All was in place.
    InPlace,
    /// The target's image was removed, since the source does not hold it any more.
    Removed(Removal),
    /// Nothing was done, for this reason.
    Skipped(String),
}

impl Replication {
    /// [`run_all`] for this target alone.
    ///
    /// # Errors
    /// When one of the stores can't be listed, when nothing was removed that should have been, or
    /// when the run was told to end before its end.
    pub async fn run(&self, mut observe: impl FnMut(Outcome) + Send) -> Result<(), RunError> {
        let all = run_all(std::slice::from_ref(self), |_, outcome| observe(outcome)).await;
        all.into_iter().collect()
    }

    /// Compares both stores, and hands an entry for each image of either to `observe`, in the
    /// order of ids. Changes nothing.
    ///
    /// # Errors
    /// When one of the stores can't be listed.
    pub async fn plan(&self, mut observe: impl FnMut(Entry)) -> Result<(), StoreError> {
        let moved = self.moved().await?;
        let this = self.knowing(ids(&moved));
        let pairs = this.pairs(&moved).await?;
        let work = pairs.map(|pair| async { Ok::<_, StoreError>(this.examine(pair?).await) });
        let mut entries = work.buffered(self.policy.transfers.max(1));
        while let Some(entry) = entries.next().await {
            observe(entry?);
        }
        Ok(())
    }

    /// The bytes of data that [`run`](Self::run) would copy, as far as the source's records tell.
    /// Changes nothing.
    ///
    /// # Errors
    /// When one of the stores can't be listed.
    pub async fn outstanding(&self) -> Result<u64, StoreError> {
        let mut bytes = 0_u64;
        self.plan(|entry| bytes = bytes.saturating_add(entry.outstanding())).await?;
        Ok(bytes)
    }

    /// Does what the entry says.
    async fn execute(&self, entry: Entry, mut share: Share) -> Outcome {
        let Entry { image, replica, differences, reason, losses, step, .. } = entry;
        let mut journey = Journey::default();
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
        Outcome { journey, ..Outcome::of(image, result) }.losing(losses)
    }
}

impl Outcome {
    /// What became of an image whose data did not move, or passed as a stream.
    pub fn of(image: Image, result: Result<Done, CopyError>) -> Self {
        Self { image, result, journey: Journey::default(), losses: Vec::new() }
    }

    /// The same, of an image that is not as at the source in this. What is not there lost nothing.
    #[must_use]
    pub fn losing(self, losses: Vec<Loss>) -> Self {
        match self.result {
            Ok(Done::Skipped(_)) | Err(_) => self,
            Ok(_) => Self { losses, ..self },
        }
    }
}

/// The ids of images that have another one at the target, and those.
fn ids(moved: &Moved) -> impl Iterator<Item = (ImageId, ImageId)> {
    moved.iter().map(|(id, replica)| (id.clone(), replica.id.clone()))
}
