//! Measures the copy of one image where its data passes.

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::Instant;

use glance_core::body::Body;
use glance_core::digest::Digests;
use glance_core::error::BodyError;
use glance_core::image::Image;
use glance_core::wait_time::{WaitTime, Waiting};

use super::watch::Watch;
use super::{Event, Events, Moved, Retry, Side, Spent};
use crate::outcome::Proven;

/// A target's handle to the measurements of an image's copy. The default measures nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter {
    copy: Option<Arc<CopyMeter>>,
    /// The position of the target in [`CopyMeter::targets`].
    place: usize,
}

/// The measurements of the copy of one image to some targets.
#[derive(Debug)]
pub(super) struct CopyMeter {
    pub(super) events: Events,
    pub(super) image: Image,
    pub(super) read: Counter,
    pub(super) source: WaitTime,
    pub(super) digests: WaitTime,
    pub(super) bandwidth: WaitTime,
    pub(super) spool: WaitTime,
    pub(super) targets: Vec<TargetMeter>,
    watch: Mutex<Watch>,
}

/// The measurements at one target.
#[derive(Debug)]
pub(super) struct TargetMeter {
    pub(super) target: usize,
    pub(super) sent: Counter,
    /// Time in which the target was waited for.
    pub(super) taking: WaitTime,
    attempts: AtomicU32,
    begin: Instant,
    lane: Mutex<Lane>,
}

/// What happens at one target.
#[derive(Debug, Default)]
struct Lane {
    phase: Phase,
    /// Whether the target was given all bytes.
    all_sent: bool,
    /// The wait for the target, in progress.
    waiting: Option<Waiting>,
}

/// The part of a copy that is in work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The record is made, or the first bytes are checked.
    #[default]
    Preparing,
    /// Data is sent to the target.
    Moving,
    /// The target has all data and stores it.
    Storing,
    /// The target imports the data itself.
    Importing,
    /// Source and target are compared.
    Verifying,
    /// The image is made visible.
    Publishing,
}

/// Counts bytes.
#[derive(Debug, Default)]
pub(super) struct Counter {
    total: AtomicU64,
    position: AtomicU64,
}

impl Counter {
    pub(super) fn moved(&self) -> Moved {
        let (total, position) =
            (self.total.load(Ordering::Relaxed), self.position.load(Ordering::Relaxed));
        Moved { total, position }
    }

    /// Begins at this position of the data.
    fn begin(&self, position: u64) {
        self.position.store(position, Ordering::Relaxed);
    }

    /// Counts `bytes`, of which the first `free` were not moved.
    fn add(&self, bytes: u64, free: u64) {
        self.total.fetch_add(bytes - free, Ordering::Relaxed);
        self.position.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Meter {
    /// A handle for each of `targets`, which get `image` in one copy.
    pub(crate) fn each(events: &Events, image: &Image, targets: &[usize]) -> Vec<Self> {
        if !events.is_received() {
            return vec![Self::default(); targets.len()];
        }
        let copy = CopyMeter {
            events: events.clone(),
            image: image.clone(),
            read: Counter::default(),
            source: WaitTime::measured(),
            digests: WaitTime::measured(),
            bandwidth: WaitTime::measured(),
            spool: WaitTime::measured(),
            targets: targets.iter().map(|target| TargetMeter::new(*target)).collect(),
            watch: Mutex::new(Watch::new(targets.len())),
        };
        let copy = Arc::new(copy);
        let handle = |place| Self { copy: Some(Arc::clone(&copy)), place };
        (0..targets.len()).map(handle).collect()
    }

    /// Whether the handle measures a copy.
    pub(crate) fn measures(&self) -> bool {
        self.copy.is_some()
    }

    pub(super) fn copy(&self) -> Option<&Arc<CopyMeter>> {
        self.copy.as_ref()
    }

    fn target(&self) -> Option<&TargetMeter> {
        self.copy.as_ref()?.targets.get(self.place)
    }

    /// Time in which the source is waited for.
    pub(crate) fn source(&self) -> WaitTime {
        self.copy.as_ref().map(|copy| copy.source.clone()).unwrap_or_default()
    }

    /// Time in which the threads that compute digests are waited for.
    pub(crate) fn digests(&self) -> WaitTime {
        self.copy.as_ref().map(|copy| copy.digests.clone()).unwrap_or_default()
    }

    /// Time in which the bandwidth limit is waited for.
    pub(crate) fn bandwidth(&self) -> WaitTime {
        self.copy.as_ref().map(|copy| copy.bandwidth.clone()).unwrap_or_default()
    }

    /// Time in which the disk of the spool is waited for.
    pub(crate) fn spool(&self) -> WaitTime {
        self.copy.as_ref().map(|copy| copy.spool.clone()).unwrap_or_default()
    }

    /// Measures data as it arrives from the source, from `offset` on.
    pub(crate) fn arriving(&self, offset: u64, data: Body) -> Body {
        let Some(copy) = &self.copy else { return data };
        copy.read.begin(offset);
        let (size, digests) = (data.size(), data.digests().cloned());
        let arriving = Arriving { data, copy: Arc::clone(copy), waiting: None };
        Body::from_stream(arriving, size).carrying(digests)
    }

    /// Measures data that is sent to the target, which has the first `begun` bytes already. The wait
    /// for the target lasts until [`answered`](Self::answered).
    pub(crate) fn sending(&self, begun: u64, data: Body) -> Body {
        let (Some(copy), Some(target)) = (&self.copy, self.target()) else { return data };
        target.sent.begin(0);
        target.attempts.fetch_add(1, Ordering::Relaxed);
        target.enter(Phase::Moving);
        let (size, digests) = (data.size(), data.digests().cloned());
        let (copy, place) = (Arc::clone(copy), self.place);
        let sending = Sending { data, copy, place, begun, position: 0, size };
        Body::from_stream(sending, size).carrying(digests)
    }

    /// Records that the target has answered an upload.
    pub(crate) fn answered(&self) {
        if let Some(target) = self.target() {
            target.lane().waiting = None;
        }
    }

    /// Records what happens at the target from now on.
    pub(crate) fn enter(&self, phase: Phase) {
        if let Some(target) = self.target() {
            target.enter(phase);
        }
    }

    /// Reports the next attempt of something that failed at this target, or at the source.
    pub(crate) fn retrying(&self, side: Side, retry: &Retry) {
        let (Some(copy), Some(target)) = (&self.copy, self.target()) else { return };
        let target = (side == Side::Target).then_some(target.target);
        copy.events.retrying(Some(&copy.image.id), target, side, retry);
    }

    /// Reports what proves the data at the target.
    pub(crate) fn verified(&self, by: &Proven, stored: &Image, in_transit: Option<&Digests>) {
        let (Some(copy), Some(target)) = (&self.copy, self.target()) else { return };
        let (target, image) = (target.target, &copy.image);
        copy.events.send(&Event::Verified { target, image, by, stored, in_transit });
    }

    /// What the copy to this target has taken so far.
    pub(crate) fn spent(&self) -> Spent {
        let (Some(copy), Some(target)) = (&self.copy, self.target()) else {
            return Spent::default();
        };
        Spent {
            time: target.begin.elapsed(),
            read: copy.read.moved().total,
            sent: target.sent.moved().total,
            attempts: target.attempts.load(Ordering::Relaxed),
        }
    }

    /// Reports the progress so far, if it has not been reported.
    pub(crate) fn flush(&self) {
        if let Some(copy) = &self.copy {
            copy.watch().flush(copy);
        }
    }
}

impl CopyMeter {
    pub(super) fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TargetMeter {
    fn new(target: usize) -> Self {
        Self {
            target,
            sent: Counter::default(),
            taking: WaitTime::measured(),
            attempts: AtomicU32::new(0),
            begin: Instant::now(),
            lane: Mutex::default(),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        let lane = self.lane();
        match lane.phase {
            Phase::Moving if lane.all_sent => Phase::Storing,
            phase => phase,
        }
    }

    fn enter(&self, phase: Phase) {
        *self.lane() = Lane { phase, all_sent: false, waiting: None };
    }

    fn lane(&self) -> MutexGuard<'_, Lane> {
        self.lane.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Data as it arrives from the source.
struct Arriving {
    data: Body,
    copy: Arc<CopyMeter>,
    waiting: Option<Waiting>,
}

impl Stream for Arriving {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.data.poll_next_unpin(context);
        match &polled {
            Poll::Pending if self.waiting.is_none() => {
                self.waiting = Some(self.copy.source.begin());
            }
            Poll::Pending => {}
            Poll::Ready(chunk) => {
                self.waiting = None;
                if let Some(Ok(chunk)) = chunk {
                    self.copy.read.add(chunk.len() as u64, 0);
                }
            }
        }
        polled
    }
}

/// Data on its way to a target. Between two polls, the target is waited for.
struct Sending {
    data: Body,
    copy: Arc<CopyMeter>,
    place: usize,
    begun: u64,
    position: u64,
    size: Option<u64>,
}

impl Stream for Sending {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let target = &this.copy.targets[this.place];
        target.lane().waiting = None;
        let polled = this.data.poll_next_unpin(context);
        let is_end = match &polled {
            Poll::Pending | Poll::Ready(Some(Err(_))) => return polled,
            Poll::Ready(None) => true,
            Poll::Ready(Some(Ok(chunk))) => {
                let length = chunk.len() as u64;
                target.sent.add(length, this.begun.saturating_sub(this.position).min(length));
                this.position += length;
                this.size.is_some_and(|size| this.position >= size)
            }
        };
        let mut lane = target.lane();
        lane.all_sent = is_end;
        lane.waiting = Some(target.taking.begin());
        drop(lane);
        polled
    }
}
