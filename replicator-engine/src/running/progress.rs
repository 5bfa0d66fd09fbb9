//! The progress of a run.

use std::collections::BTreeMap;
use std::mem::take;

use glance_core::image::{Image, ImageId};

use super::prune::Seen;
use crate::cancel::{CancelMode, CancelReason, CancelToken};
use crate::error::RunError;
use crate::outcome::{Done, Outcome};
use crate::pairing::merge_join::{Pair, Pairs};
use crate::planning::Entry;
use crate::policy::ErrorLimit;

/// The progress of a run at all targets, which are identified by index.
pub(crate) struct RunProgress<F> {
    observe: F,
    stop: CancelToken,
    limits: Limits,
    targets: Vec<ImageProgress>,
    /// Number of bytes of the images whose copy was started.
    begun: u64,
    /// Images that wait because the policy sets an order.
    pub(crate) ordered: Vec<Later>,
    /// Images that refer to others, which have to be copied first.
    pub(crate) dependents: Vec<Later>,
}

/// Limits that end a run, or its part for one target.
pub(crate) struct Limits {
    pub(crate) errors: Option<ErrorLimit>,
    pub(crate) bytes: Option<u64>,
    /// How often failed images are retried.
    pub(crate) retries: usize,
}

/// The progress of a run at one target.
#[derive(Default)]
struct ImageProgress {
    seen: Seen,
    /// Images that got another id, with that id.
    moved: Vec<(ImageId, ImageId)>,
    /// Failed images to retry, and their replicas.
    failed: BTreeMap<ImageId, (Outcome, Option<ImageId>)>,
    /// Number of images that the run will not start any more.
    left: u64,
    /// Whether there may be images that were not listed.
    unseen: bool,
    /// Whether all images of the source are known.
    is_listed: bool,
    listing: Option<RunError>,
}

/// An image that has to wait, and its replicas at the targets that are to get it.
#[derive(Debug)]
pub(crate) struct Later {
    pub(crate) image: Image,
    pub(crate) replicas: Vec<(usize, Option<ImageId>)>,
}

impl<F: FnMut(usize, Outcome)> RunProgress<F> {
    pub(crate) fn new(targets: usize, stop: CancelToken, limits: Limits, observe: F) -> Self {
        Self {
            observe,
            stop,
            limits,
            targets: (0..targets).map(|_| ImageProgress::default()).collect(),
            begun: 0,
            ordered: Vec::new(),
            dependents: Vec::new(),
        }
    }

    /// Records the listed pairs of one image, and returns those to examine.
    pub(crate) fn listed(&mut self, found: Pairs) -> Vec<(usize, Pair)> {
        let mut admitted = Vec::new();
        for (target, pair) in found {
            match pair {
                Err(error) => self.targets[target].listing = Some(error.into()),
                Ok(pair) => {
                    self.targets[target].seen.pair(&pair);
                    match self.admits(target) {
                        true => admitted.push((target, pair)),
                        false => self.targets[target].left += u64::from(pair.is_at_source()),
                    }
                }
            }
        }
        admitted
    }

    /// Records that a store could not be listed.
    pub(crate) fn unlisted(&mut self, target: usize, error: RunError) {
        tracing::info!("the listing failed: {error}");
        self.targets[target].listing = Some(error);
    }

    /// Records that the listings have ended and all images are known.
    pub(crate) fn all_listed(&mut self) {
        for standing in &mut self.targets {
            standing.is_listed = true;
        }
    }

    /// Records that the run ends before all images were listed.
    pub(crate) fn unseen(&mut self) {
        for standing in &mut self.targets {
            standing.unseen = true;
        }
    }

    pub(crate) fn extra(&mut self, target: usize, entry: &Entry) {
        self.targets[target].seen.extra(entry);
    }

    /// The part of `later` at the targets where images are still started. The rest is counted as
    /// left.
    pub(crate) fn now(&mut self, later: Later) -> Later {
        let Later { image, replicas } = later;
        let (now, left) = replicas.into_iter().partition(|(target, _)| self.admits(*target));
        let left: Vec<(usize, Option<ImageId>)> = left;
        self.leave(&image.id, left.into_iter().map(|(target, _)| target));
        Later { image, replicas: now }
    }

    /// The entries of one image that are started now. The rest is counted as left.
    pub(crate) fn begin(&mut self, entries: Vec<(usize, Entry)>) -> Vec<(usize, Entry)> {
        let Some(id) = entries.first().map(|(_, entry)| entry.image.id.clone()) else {
            return entries;
        };
        // The data is counted once for all targets.
        let bytes = entries.iter().map(|(_, entry)| entry.outstanding()).max().unwrap_or(0);
        let all = self.begun.saturating_add(bytes);
        if bytes > 0 && self.limits.bytes.is_some_and(|most| all > most) {
            self.stop.stop(CancelMode::Drain, CancelReason::OutOfBytes);
        }
        let (now, left) = entries.into_iter().partition(|(target, _)| self.admits(*target));
        let left: Vec<(usize, Entry)> = left;
        self.leave(&id, left.into_iter().map(|(target, _)| target));
        let now: Vec<(usize, Entry)> = now;
        if now.iter().any(|(_, entry)| entry.outstanding() > 0) {
            self.begun = all;
        }
        now
    }

    /// Counts an image as left at these targets. An image that failed before is reported as failed
    /// instead.
    pub(crate) fn leave(&mut self, id: &ImageId, targets: impl Iterator<Item = usize>) {
        for target in targets {
            let standing = &mut self.targets[target];
            standing.left += u64::from(!standing.failed.contains_key(id));
        }
    }

    /// Records the outcome of an image, with its replica's id, if any. A retryable failure is
    /// reported only when a retry succeeds or no more retries are made.
    pub(crate) fn report(&mut self, target: usize, outcome: Outcome, replica: Option<ImageId>) {
        let standing = &mut self.targets[target];
        standing.failed.remove(&outcome.image.id);
        match &outcome.result {
            Err(error) if self.limits.retries > 0 && error.is_retryable() => {
                let whole = error.chain();
                tracing::warn!("image {}: {whole}; the image will be retried", outcome.image.id);
                standing.failed.insert(outcome.image.id.clone(), (outcome, replica));
            }
            _ => self.settle(target, outcome),
        }
    }

    fn settle(&mut self, target: usize, outcome: Outcome) {
        let standing = &mut self.targets[target];
        standing.seen.failures += u64::from(outcome.result.is_err());
        if let Ok(Done::CopiedAs(id)) = &outcome.result {
            standing.moved.push((outcome.image.id.clone(), id.clone()));
        }
        (self.observe)(target, outcome);
    }

    /// Reports the removal of an image. It no longer counts for the limits.
    pub(crate) fn removed(&mut self, target: usize, outcome: Outcome) {
        (self.observe)(target, outcome);
    }

    /// Whether images are still started at this target.
    fn admits(&self, target: usize) -> bool {
        self.stop.level().is_none() && !self.gave_up(target)
    }

    /// Whether too many images have failed at this target.
    fn gave_up(&self, target: usize) -> bool {
        let standing = &self.targets[target];
        match self.limits.errors {
            None => false,
            // The total is known only after the listing.
            Some(ErrorLimit::Percent(_)) if !standing.is_listed => false,
            Some(most) => standing.failures() >= most.of(standing.seen.at_source).max(1),
        }
    }

    /// The images to retry, with their targets.
    pub(crate) fn failed(&self) -> Vec<Later> {
        let mut all: BTreeMap<&ImageId, Later> = BTreeMap::new();
        for (target, standing) in self.targets.iter().enumerate() {
            for (id, (outcome, replica)) in &standing.failed {
                let image = || Later { image: outcome.image.clone(), replicas: Vec::new() };
                let later = all.entry(id).or_insert_with(image);
                later.replicas.push((target, replica.clone()));
            }
        }
        all.into_values().collect()
    }

    /// Reports the failed images that are not retried any more.
    pub(crate) fn settle_all(&mut self) {
        for target in 0..self.targets.len() {
            for (outcome, _) in take(&mut self.targets[target].failed).into_values() {
                self.settle(target, outcome);
            }
        }
    }

    /// The images that got another id at this target since the last call.
    pub(crate) fn moved(&mut self, target: usize) -> Vec<(ImageId, ImageId)> {
        take(&mut self.targets[target].moved)
    }

    /// The data that removals at this target depend on; `None` if the run did not complete there.
    pub(crate) fn removable(&mut self, target: usize) -> Option<Seen> {
        let is_stopped = self.is_stopped();
        let standing = &mut self.targets[target];
        let is_through = standing.listing.is_none() && standing.left == 0 && !standing.unseen;
        (is_through && !is_stopped).then(|| take(&mut standing.seen))
    }

    /// How the run ended for a target, apart from removals.
    pub(crate) fn ended(&mut self, target: usize) -> Result<(), RunError> {
        let gave_up = self.gave_up(target);
        let (why, is_stopped) = (self.stop.why(), self.is_stopped());
        let ImageProgress { seen, left, unseen, listing, .. } = take(&mut self.targets[target]);
        match (listing, why) {
            (_, Some(why)) if is_stopped => Err(RunError::Stopped { why, left, unseen }),
            (Some(error), _) => Err(error),
            (None, _) if left == 0 && !unseen => Ok(()),
            (None, Some(why)) if !gave_up => Err(RunError::Stopped { why, left, unseen }),
            (None, _) => Err(RunError::TooManyFailures { failures: seen.failures, left }),
        }
    }

    /// Whether the run is unfinished even if every image was started, since uploads may have been
    /// aborted.
    fn is_stopped(&self) -> bool {
        self.stop.why().is_some_and(CancelReason::ends_run)
    }
}

impl ImageProgress {
    fn failures(&self) -> u64 {
        self.seen.failures + self.failed.len() as u64
    }
}
