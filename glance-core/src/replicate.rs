//! Making one store hold what another holds, and proving it.
//!
//! [`run_all`] is the whole way of every image: list source and targets, pair the images, decide,
//! copy through the checked body, compare what the target says it stored, publish. What only a
//! target holds may be removed at the end. [`Replication::run`] is that for one target. [`Replication::plan`] decides and does nothing,
//! [`Replication::verify`] reads what records do not prove.

use std::sync::Arc;

use futures_util::stream::StreamExt;

use crate::digest::Hashers;
use crate::image::{Image, ImageId};
use crate::select::Selection;
use crate::store::{ImageStore, StoreError};

mod checked;
mod copy;
mod error;
mod examine;
mod feed;
#[cfg(test)]
mod flaky;
mod habits;
mod journal;
mod loss;
pub mod mapping;
mod matching;
mod most;
mod order;
mod pace;
mod pair;
mod plan;
mod prove;
mod prune;
mod remembered;
mod repair;
mod retries;
mod run;
mod splice;
mod spool;
pub mod stamp;
mod stop;
mod tally;
mod task;
mod transfer;
mod verify;
mod via;

pub use checked::{DataFault, DataVerdict, Expected, checked};
pub use error::{CopyError, RunError};
pub use habits::Habits;
pub use journal::{Journal, JournalError, JournalFile, Leftover, Phase, Recorded, Run};
pub use loss::{Loss, LossKind};
pub use mapping::Mapping;
pub use matching::MatchBy;
pub use most::Most;
pub use order::Order;
pub use pace::{Bandwidth, InvalidBandwidth, Pace, Pacing, Timetable};
pub use plan::{Difference, Entry, State};
pub use prove::Proven;
pub use prune::{NothingRemoved, Prune, Removal};
pub use remembered::{DigestFile, Remembered};
pub use repair::{Finding, KnownBy, Search, Standing};
pub use retries::Retries;
pub use run::run_all;
pub use spool::{Spool, SpoolWhen};
pub use stop::{Level, Stop, Why};
pub use verify::{Depth, Fault, Proof, Verdict, Verification, verify_store};
pub use via::{Delivery, Fallback, InvalidTemplate, Journey, Origin, Placement, Template, Way};

use feed::Share;
use matching::Moved;
use pair::Pair;
use plan::Step;

/// What to replicate, and how.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Which images.
    pub selection: Selection,
    /// How images of the source are to be at the target.
    pub mapping: Mapping,
    /// Records without data too.
    pub queued: bool,
    /// What of an image is copied.
    pub scope: Scope,
    /// How the replica of an image is found.
    pub match_by: MatchBy,
    /// What to do when the target will not give an image its id.
    pub on_burned_id: OnBurnedId,
    /// The source as new replicas are marked with it, so that later runs know them; without it
    /// they are not marked.
    pub stamp: Option<stamp::Source>,
    /// What to do with images that only the target holds; without it, nothing.
    pub prune: Option<Prune>,
    /// Images under way at once, each at all targets of a run.
    pub transfers: usize,
    /// How often is tried again what can succeed later.
    pub retries: Retries,
    /// In which order images are begun.
    pub order: Order,
    /// After how many failed images no more are begun at a target; without it, that ends nothing.
    pub most_errors: Option<Most>,
    /// How many bytes of images a run may begin to copy; what goes to several targets counts once.
    pub most_bytes: Option<u64>,
    /// By which a run is told to end before its end.
    pub stop: Stop,
    /// Parts of one image that are read from the source at once.
    pub streams: usize,
    /// Where data is kept that a target did not take yet.
    pub spool: Spool,
    /// Which digests targets were seen to keep.
    pub habits: Habits,
    /// What computes the digests that prove the data on its way.
    pub hashers: Hashers,
    /// How fast data may pass, of all images together.
    pub pacing: Pacing,
    /// What the target accepts as data.
    pub content: ContentCheck,
    /// How data gets to a Glance and where it is put there; without it, it passes through here, and
    /// the target chooses.
    pub delivery: Option<Delivery>,
    /// Digests of images of the source that have none in their records.
    pub known_source: Remembered,
    /// The same of the target.
    pub known_target: Remembered,
    /// Where it is written down what is about to happen at the target.
    pub journal: Journal,
}

/// What a target accepts as data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ContentCheck {
    /// Anything.
    #[default]
    Off,
    /// What Glance accepts. Data that it would refuse when all of it is there, after which the
    /// record can't be used any more, is refused before a record is made.
    Glance,
}

/// What to do with an image whose id the target will not give: Glance never frees the id of a
/// deleted image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnBurnedId {
    /// The image fails.
    #[default]
    Fail,
    /// The image is left out.
    Skip,
    /// The replica gets a new id, and is marked with the one it has at the source.
    New,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            selection: Selection::everything(),
            mapping: Mapping::default(),
            queued: false,
            scope: Scope::default(),
            match_by: MatchBy::default(),
            on_burned_id: OnBurnedId::default(),
            stamp: None,
            prune: None,
            transfers: 4,
            retries: Retries::default(),
            order: Order::default(),
            most_errors: None,
            most_bytes: None,
            stop: Stop::default(),
            streams: 1,
            spool: Spool::default(),
            habits: Habits::default(),
            hashers: Hashers::default(),
            pacing: Pacing::default(),
            content: ContentCheck::default(),
            delivery: None,
            known_source: Remembered::default(),
            known_target: Remembered::default(),
            journal: Journal::default(),
        }
    }
}

/// What of an image is copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// Record and data.
    #[default]
    Everything,
    /// The record, of images that the target holds already.
    HeldRecords,
    /// The record, of all images. One that the target does not hold is made without data.
    Records,
}

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
