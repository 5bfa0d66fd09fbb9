//! Settings of a replication: [`Policy`].

use std::sync::Arc;
use std::time::Duration;

use glance_core::digest::Hashers;
use glance_core::image::{Attributes, Image};
use glance_core::rate_limit::BandwidthLimits;
use glance_core::selection::Selection;

use crate::cancel::CancelToken;
use crate::comparison::is_provable;
use crate::controller::Controller;
use crate::events::Events;
use crate::journal::Journal;
use crate::known_digests::{CachedDigests, TargetDigests};
use crate::mapping::{Mapping, Wanted};
use crate::provenance;
use crate::spool::Spool;

mod delivery;
mod limit;
mod order;
mod prune;
mod retries;

pub use crate::outcome::Removal;
pub use delivery::{DeliveryOptions, Fallback, ImportSource, InvalidTemplate, Placement, Template};
pub use limit::ErrorLimit;
pub use order::Order;
pub use prune::{Approval, Prune, Removals};
pub use retries::Retries;

/// Settings of a replication: what to copy, and how. The defaults suit a Glance target: they remove
/// nothing, copy complete images only, and reject data that a Glance would reject.
///
/// ```
/// use glance_core::image::Status;
/// use glance_core::selection::{Condition, Selection};
/// use replicator_engine::{ErrorLimit, OnBurnedId, Policy};
///
/// let policy = Policy {
///     selection: Selection::new([Condition::Status(Status::Active)], [], []),
///     on_burned_id: OnBurnedId::New,
///     max_errors: Some(ErrorLimit::Percent(10)),
///     transfers: 8,
///     ..Policy::default()
/// };
/// assert!(policy.prune.is_none(), "a run removes nothing unless told to");
/// ```
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a decision of its own")]
pub struct Policy {
    /// Which images are replicated.
    pub selection: Selection,
    /// How the source's attributes are translated for the target.
    pub mapping: Mapping,
    /// Whether to replicate records without data (status `queued`), too.
    pub queued: bool,
    /// Which part of an image is copied.
    pub scope: CopyScope,
    /// Which images are asked for their members.
    pub members: Members,
    /// How the replica of an image is found.
    pub match_by: MatchBy,
    /// Whether the source finds any of its images by id. A source that delivers each image once, in
    /// order, does not.
    pub finds_by_id: bool,
    /// What to do when the target refuses an image id.
    pub on_burned_id: OnBurnedId,
    /// Whether every new replica gets a new id. The replica of an image is then the one that is
    /// marked with the image's id, never the one that has the image's id.
    pub new_ids: bool,
    /// The source that new replicas are marked with, so that later runs recognize them. `None`:
    /// replicas are not marked.
    pub stamp: Option<provenance::Source>,
    /// Whether replicas that are in place with the same data, and have no mark, get the mark of
    /// `stamp`, so that later runs may remove them.
    pub adopt: bool,
    /// What to do with images that only the target holds. `None`: leave them alone.
    pub prune: Option<Prune>,
    /// Who approves the removals before they are carried out. `None`: they need no approval.
    pub approval: Option<Arc<dyn Approval>>,
    /// Number of images in progress at once, each at all targets of a run. If the controller adjusts
    /// it, the number at the beginning.
    pub transfers: usize,
    /// Retry limits.
    pub retries: Retries,
    /// How long to wait, at the end of a run, for images that other runs have in work.
    pub wait: Duration,
    /// The order in which images are started.
    pub order: Order,
    /// The number of failed images after which no more are started at a target. `None`: no limit.
    pub max_errors: Option<ErrorLimit>,
    /// The number of image bytes that a run may start to copy. Data for several targets counts
    /// once. `None`: no limit.
    pub max_bytes: Option<u64>,
    /// The handle that stops a run before its end.
    pub stop: CancelToken,
    /// Number of ranges of one image that are read from the source at once, unless the controller
    /// adjusts it.
    pub streams: usize,
    /// Adjusts the numbers of transfers and streams, and limits their memory. Replications that run
    /// together share one.
    pub controller: Controller,
    /// Where data is spooled that a target has not taken yet.
    pub spool: Spool,
    /// Which digests each target is known to store.
    pub target_digests: TargetDigests,
    /// The implementation of the digests that prove the data in transit.
    pub hashers: Hashers,
    /// Rate limits, shared by all images.
    pub bandwidth: BandwidthLimits,
    /// What the target accepts as data.
    pub content: ContentCheck,
    /// How a Glance target gets the data and in which stores it puts it. `None`: data is streamed
    /// through this process, and the target chooses the store.
    pub delivery: Option<DeliveryOptions>,
    /// Known digests of source images whose records have none.
    pub known_source: CachedDigests,
    /// Known digests of target images whose records have none.
    pub known_target: CachedDigests,
    /// The journal of pending changes at the target.
    pub journal: Journal,
    /// The receiver of the run's events. None by default.
    pub events: Events,
}

/// What a target accepts as data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ContentCheck {
    /// Any data: for targets that examine nothing, such as a directory.
    Off,
    /// Data that Glance accepts. Glance rejects other data only after receiving all of it, and the
    /// record is then unusable; with this check such data is rejected before a record is made.
    #[default]
    Glance,
}

/// How the replica of an image is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MatchBy {
    /// By id, or by the provenance properties if the replica got another id.
    #[default]
    Id,
    /// By name, which must be unique in each store. Both listings are held in memory.
    Name,
    /// By digest, with the same conditions as `Name`.
    Hash,
}

/// What to do when the target refuses an image id: Glance never frees the id of a deleted image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnBurnedId {
    /// The image fails.
    #[default]
    Fail,
    /// The image is skipped.
    Skip,
    /// The replica gets a new id, and is marked with the source's id.
    New,
}

impl Policy {
    /// Whether a new replica may get another id than its image.
    pub(crate) fn may_give_new_ids(&self) -> bool {
        self.new_ids || self.on_burned_id == OnBurnedId::New
    }

    /// The attributes that `replica` should have.
    pub(crate) fn onto(&self, wanted: &Wanted, image: &Image, replica: &Image) -> Attributes {
        let mut attributes = self.mapping.onto(wanted, &replica.attributes);
        let is_foreign = provenance::source(&replica.attributes).is_none();
        if let Some(source) = self.stamp.as_ref().filter(|_| self.adopt && is_foreign) {
            if is_provable(image, replica) {
                provenance::mark(&mut attributes, source);
            }
        }
        attributes
    }

    /// Whether the target imports data on its own.
    pub(crate) fn imports(&self) -> bool {
        self.delivery.as_ref().is_some_and(|delivery| delivery.origin.is_some())
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            selection: Selection::everything(),
            mapping: Mapping::default(),
            queued: false,
            scope: CopyScope::default(),
            members: Members::default(),
            match_by: MatchBy::default(),
            finds_by_id: true,
            on_burned_id: OnBurnedId::default(),
            new_ids: false,
            stamp: None,
            adopt: false,
            prune: None,
            approval: None,
            transfers: 4,
            retries: Retries::default(),
            wait: Duration::ZERO,
            order: Order::default(),
            max_errors: None,
            max_bytes: None,
            stop: CancelToken::default(),
            streams: 1,
            controller: Controller::default(),
            spool: Spool::default(),
            target_digests: TargetDigests::default(),
            hashers: Hashers::default(),
            bandwidth: BandwidthLimits::default(),
            content: ContentCheck::default(),
            delivery: None,
            known_source: CachedDigests::default(),
            known_target: CachedDigests::default(),
            journal: Journal::default(),
            events: Events::default(),
        }
    }
}

/// Which part of an image is copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CopyScope {
    /// The record and the data.
    #[default]
    Everything,
    /// Only the records of images that the target already holds.
    HeldRecords,
    /// Only the records, of all images. An image that the target does not hold gets a record
    /// without data.
    Records,
}

/// Which shared images are asked for their members. Glance lists the members of one image at a time,
/// so that each image takes a request at both sides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Members {
    /// All.
    #[default]
    Check,
    /// Only those that are copied. The members of a replica that the target already holds are
    /// neither compared nor changed.
    CheckNew,
    /// None.
    Ignore,
}

impl Members {
    /// The same for a plan, which copies nothing.
    pub(crate) fn of_plan(self) -> Self {
        match self {
            Self::Check => Self::Check,
            Self::CheckNew | Self::Ignore => Self::Ignore,
        }
    }
}
