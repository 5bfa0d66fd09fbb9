//! Runs several replications of one source together.
//!
//! Every image is examined for all targets together, and its data is read once for all targets that
//! need it. A failed target does not stop the others.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures_util::future::{join_all, ready};
use futures_util::stream::{self, StreamExt};

use glance_core::image::ImageId;

use crate::cancel::{CancelMode, CancelToken};
use crate::error::RunError;
use crate::outcome::Outcome;
use crate::pairing::merge_join::{Pairs, merged};
use crate::pairing::{Moved, ids};
use crate::planning::{Entry, State};
use crate::policy::{ErrorLimit, OnBurnedId, Order};
use crate::replication::Replication;
use crate::running::progress::{Later, Limits, RunProgress};
use crate::streaming::fan_out::Subscription;

pub(crate) mod progress;
pub(crate) mod prune;

/// Replicates the images of the source to each target. Each outcome is passed to `observe` as soon
/// as it is final, with the index of its target. Neither a failed image nor a failed target ends
/// the run for the others. Images that fail with a retryable error are retried at the end of the
/// run and reported then.
///
/// All replications must have the same source. Settings of the run as a whole, such as
/// [`transfers`](crate::Policy::transfers), are taken from the policy of the first.
///
/// Returns how the run ended for each target. Images in progress are always completed, unless the
/// run is told to break off.
pub async fn run_all(
    replications: &[Replication],
    observe: impl FnMut(usize, Outcome) + Send,
) -> Vec<Result<(), RunError>> {
    let Some(mut run) = Run::new(replications, observe) else { return Vec::new() };
    let moved = run.list_reassigned_ids().await;
    run.listed(&moved).await;
    run.in_order().await;
    run.again().await;
    run.remove().await
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
}

struct Run<F> {
    /// One replication per target, with the known ids of images that have another id there.
    replications: Vec<Replication>,
    transfers: usize,
    order: Order,
    /// Whether all images are examined before the first is copied.
    looks_ahead: bool,
    stop: CancelToken,
    tally: Mutex<RunProgress<F>>,
}

impl<F: FnMut(usize, Outcome) + Send> Run<F> {
    fn new(replications: &[Replication], observe: F) -> Option<Self> {
        let policy = &replications.first()?.policy;
        let limits = Limits {
            errors: policy.max_errors,
            bytes: policy.max_bytes,
            retries: policy.retries.per_run,
        };
        let of_all = matches!(policy.max_errors, Some(ErrorLimit::Percent(_)));
        let stop = policy.stop.clone();
        Some(Self {
            replications: replications.iter().map(|one| one.with_id_map([].into_iter())).collect(),
            transfers: policy.transfers.max(1),
            order: policy.order,
            looks_ahead: of_all || policy.order != Order::Id,
            tally: Mutex::new(RunProgress::new(replications.len(), stop.clone(), limits, observe)),
            stop,
        })
    }

    /// Lists, for each target, the replicas that have another id than their images. A target whose
    /// listing fails takes no part in the run.
    async fn list_reassigned_ids(&mut self) -> Vec<Option<Moved>> {
        let listings = join_all(self.replications.iter().map(Replication::reassigned)).await;
        let mut all = Vec::new();
        for (target, listing) in listings.into_iter().enumerate() {
            if let Ok(moved) = &listing {
                self.learn(target, ids(moved));
            }
            all.push(listing.map_err(|error| self.tally().unlisted(target, error.into())).ok());
        }
        all
    }

    /// Lists the source and all targets, executes what can be done at once, and queues the rest.
    async fn listed(&self, moved: &[Option<Moved>]) {
        let begun = self.replications.iter().zip(moved).enumerate();
        let begun = begun.filter_map(|(target, (one, moved))| Some((target, one, moved.as_ref()?)));
        let begun = begun.map(async |(target, one, moved)| (target, one.pairs(moved).await));
        let mut listings = Vec::new();
        for (target, listing) in join_all(begun).await {
            match listing {
                Ok(pairs) => listings.push((target, pairs)),
                Err(error) => self.tally().unlisted(target, error.into()),
            }
        }
        let all_listed = AtomicBool::new(false);
        let end = stream::poll_fn(|_| {
            all_listed.store(true, Ordering::Relaxed);
            Poll::Ready(None)
        });
        let found = merged(listings).chain(end).take_until(self.stop.reached(CancelMode::Abort));
        let work = found.map(|pairs| self.pass(pairs)).buffer_unordered(self.transfers);
        work.for_each(ready).await;
        match all_listed.into_inner() {
            true => self.tally().all_listed(),
            false => self.tally().unseen(),
        }
    }

    /// Examines one image and executes its steps, at all targets.
    async fn pass(&self, found: Pairs) {
        let pairs = self.tally().listed(found);
        let Some(id) = pairs.first().map(|(_, pair)| pair.id().clone()) else { return };
        let targets: Vec<usize> = pairs.iter().map(|(target, _)| *target).collect();
        let work = pairs
            .into_iter()
            .map(async |(target, pair)| (target, self.replications[target].examine(pair).await));
        let Some(entries) = self.stop.unless_broken_off(join_all(work)).await else {
            return self.tally().leave(&id, targets.into_iter());
        };
        let now = self.sort(entries);
        self.execute(now).await;
    }

    /// Queues the entries that have to wait, and returns the rest.
    fn sort(&self, entries: Vec<(usize, Entry)>) -> Vec<(usize, Entry)> {
        let mut tally = self.tally();
        let (mut now, mut ordered, mut dependents) = (Vec::new(), Vec::new(), Vec::new());
        for (target, entry) in entries {
            tracing::debug!(image = %entry.image.id, state = %entry.state, action = entry.action());
            match entry.state {
                State::Extra => tally.extra(target, &entry),
                _ if entry.begins() && entry.image.refers_to_others() => {
                    dependents.push((target, entry));
                }
                _ if entry.begins() && self.looks_ahead => ordered.push((target, entry)),
                _ => now.push((target, entry)),
            }
        }
        tally.ordered.extend(later(ordered));
        tally.dependents.extend(later(dependents));
        now
    }

    /// Executes the queued entries: first those that wait for an order, then images that refer to
    /// other images such as kernels and ramdisks.
    async fn in_order(&mut self) {
        let ordered = std::mem::take(&mut self.tally().ordered);
        self.each(ordered).await;
        let dependents = std::mem::take(&mut self.tally().dependents);
        self.each(dependents).await;
    }

    /// Retries failed images, as often as the policy allows.
    async fn again(&mut self) {
        let retries = self.replications[0].policy.retries;
        for pass in 0..retries.per_run {
            if self.tally().failed().is_empty() || self.stop.level().is_some() {
                break;
            }
            let pause = retries.pauses.after(pass);
            tokio::select! {
                () = pause => {}
                () = self.stop.reached(CancelMode::Drain) => break,
            }
            let failed = self.failed().await;
            let (dependents, others) =
                failed.into_iter().partition(|later| later.image.refers_to_others());
            self.each(others).await;
            self.each(dependents).await;
        }
        self.tally().settle_all();
    }

    /// The images to retry. A replica with a new id may have been started; it is looked up, so that
    /// no second one is made.
    async fn failed(&mut self) -> Vec<Later> {
        let mut failed = self.tally().failed();
        for target in 0..self.replications.len() {
            let is_of = |later: &Later| later.replicas.iter().any(|(one, _)| *one == target);
            let policy = &self.replications[target].policy;
            if policy.on_burned_id != OnBurnedId::New || !failed.iter().any(is_of) {
                continue;
            }
            let moved = match self.replications[target].reassigned().await {
                Ok(moved) => moved,
                Err(error) => {
                    tracing::warn!("failed images are not retried at this target: {error}");
                    for one in &mut failed {
                        one.replicas.retain(|(of, _)| *of != target);
                    }
                    continue;
                }
            };
            for later in &mut failed {
                let Some(replica) = moved.get(&later.image.id) else { continue };
                let of_target = later.replicas.iter_mut().filter(|(one, _)| *one == target);
                of_target.for_each(|(_, id)| *id = Some(replica.id.clone()));
            }
            self.learn(target, ids(&moved));
        }
        failed
    }

    /// Examines these images again and executes their steps, in order.
    async fn each(&mut self, mut all: Vec<Later>) {
        self.order.sort(&mut all, |later| &later.image);
        let work = stream::iter(all).map(|later| self.anew(later));
        work.buffer_unordered(self.transfers).for_each(ready).await;
        for target in 0..self.replications.len() {
            let moved = self.tally().moved(target);
            self.learn(target, moved.into_iter());
        }
    }

    async fn anew(&self, later: Later) {
        let Later { image, replicas } = self.tally().now(later);
        let targets: Vec<usize> = replicas.iter().map(|(target, _)| *target).collect();
        let work = replicas.into_iter().map(async |(target, replica)| {
            let one = &self.replications[target];
            let entry = match one.pair(&image.id, replica.as_ref()).await {
                Ok(pair) => one.examine(pair).await,
                Err(error) => Entry::failed(image.clone(), None, error),
            };
            (target, entry)
        });
        match self.stop.unless_broken_off(join_all(work)).await {
            Some(entries) => self.execute(entries).await,
            None => self.tally().leave(&image.id, targets.into_iter()),
        }
    }

    /// Executes the steps of one image, at all of these targets concurrently.
    async fn execute(&self, entries: Vec<(usize, Entry)>) {
        let entries = self.tally().begin(entries);
        let shares = self.shares(&entries);
        let work = entries.into_iter().zip(shares).map(async |((target, entry), share)| {
            let replica = entry.replica.as_ref().map(|replica| replica.id.clone());
            let outcome = self.replications[target].execute(entry, share).await;
            self.tally().report(target, outcome, replica);
        });
        join_all(work).await;
    }

    /// The share of each entry in one read of the image's data.
    fn shares(&self, entries: &[(usize, Entry)]) -> Vec<Subscription> {
        let moving = || entries.iter().filter(|(_, entry)| entry.moves_data());
        let Some((_, Entry { image, .. })) = moving().next().or(entries.first()) else {
            return Vec::new();
        };
        let readers: Vec<_> = moving().map(|(target, _)| &self.replications[*target]).collect();
        let mut shares = Subscription::each(&readers, image).into_iter();
        let share = |(target, entry): &(usize, Entry)| {
            let share = entry.moves_data().then(|| shares.next()).flatten();
            share.unwrap_or_else(|| Subscription::alone(&self.replications[*target], image))
        };
        entries.iter().map(share).collect()
    }

    /// Removes the extra images at every target where removal is possible, and returns how the run
    /// ended for each target.
    async fn remove(self) -> Vec<Result<(), RunError>> {
        let work = self.replications.iter().enumerate().map(async |(target, one)| {
            let seen = self.tally().removable(target);
            if let Some(seen) = seen {
                let observe = |outcome| self.tally().removed(target, outcome);
                one.remove_all(&seen, observe).await?;
            }
            self.tally().ended(target)
        });
        join_all(work).await
    }

    /// Adds ids to a target's mapping, so that references to these images are translated.
    fn learn(&mut self, target: usize, ids: impl Iterator<Item = (ImageId, ImageId)>) {
        self.replications[target].policy.mapping.ids.extend(ids);
    }

    fn tally(&self) -> MutexGuard<'_, RunProgress<F>> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Queues one image with its replicas.
fn later(entries: Vec<(usize, Entry)>) -> Option<Later> {
    let image = entries.first()?.1.image.clone();
    let replica = |(target, entry): (usize, Entry)| (target, entry.replica.map(|it| it.id));
    Some(Later { image, replicas: entries.into_iter().map(replica).collect() })
}
