//! Runs several replications of one source together.
//!
//! Every image is examined for all targets together, and its data is read once for all targets that
//! need it. A failed target does not stop the others.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures_util::future::{FutureExt, join, join_all, ready};
use futures_util::stream::{self, StreamExt};

use glance_core::image::ImageId;
use glance_core::store::StoreError;

use crate::cancel::{CancelMode, CancelToken};
use crate::controller::Controller;
use crate::error::RunError;
use crate::events::{Event, Events, Meter, watched};
use crate::outcome::Outcome;
use crate::pairing::Moved;
use crate::planning::{Entry, SourceMembers, examined_ahead, while_working};
use crate::policy::{ErrorLimit, Order};
use crate::replication::Replication;
use crate::running::at_once::at_once;
use crate::running::listings::{PairsOfId, merged};
use crate::running::progress::{Limits, QueuedImage, RunProgress};
use crate::running::read_ahead::{counted, read_ahead};
use crate::running::target_id::TargetId;
use crate::state::State;
use crate::streaming::fan_out::Subscription;

mod at_once;
mod claiming;
mod listings;
mod progress;
pub(crate) mod prune;
mod read_ahead;
mod target_id;

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
    let Some(run) = Run::new(replications, observe) else { return Vec::new() };
    let (controller, events) = (run.controller.clone(), run.events.clone());
    let adjusting = controller.adjust(run.transfers, &events);
    while_working(adjusting, run.all()).await
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
    controller: Controller,
    order: Order,
    /// Whether all images are examined before the first is copied.
    looks_ahead: bool,
    stop: CancelToken,
    events: Events,
    progress: Mutex<RunProgress<F>>,
}

impl<F: FnMut(usize, Outcome) + Send> Run<F> {
    fn new(replications: &[Replication], observe: F) -> Option<Self> {
        let policy = &replications.first()?.policy;
        let limits = Limits {
            errors: policy.max_errors,
            bytes: policy.max_bytes,
            retries: policy.retries.per_run,
            wait: policy.wait,
        };
        let of_all = matches!(policy.max_errors, Some(ErrorLimit::Percent(_)));
        let (stop, controller) = (policy.stop.clone(), policy.controller.clone());
        let events = controller.listening(policy.events.clone());
        let progress =
            RunProgress::new(replications.len(), stop.clone(), limits, events.clone(), observe);
        Some(Self {
            replications: replications.iter().map(|one| one.with_id_map([].into_iter())).collect(),
            transfers: policy.transfers.max(1),
            controller,
            order: policy.order,
            looks_ahead: of_all || policy.order != Order::Id,
            stop,
            events,
            progress: Mutex::new(progress),
        })
    }

    async fn all(mut self) -> Vec<Result<(), RunError>> {
        let reassigned = self.list_reassigned_ids().await;
        for (target, moved) in &reassigned {
            self.learn(*target, moved.ids());
        }
        self.process_listed(&reassigned).await;
        self.process_queued().await;
        self.wait_for_other_runs().await;
        self.retry_failed().await;
        self.remove_extras().await
    }

    /// Lists, for each target, the replicas that have another id than their images. A target whose
    /// listing fails takes no part in the run.
    async fn list_reassigned_ids(&self) -> Vec<(TargetId, Moved)> {
        let listings = join_all(self.replications.iter().map(Replication::reassigned)).await;
        let mut reassigned = Vec::new();
        for (target, listing) in self.targets().zip(listings) {
            match listing {
                Ok(moved) => reassigned.push((target, moved)),
                Err(error) => self.progress().unlisted(target, error.into()),
            }
        }
        reassigned
    }

    /// Lists the source and these targets, executes what can be done at once, and queues the rest.
    async fn process_listed(&self, reassigned: &[(TargetId, Moved)]) {
        let pairs = reassigned
            .iter()
            .map(async |(target, moved)| (*target, self.replication(*target).pairs(moved).await));
        let mut listings = Vec::new();
        for (target, listing) in join_all(pairs).await {
            match listing {
                Ok(pairs) => listings.push((target, pairs)),
                Err(error) => self.progress().unlisted(target, error.into()),
            }
        }
        let all_listed = AtomicBool::new(false);
        let end = stream::poll_fn(|_| {
            all_listed.store(true, Ordering::Relaxed);
            Poll::Ready(None)
        });
        let images = counted(merged(listings), &self.events);
        // A source that delivers each image once and in order is read by one transfer at a time.
        let (images, reading) = match self.transfers > 1 && self.events.is_received() {
            true => read_ahead(images),
            false => (images, ready(()).boxed()),
        };
        let number = self.replications[0].policy.examined_at_once();
        let (images, examining) = examined_ahead(images, number, |pairs| self.examine(pairs));
        let images = images.chain(end).take_until(self.stop.reached(CancelMode::Abort));
        let work = images.map(|image| self.carry_out(image));
        let ahead = join(reading, examining).map(drop);
        while_working(ahead, at_once(work, self.transfers, &self.controller)).await;
        if all_listed.into_inner() {
            self.progress().all_listed();
        } else {
            self.progress().unseen();
        }
    }

    /// Examines one image at all targets. Queues the entries that have to wait, and returns the
    /// rest.
    async fn examine(&self, pairs: PairsOfId) -> Vec<(TargetId, Entry)> {
        let pairs = self.progress().listed(pairs);
        let Some(id) = pairs.first().map(|(_, pair)| pair.id().clone()) else { return Vec::new() };
        let targets: Vec<TargetId> = pairs.iter().map(|(target, _)| *target).collect();
        let members = SourceMembers::default();
        let work = pairs.into_iter().map(async |(target, pair)| {
            (target, self.replication(target).examine(pair, &members).await)
        });
        let Some(entries) = self.stop.unless_broken_off(join_all(work)).await else {
            self.progress().leave(&id, targets.into_iter());
            return Vec::new();
        };
        self.report_plan(&entries);
        self.queue(entries)
    }

    /// Executes the steps of one image, at all targets.
    async fn carry_out(&self, entries: Vec<(TargetId, Entry)>) {
        let Some(id) = entries.first().map(|(_, entry)| entry.image.id.clone()) else { return };
        let targets: Vec<TargetId> = entries.iter().map(|(target, _)| *target).collect();
        let Some(claimed) = self.stop.unless_broken_off(self.claimed(entries)).await else {
            return self.progress().leave(&id, targets.into_iter());
        };
        self.execute(claimed).await;
    }

    fn report_plan(&self, entries: &[(TargetId, Entry)]) {
        let of_source = entries.iter().filter(|(_, entry)| entry.state != State::Extra);
        for (target, entry) in of_source {
            self.events.send(&Event::Planned {
                target: target.index(),
                image: &entry.image,
                state: entry.state,
                action: entry.action(),
                bytes: entry.outstanding(),
            });
        }
    }

    /// Queues the entries that have to wait, and returns the rest.
    fn queue(&self, entries: Vec<(TargetId, Entry)>) -> Vec<(TargetId, Entry)> {
        let mut progress = self.progress();
        let mut now = Vec::new();
        let mut ordered = Vec::new();
        let mut dependents = Vec::new();
        for (target, entry) in entries {
            tracing::debug!(image = %entry.image.id, state = %entry.state, action = entry.action());
            match entry.state {
                State::Extra => progress.extra(target, &entry),
                _ if entry.begins() && entry.image.refers_to_others() => {
                    dependents.push((target, entry));
                }
                _ if entry.begins() && self.looks_ahead => ordered.push((target, entry)),
                _ => now.push((target, entry)),
            }
        }
        progress.ordered.extend(QueuedImage::of(ordered));
        progress.dependents.extend(QueuedImage::of(dependents));
        now
    }

    /// Executes the queued entries: first those that wait for an order, then images that refer to
    /// other images such as kernels and ramdisks.
    async fn process_queued(&mut self) {
        let ordered = std::mem::take(&mut self.progress().ordered);
        self.process_all_again(ordered).await;
        let dependents = std::mem::take(&mut self.progress().dependents);
        self.process_all_again(dependents).await;
    }

    /// Retries failed images, as often as the policy allows.
    async fn retry_failed(&mut self) {
        let retries = self.replications[0].policy.retries;
        for pass in 0..retries.per_run {
            let mut failed = self.progress().failed();
            if failed.is_empty() || self.stop.level().is_some() {
                break;
            }
            let pause = retries.pauses.after(pass);
            tokio::select! {
                () = pause => {}
                () = self.stop.reached(CancelMode::Drain) => break,
            }
            for (target, listing) in self.list_new_replicas(&failed).await {
                match listing {
                    Ok(moved) => {
                        for image in &mut failed {
                            image.set_replica(target, &moved);
                        }
                        self.learn(target, moved.ids());
                    }
                    Err(error) => {
                        tracing::warn!("failed images are not retried at this target: {error}");
                        for image in &mut failed {
                            image.leave_out(target);
                        }
                    }
                }
            }
            self.progress().retries_made = pass + 1;
            let (dependents, others) =
                failed.into_iter().partition(|queued| queued.image.refers_to_others());
            self.process_all_again(others).await;
            self.process_all_again(dependents).await;
        }
        self.progress().settle_all();
    }

    /// The replicas with a new id at each target that gives new ids and that lacks one of these
    /// images. A failed copy may have begun such a replica; a retry must not make a second one.
    async fn list_new_replicas(
        &self,
        failed: &[QueuedImage],
    ) -> Vec<(TargetId, Result<Moved, StoreError>)> {
        let mut listings = Vec::new();
        for target in self.targets() {
            let replication = self.replication(target);
            if replication.policy.may_give_new_ids()
                && failed.iter().any(|image| image.is_for(target))
            {
                listings.push((target, replication.reassigned().await));
            }
        }
        listings
    }

    /// Examines these images again and executes their steps, in order. Learns the ids that replicas
    /// got.
    async fn process_all_again(&mut self, mut images: Vec<QueuedImage>) {
        self.order.sort(&mut images, |queued| &queued.image);
        let work = stream::iter(images).map(|queued| self.process_again(queued));
        at_once(work, self.transfers, &self.controller).await;
        for target in self.targets() {
            let moved = self.progress().moved(target);
            self.learn(target, moved.into_iter());
        }
    }

    async fn process_again(&self, queued: QueuedImage) {
        let QueuedImage { image, replicas } = self.progress().now(queued);
        let targets: Vec<TargetId> = replicas.iter().map(|(target, _)| *target).collect();
        let work = replicas.into_iter().map(async |(target, replica)| {
            (target, self.replication(target).examine_claimed(&image, replica.as_ref()).await)
        });
        match self.stop.unless_broken_off(join_all(work)).await {
            Some(entries) => self.execute(entries).await,
            None => self.progress().leave(&image.id, targets.into_iter()),
        }
    }

    /// Executes the steps of one image, at all of these targets concurrently.
    async fn execute(&self, entries: Vec<(TargetId, Entry)>) {
        let entries = self.progress().begin(entries);
        let meters = self.meters(&entries);
        let meter = meters.iter().find(|meter| meter.measures()).cloned().unwrap_or_default();
        let shares = self.shares(&entries, &meter);
        let work = entries.into_iter().zip(shares).zip(meters);
        let work = work.map(async |(((target, entry), share), meter)| {
            let replica = entry.replica.as_ref().map(|replica| replica.id.clone());
            let work = self.replication(target).execute(entry, share, meter.clone());
            let outcome = Box::pin(work).await;
            meter.flush();
            self.progress().report(target, outcome, replica, meter.spent());
        });
        watched(&meter, join_all(work)).await;
    }

    /// A meter for each entry. Images without a step are not measured.
    fn meters(&self, entries: &[(TargetId, Entry)]) -> Vec<Meter> {
        let steps = || entries.iter().filter(|(_, entry)| entry.changes_target());
        let Some((_, Entry { image, .. })) = steps().next() else {
            return vec![Meter::default(); entries.len()];
        };
        let targets: Vec<usize> = steps().map(|(target, _)| target.index()).collect();
        let mut meters = Meter::each(&self.events, image, &targets).into_iter();
        let meter = |(_, entry): &(TargetId, Entry)| {
            entry.changes_target().then(|| meters.next()).flatten().unwrap_or_default()
        };
        entries.iter().map(meter).collect()
    }

    /// The share of each entry in one read of the image's data.
    fn shares(&self, entries: &[(TargetId, Entry)], meter: &Meter) -> Vec<Subscription> {
        let moving = || entries.iter().filter(|(_, entry)| entry.moves_data());
        let Some((_, Entry { image, .. })) = moving().next().or(entries.first()) else {
            return Vec::new();
        };
        let readers: Vec<_> = moving().map(|(target, _)| self.replication(*target)).collect();
        let mut shares = Subscription::each(&readers, image, meter).into_iter();
        let share = |(target, entry): &(TargetId, Entry)| {
            let share = entry.moves_data().then(|| shares.next()).flatten();
            share.unwrap_or_else(|| Subscription::alone(self.replication(*target), image, meter))
        };
        entries.iter().map(share).collect()
    }

    /// Removes the extra images at every target where removal is possible, and returns how the run
    /// ended for each target.
    async fn remove_extras(self) -> Vec<Result<(), RunError>> {
        let work = self.targets().map(async |target| {
            let seen = self.progress().removable(target);
            if let Some(seen) = seen {
                let observe = |outcome| self.progress().removed(target, outcome);
                self.replication(target).remove_all(&seen, observe).await?;
            }
            self.progress().ended(target)
        });
        join_all(work).await
    }

    /// Adds ids to a target's mapping, so that references to these images are translated.
    fn learn(&mut self, target: TargetId, ids: impl Iterator<Item = (ImageId, ImageId)>) {
        self.replications[target.index()].policy.mapping.ids.extend(ids);
    }

    fn targets(&self) -> impl Iterator<Item = TargetId> + use<F> {
        TargetId::all(self.replications.len())
    }

    fn replication(&self, target: TargetId) -> &Replication {
        &self.replications[target.index()]
    }

    fn progress(&self) -> MutexGuard<'_, RunProgress<F>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
