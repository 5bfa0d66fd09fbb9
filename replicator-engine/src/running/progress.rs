//! The progress of a run.

use std::collections::BTreeMap;
use std::mem::take;
use std::time::Duration;

use glance_core::error::one_line;
use glance_core::image::{Image, ImageId};

use crate::cancel::{CancelMode, CancelReason, CancelToken};
use crate::error::{CopyError, RunError};
use crate::events::{Event, Events, Retry, Side, Spent, reason};
use crate::outcome::{Done, Outcome};
use crate::pairing::Moved;
use crate::pairing::merge_join::Pair;
use crate::planning::{Entry, Seen};
use crate::policy::ErrorLimit;
use crate::running::listings::PairsOfId;
use crate::running::target_id::TargetId;

/// The progress of a run at all targets.
pub(crate) struct RunProgress<F> {
    observe: F,
    stop: CancelToken,
    limits: Limits,
    events: Events,
    targets: Vec<TargetProgress>,
    /// Number of bytes of the images whose copy was started.
    begun: u64,
    /// How often failed images were retried so far.
    pub(crate) retries_made: usize,
    /// Images that wait because the policy sets an order.
    pub(crate) ordered: Vec<QueuedImage>,
    /// Images that refer to others, which have to be copied first.
    pub(crate) dependents: Vec<QueuedImage>,
}

/// Limits that end a run, or its part for one target.
pub(crate) struct Limits {
    pub(crate) errors: Option<ErrorLimit>,
    pub(crate) bytes: Option<u64>,
    /// How often failed images are retried.
    pub(crate) retries: usize,
    /// How long to wait for images that other runs have in work.
    pub(crate) wait: Duration,
}

/// The progress of a run at one target.
#[derive(Default)]
struct TargetProgress {
    seen: Seen,
    /// Images that got another id, with that id.
    moved: Vec<(ImageId, ImageId)>,
    /// Failed images to retry, and their replicas.
    failed: BTreeMap<ImageId, Failed>,
    /// Number of images that the run will not start any more.
    not_started: u64,
    /// Whether there may be images that were not listed.
    unseen: bool,
    /// Whether all images of the source are known.
    is_listed: bool,
    listing: Option<RunError>,
}

/// A failed image that will be retried.
struct Failed {
    outcome: Outcome,
    replica: Option<ImageId>,
    /// What the attempts took so far, and their number.
    spent: Spent,
    attempts: usize,
}

/// An image that has to wait, and its replicas at the targets that are to get it.
#[derive(Debug)]
pub(crate) struct QueuedImage {
    pub(crate) image: Image,
    pub(crate) replicas: Vec<(TargetId, Option<ImageId>)>,
}

impl QueuedImage {
    /// The image of these entries with its replicas; `None` without entries.
    pub(crate) fn of(entries: Vec<(TargetId, Entry)>) -> Option<Self> {
        let image = entries.first()?.1.image.clone();
        let replica =
            |(target, entry): (TargetId, Entry)| (target, entry.replica.map(|replica| replica.id));
        Some(Self { image, replicas: entries.into_iter().map(replica).collect() })
    }

    /// Whether `target` is to get the image.
    pub(crate) fn is_for(&self, target: TargetId) -> bool {
        self.replicas.iter().any(|(one, _)| *one == target)
    }

    /// Sets the replica at `target`, if `moved` has one.
    pub(crate) fn set_replica(&mut self, target: TargetId, moved: &Moved) {
        let Some(replica) = moved.get(&self.image.id) else { return };
        for (_, id) in self.replicas.iter_mut().filter(|(one, _)| *one == target) {
            *id = Some(replica.id.clone());
        }
    }

    /// Removes `target` from those that are to get the image.
    pub(crate) fn leave_out(&mut self, target: TargetId) {
        self.replicas.retain(|(one, _)| *one != target);
    }
}

impl<F: FnMut(usize, Outcome)> RunProgress<F> {
    pub(crate) fn new(
        targets: usize,
        stop: CancelToken,
        limits: Limits,
        events: Events,
        observe: F,
    ) -> Self {
        Self {
            observe,
            stop,
            limits,
            events,
            targets: (0..targets).map(|_| TargetProgress::default()).collect(),
            begun: 0,
            retries_made: 0,
            ordered: Vec::new(),
            dependents: Vec::new(),
        }
    }

    /// Records the listed pairs of one image, and returns those to examine.
    pub(crate) fn listed(&mut self, pairs: PairsOfId) -> Vec<(TargetId, Pair)> {
        let mut admitted = Vec::new();
        for (target, pair) in pairs {
            match pair {
                Err(error) => self.at(target).listing = Some(error.into()),
                Ok(pair) => {
                    self.at(target).seen.pair(&pair);
                    if self.admits(target) {
                        admitted.push((target, pair));
                    } else {
                        self.at(target).not_started += u64::from(pair.is_at_source());
                    }
                }
            }
        }
        admitted
    }

    /// Records that a store could not be listed.
    pub(crate) fn unlisted(&mut self, target: TargetId, error: RunError) {
        tracing::info!("the listing failed: {error}");
        self.at(target).listing = Some(error);
    }

    /// Records that the listings have ended and all images are known.
    pub(crate) fn all_listed(&mut self) {
        for target in &mut self.targets {
            target.is_listed = true;
        }
    }

    /// Records that the run ends before all images were listed.
    pub(crate) fn unseen(&mut self) {
        for target in &mut self.targets {
            target.unseen = true;
        }
    }

    pub(crate) fn extra(&mut self, target: TargetId, entry: &Entry) {
        self.at(target).seen.extra(entry);
    }

    /// The part of `queued` at the targets where images are still started. The rest is counted as
    /// not started.
    pub(crate) fn now(&mut self, queued: QueuedImage) -> QueuedImage {
        let QueuedImage { image, replicas } = queued;
        let replicas = self.admitted(&image.id, replicas);
        QueuedImage { image, replicas }
    }

    /// The entries of one image that are started now. The rest is counted as not started.
    pub(crate) fn begin(&mut self, entries: Vec<(TargetId, Entry)>) -> Vec<(TargetId, Entry)> {
        let Some(id) = entries.first().map(|(_, entry)| entry.image.id.clone()) else {
            return entries;
        };
        // The data is counted once for all targets.
        let bytes = entries.iter().map(|(_, entry)| entry.outstanding()).max().unwrap_or(0);
        let all = self.begun.saturating_add(bytes);
        if bytes > 0 && self.limits.bytes.is_some_and(|most| all > most) {
            self.stop.stop(CancelMode::Drain, CancelReason::OutOfBytes);
        }
        let now = self.admitted(&id, entries);
        if now.iter().any(|(_, entry)| entry.outstanding() > 0) {
            self.begun = all;
        }
        self.report_start(&now);
        now
    }

    fn report_start(&self, entries: &[(TargetId, Entry)]) {
        for (target, entry) in entries.iter().filter(|(_, entry)| entry.changes_target()) {
            let image = &entry.image;
            let before = self.targets[target.index()].failed.get(&image.id);
            let attempt = before.map_or(1, |failed| failed.attempts + 1);
            let attempt = u32::try_from(attempt).unwrap_or(u32::MAX);
            self.events.send(&Event::Started { target: target.index(), image, attempt });
        }
    }

    /// The items at the targets where images are still started. The image `id` is counted as not
    /// started at the other targets.
    fn admitted<T>(&mut self, id: &ImageId, items: Vec<(TargetId, T)>) -> Vec<(TargetId, T)> {
        let (now, never): (Vec<_>, Vec<_>) =
            items.into_iter().partition(|(target, _)| self.admits(*target));
        self.leave(id, never.into_iter().map(|(target, _)| target));
        now
    }

    /// Counts an image as not started at these targets. An image that failed before is reported as
    /// failed instead.
    pub(crate) fn leave(&mut self, id: &ImageId, targets: impl Iterator<Item = TargetId>) {
        for target in targets {
            let target = self.at(target);
            target.not_started += u64::from(!target.failed.contains_key(id));
        }
    }

    /// Records the outcome of an image, with its replica's id, if any, and with what the attempt
    /// took. A retryable failure is reported only when a retry succeeds or no more retries are made.
    pub(crate) fn report(
        &mut self,
        target: TargetId,
        outcome: Outcome,
        replica: Option<ImageId>,
        spent: Spent,
    ) {
        let before = self.at(target).failed.remove(&outcome.image.id);
        let was_in_use = before.as_ref().is_some_and(|failed| is_in_use(&failed.outcome));
        // The image may be looked at every second, as long as another run has it in work.
        let is_again = was_in_use && is_in_use(&outcome);
        let attempts = before.as_ref().map_or(0, |failed| failed.attempts) + usize::from(!is_again);
        let (outcome, spent) = match before {
            Some(failed) => (outcome.after(&failed.outcome), failed.spent.plus(spent)),
            None => (outcome, spent),
        };
        match &outcome.result {
            Err(error) if self.limits.allow_retry_of(error, self.retries_made) => {
                if !is_again {
                    self.announce_retry(target, &outcome.image.id, error);
                }
                let failed = Failed { outcome, replica, spent, attempts };
                self.at(target).failed.insert(failed.outcome.image.id.clone(), failed);
            }
            _ => self.settle(target, outcome, spent),
        }
    }

    /// Tells that an image will be retried.
    fn announce_retry(&self, target: TargetId, id: &ImageId, error: &CopyError) {
        let (failures, retries) = (self.retries_made, self.limits.retries);
        let failed = match error {
            // Errors of a store name the image.
            CopyError::Source(error) | CopyError::Target(error) => one_line(error),
            _ => format!("image {id}: {}", error.chain()),
        };
        if let CopyError::InUse(_) = error {
            // This was no attempt, and waiting for the other run is no retry.
            tracing::warn!("{failed}; the image will be retried");
        } else {
            let (attempt, of) = (failures.saturating_add(1), retries.saturating_add(1));
            tracing::warn!("{failed}; attempt {attempt} of {of} failed, the image will be retried");
        }
        let retry = Retry::after(failures, retries, None, reason(error));
        self.events.retrying(Some(id), Some(target.index()), Side::of(error), &retry);
    }

    fn settle(&mut self, target: TargetId, outcome: Outcome, spent: Spent) {
        let progress = self.at(target);
        // What other runs do is not a failure of the target.
        match is_in_use(&outcome) {
            true => progress.seen.in_use += 1,
            false => progress.seen.failures += u64::from(outcome.result.is_err()),
        }
        if let Ok(Done::CopiedAs(id)) = &outcome.result {
            progress.moved.push((outcome.image.id.clone(), id.clone()));
        }
        self.events.finished(target.index(), &outcome, &spent);
        (self.observe)(target.index(), outcome);
    }

    /// Reports the removal of an image. It no longer counts for the limits.
    pub(crate) fn removed(&mut self, target: TargetId, outcome: Outcome) {
        self.events.finished(target.index(), &outcome, &Spent::default());
        (self.observe)(target.index(), outcome);
    }

    /// Whether images are still started at this target.
    fn admits(&self, target: TargetId) -> bool {
        self.stop.level().is_none() && !self.gave_up(target)
    }

    /// Whether too many images have failed at this target.
    fn gave_up(&self, target: TargetId) -> bool {
        let progress = &self.targets[target.index()];
        match self.limits.errors {
            None => false,
            // The total is known only after the listing.
            Some(ErrorLimit::Percent(_)) if !progress.is_listed => false,
            Some(most) => progress.failures() >= most.of(progress.seen.at_source).max(1),
        }
    }

    /// The images to retry, with their targets.
    pub(crate) fn failed(&self) -> Vec<QueuedImage> {
        self.failed_as(|_| true)
    }

    /// The images that other runs have in work, with their targets.
    pub(crate) fn in_use(&self) -> Vec<QueuedImage> {
        self.failed_as(is_in_use)
    }

    fn failed_as(&self, is_meant: impl Fn(&Outcome) -> bool) -> Vec<QueuedImage> {
        let mut all: BTreeMap<&ImageId, QueuedImage> = BTreeMap::new();
        for (target, progress) in self.ids().zip(&self.targets) {
            let meant = progress.failed.iter().filter(|(_, failed)| is_meant(&failed.outcome));
            for (id, failed) in meant {
                let image = || {
                    let image = failed.outcome.image.clone();
                    QueuedImage { image, replicas: Vec::new() }
                };
                let queued = all.entry(id).or_insert_with(image);
                queued.replicas.push((target, failed.replica.clone()));
            }
        }
        all.into_values().collect()
    }

    /// Reports the failed images that are not retried any more.
    pub(crate) fn settle_all(&mut self) {
        for target in self.ids() {
            for failed in take(&mut self.at(target).failed).into_values() {
                self.settle(target, failed.outcome, failed.spent);
            }
        }
    }

    /// The images that got another id at this target since the last call.
    pub(crate) fn moved(&mut self, target: TargetId) -> Vec<(ImageId, ImageId)> {
        take(&mut self.at(target).moved)
    }

    /// The data that removals at this target depend on; `None` if the run did not complete there.
    pub(crate) fn removable(&mut self, target: TargetId) -> Option<Seen> {
        let is_stopped = self.is_stopped();
        let progress = self.at(target);
        let is_complete =
            progress.listing.is_none() && progress.not_started == 0 && !progress.unseen;
        (is_complete && !is_stopped).then(|| take(&mut progress.seen))
    }

    /// How the run ended for a target, apart from removals.
    pub(crate) fn ended(&mut self, target: TargetId) -> Result<(), RunError> {
        let gave_up = self.gave_up(target);
        let why = self.stop.why();
        let is_stopped = self.is_stopped();
        let TargetProgress { seen, not_started: left, unseen, listing, .. } = take(self.at(target));
        match (listing, why) {
            (_, Some(why)) if is_stopped => Err(RunError::Stopped { why, left, unseen }),
            (Some(error), _) => Err(error),
            (None, _) if left == 0 && !unseen => Ok(()),
            (None, Some(why)) if !gave_up => Err(RunError::Stopped { why, left, unseen }),
            (None, _) => Err(RunError::TooManyFailures { failures: seen.failures, left }),
        }
    }

    fn at(&mut self, target: TargetId) -> &mut TargetProgress {
        &mut self.targets[target.index()]
    }

    fn ids(&self) -> impl Iterator<Item = TargetId> + use<F> {
        TargetId::all(self.targets.len())
    }

    /// Whether the run is unfinished even if every image was started, since uploads may have been
    /// aborted.
    fn is_stopped(&self) -> bool {
        self.stop.why().is_some_and(CancelReason::ends_run)
    }
}

impl Limits {
    /// Whether an image with this error may be tried again at the end of the run, after this number
    /// of retries.
    fn allow_retry_of(&self, error: &CopyError, retries_made: usize) -> bool {
        let is_waiting = retries_made == 0 && !self.wait.is_zero();
        let waits = is_waiting && matches!(error, CopyError::InUse(_));
        waits || retries_made < self.retries && error.is_retryable()
    }
}

fn is_in_use(outcome: &Outcome) -> bool {
    matches!(outcome.result, Err(CopyError::InUse(_)))
}

impl TargetProgress {
    fn failures(&self) -> u64 {
        let failed = self.failed.values().filter(|failed| !is_in_use(&failed.outcome));
        self.seen.failures + failed.count() as u64
    }
}
