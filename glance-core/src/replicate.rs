//! Making one store hold what another holds, and proving it.
//!
//! [`Replication::run`] is the whole way of every image: list both stores, pair the images,
//! decide, copy through the checked body, compare what the target says it stored, publish. What
//! only the target holds may be removed at the end. [`Replication::plan`] decides and does nothing,
//! [`Replication::verify`] reads what records do not prove.

use std::sync::Arc;

use futures_util::stream::StreamExt;

use crate::digest::Hashers;
use crate::image::{Attributes, Image, ImageId};
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
pub mod mapping;
mod matching;
mod pace;
mod pair;
mod plan;
mod prove;
mod prune;
mod remembered;
mod repair;
mod retries;
mod splice;
mod spool;
pub mod stamp;
mod task;
mod transfer;
mod verify;
mod via;

pub use checked::{DataFault, DataVerdict, Expected, checked};
pub use error::{CopyError, RunError};
pub use habits::Habits;
pub use journal::{Journal, JournalError, JournalFile, Leftover, Phase, Recorded, Run};
pub use mapping::Mapping;
pub use matching::MatchBy;
pub use pace::{Bandwidth, InvalidBandwidth, Pace, Pacing, Timetable};
pub use plan::{Difference, Entry, State};
pub use prune::{MostRemoved, NothingRemoved, Prune, Removal};
pub use remembered::{DigestFile, Remembered};
pub use repair::{Finding, KnownBy, Search, Standing};
pub use retries::Retries;
pub use spool::{Spool, SpoolWhen};
pub use verify::{Depth, Fault, Proof, Verdict, Verification, verify_store};
pub use via::{Delivery, Fallback, InvalidTemplate, Journey, Origin, Placement, Template, Way};

use feed::Share;
use matching::Moved;
use pair::Pair;
use plan::Step;
use prune::Seen;

/// What to replicate, and how.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Which images.
    pub selection: Selection,
    /// How images of the source are to be at the target.
    pub mapping: Mapping,
    /// Records without data too.
    pub queued: bool,
    /// Only bring the records of images up to date that the target holds already.
    pub metadata_only: bool,
    /// How the replica of an image is found.
    pub match_by: MatchBy,
    /// What to do when the target will not give an image its id.
    pub on_burned_id: OnBurnedId,
    /// The source as new replicas are marked with it, so that later runs know them; without it
    /// they are not marked.
    pub stamp: Option<String>,
    /// What to do with images that only the target holds; without it, nothing.
    pub prune: Option<Prune>,
    /// Images under way at once.
    pub transfers: usize,
    /// How often is tried again what can succeed later.
    pub retries: Retries,
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
            metadata_only: false,
            match_by: MatchBy::default(),
            on_burned_id: OnBurnedId::default(),
            stamp: None,
            prune: None,
            transfers: 4,
            retries: Retries::default(),
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

/// What the first pass over the listings makes of an image.
enum Pass {
    Done(Outcome),
    /// It refers to other images, which are to be there first. Its id, and its replica's.
    Dependent(ImageId, Option<ImageId>),
    Extra(Entry),
}

impl Replication {
    /// Replicates every image and hands each outcome to `observe` as it comes. A failed image does
    /// not end the run.
    ///
    /// # Errors
    /// When one of the stores can't be listed, or when nothing was removed that should have been.
    /// What was begun is brought to its end first.
    pub async fn run(&self, mut observe: impl FnMut(Outcome)) -> Result<(), RunError> {
        let moved = self.moved().await?;
        let this = self.knowing(ids(&moved));
        let mut seen = Seen::default();
        let listed = this.independents(&moved, &mut seen, &mut observe).await;
        let moved = std::mem::take(&mut seen.moved);
        this.knowing(moved.into_iter()).dependents(&mut seen, &mut observe).await;
        listed?;
        this.remove_all(&seen, &mut observe).await?;
        Ok(())
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

    /// Replicates every image that can be at once, and takes down what is left to do.
    async fn independents(
        &self,
        moved: &Moved,
        seen: &mut Seen,
        observe: &mut impl FnMut(Outcome),
    ) -> Result<(), StoreError> {
        let pairs = self.pairs(moved).await?;
        let work = pairs.map(|pair| async {
            let pair = pair?;
            let sides = (pair.is_at_source(), pair.is_at_target());
            Ok((sides, self.pass(pair).await))
        });
        let mut passes = work.buffer_unordered(self.policy.transfers.max(1));
        let mut listed = Ok(());
        while let Some(pass) = passes.next().await {
            match pass {
                Ok((sides, pass)) => {
                    seen.at_source += u64::from(sides.0);
                    seen.at_target += u64::from(sides.1);
                    match pass {
                        Pass::Done(outcome) => seen.report(outcome, observe),
                        Pass::Dependent(id, replica) => seen.dependents.push((id, replica)),
                        Pass::Extra(entry) => seen.extra(&entry),
                    }
                }
                Err(error) => listed = Err(error),
            }
        }
        listed
    }

    async fn pass(&self, pair: Pair) -> Pass {
        let entry = self.examine(pair).await;
        tracing::debug!(image = %entry.image.id, state = %entry.state, action = entry.action());
        let begins = matches!(entry.step, Step::Copy(_) | Step::Record(_) | Step::Complete(_));
        match entry.state {
            State::Extra => Pass::Extra(entry),
            _ if begins && refers_to_others(&entry.image) => {
                Pass::Dependent(entry.image.id, entry.replica.map(|it| it.id))
            }
            _ => Pass::Done(self.execute(entry).await),
        }
    }

    /// Replicates the images that refer to others, as kernels and ramdisks, after those.
    async fn dependents(&self, seen: &mut Seen, observe: &mut impl FnMut(Outcome)) {
        let ids = std::mem::take(&mut seen.dependents);
        let work = futures_util::stream::iter(ids).map(|(id, replica)| async move {
            match self.pair(&id, replica.as_ref()).await {
                Ok(pair) => self.execute(self.examine(pair).await).await,
                Err(error) => Outcome::of(Image::queued(id, Attributes::default()), Err(error)),
            }
        });
        let mut outcomes = work.buffer_unordered(self.policy.transfers.max(1));
        while let Some(outcome) = outcomes.next().await {
            seen.report(outcome, observe);
        }
    }

    /// Does what the entry says.
    async fn execute(&self, entry: Entry) -> Outcome {
        let Entry { image, replica, differences, reason, step, .. } = entry;
        let mut journey = Journey::default();
        let mut share = Share::alone(self, &image);
        let result = match (step, &replica) {
            (Step::Copy(goal), _) => self.copy(&image, &goal, &mut share, &mut journey).await,
            (Step::Record(goal), _) => self.record(&image, &goal).await,
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
        Outcome { journey, ..Outcome::of(image, result) }
    }
}

impl Outcome {
    /// What became of an image whose data did not move.
    fn of(image: Image, result: Result<Done, CopyError>) -> Self {
        Self { image, result, journey: Journey::default() }
    }
}

/// The ids of images that have another one at the target, and those.
fn ids(moved: &Moved) -> impl Iterator<Item = (ImageId, ImageId)> {
    moved.iter().map(|(id, replica)| (id.clone(), replica.id.clone()))
}

/// Whether an image names others that it is started with (Glance's schema of images).
fn refers_to_others(image: &Image) -> bool {
    let refers = |key| image.attributes.properties.get(key).is_some_and(|id| !id.is_empty());
    refers("kernel_id") || refers("ramdisk_id")
}
