//! What to replicate, and how: [`Policy`].

use glance_core::digest::Hashers;
use glance_core::rate_limit::Pacing;
use glance_core::selection::Selection;

use crate::pairing::provenance;
use crate::{Delivery, Habits, Journal, Mapping, MatchBy, Prune, Remembered, Spool, Stop};

mod limit;
mod order;
mod retries;

pub use limit::Most;
pub use order::Order;
pub use retries::Retries;

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
    pub stamp: Option<provenance::Source>,
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
