//! Chooses how many images are in progress at once, and how many connections read them.
//!
//! A [`Controller`] belongs to a command: the runs to all its targets share it. It counts what works
//! and what memory that takes ([`readers`]), hears the events of the run, and once a second lets the
//! algorithm ([`climb`]) decide. The algorithm needs no clock, no server and no data; `simulator`
//! runs it on simulated links.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use glance_core::image::ImageId;
use glance_core::units::plural;

use crate::events::{Bottleneck, Event, Events, Pace, Waited};
use climb::{Bounds, Climb, Sample};

mod climb;
mod readers;
#[cfg(test)]
mod simulator;

pub(crate) use readers::{Connection, LONGEST_PART, PartMemory, Reading, Room};

/// Adjusts the pace of the runs of a command. Clones adjust it together. The default adjusts nothing.
///
/// ```
/// use replicator_engine::{Adjustment, Controller, Policy};
///
/// let adjustment = Adjustment { transfers: true, streams: true, ..Adjustment::default() };
/// let policy = Policy { controller: Controller::new(adjustment), ..Policy::default() };
/// ```
#[derive(Debug, Clone, Default)]
pub struct Controller(Arc<Shared>);

/// What a [`Controller`] adjusts, and its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adjustment {
    /// Whether the number of images in progress is adjusted, beginning with
    /// [`Policy::transfers`](crate::Policy::transfers).
    pub transfers: bool,
    /// Whether the number of connections that read one image is adjusted, beginning with 1.
    pub streams: bool,
    /// The highest number of images in progress, and of connections that read from the source, that
    /// the controller chooses.
    pub connections: usize,
    /// The number of bytes of memory for images in progress and for data that is read ahead. One
    /// image is always in progress, whatever it takes.
    pub memory: u64,
}

impl Default for Adjustment {
    fn default() -> Self {
        Self { transfers: false, streams: false, connections: 16, memory: 256 << 20 }
    }
}

/// What the clones of a controller share.
#[derive(Debug)]
struct Shared {
    adjustment: Adjustment,
    /// The pace that the algorithm chose last.
    pace: watch::Sender<Pace>,
    /// Bytes that arrived from the source.
    arrived: AtomicU64,
    /// Bytes of memory in use.
    memory: AtomicU64,
    /// Images in progress.
    images: AtomicUsize,
    /// Whether more images wait.
    has_waiting: AtomicBool,
    /// Connections that read from the source.
    connections: AtomicUsize,
    /// Images that are read in parts, and those of them that could use another connection.
    readings: AtomicUsize,
    hungry: AtomicUsize,
    /// The length of a part in bytes.
    part: AtomicU64,
    /// Whether the source can't read parts.
    is_undivided: AtomicBool,
    heard: Mutex<Heard>,
}

/// What the events of the last second said.
#[derive(Debug, Default)]
struct Heard {
    /// The waits of each image in progress, as last reported.
    images: BTreeMap<ImageId, Waited>,
    /// How much the waits of all images have grown.
    grown: Waited,
    refusals: usize,
    failures: usize,
}

impl Default for Shared {
    fn default() -> Self {
        Self::new(Adjustment::default())
    }
}

impl Shared {
    fn new(adjustment: Adjustment) -> Self {
        Self {
            adjustment,
            pace: watch::Sender::new(Pace { images: 1, readers: 1 }),
            arrived: AtomicU64::new(0),
            memory: AtomicU64::new(0),
            images: AtomicUsize::new(0),
            has_waiting: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            readings: AtomicUsize::new(0),
            hungry: AtomicUsize::new(0),
            part: AtomicU64::new(LONGEST_PART),
            is_undivided: AtomicBool::new(false),
            heard: Mutex::default(),
        }
    }
}

impl Controller {
    /// A controller for the runs of one command.
    pub fn new(adjustment: Adjustment) -> Self {
        Self(Arc::new(Shared::new(adjustment)))
    }

    /// Sends the events of `events` to this controller, too.
    #[must_use]
    pub fn listening(&self, events: Events) -> Events {
        if !self.adjusts() {
            return events;
        }
        let this = self.clone();
        events.and(move |event| this.hear(event))
    }

    /// Number of images that may be in progress now. `fixed`: the number unless it is adjusted.
    pub(crate) fn images(&self, fixed: usize) -> usize {
        match self.0.adjustment.transfers {
            true => self.0.pace.borrow().images,
            false => fixed,
        }
    }

    /// The paces as they change.
    pub(crate) fn paces(&self) -> watch::Receiver<Pace> {
        self.0.pace.subscribe()
    }

    /// Records whether images wait because the pace allows no more.
    pub(crate) fn set_waiting(&self, has_waiting: bool) {
        self.0.has_waiting.store(has_waiting, Relaxed);
    }

    /// Adjusts the pace once a second, beginning with `images` in progress. Never ends, unless the
    /// controller adjusts nothing.
    pub(crate) async fn adjust(&self, images: usize, events: &Events) {
        let Adjustment { transfers, streams, connections, .. } = self.0.adjustment;
        if !self.adjusts() {
            return;
        }
        let most = connections.max(1);
        let bounds = Bounds {
            least: Pace { images: if transfers { 1 } else { images }, readers: 1 },
            most: Pace {
                images: if transfers { most } else { images },
                readers: if streams { most } else { 1 },
            },
            processors: available_parallelism().map_or(1, Into::into),
        };
        let mut climb = Climb::new(images, bounds);
        self.0.pace.send_replace(climb.pace());
        let mut ticks = interval(SECOND);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        let mut recent = Recent::default();
        let (mut last, mut arrived) = (Instant::now(), self.0.arrived.load(Relaxed));
        loop {
            ticks.tick().await;
            let now = self.0.arrived.load(Relaxed);
            let sample = self.sample(&mut recent, now - arrived, last.elapsed());
            (last, arrived) = (Instant::now(), now);
            self.set_part(&sample);
            let Some((pace, reason)) = climb.tick(&sample) else { continue };
            self.0.pace.send_replace(pace);
            let (rate, bottleneck) = (sample.rate, sample.bottleneck);
            let (images, readers) = (pace.images, pace.readers);
            tracing::info!(
                "up to {images} image{} and {readers} connection{} to the source at once ({reason}); \
                 {:.1} MiB/s, limited by: {bottleneck}",
                plural(images),
                plural(readers),
                rate / f64::from(1 << 20)
            );
            #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "a rate")]
            events.send(&Event::Adjusted { pace, reason, bottleneck, rate: rate as u64 });
        }
    }

    fn adjusts(&self) -> bool {
        self.0.adjustment.transfers || self.0.adjustment.streams
    }

    fn hear(&self, event: &Event<'_>) {
        match event {
            Event::Progress { image, progress } => {
                let mut heard = self.heard();
                let before = heard.images.insert(image.id.clone(), progress.waited);
                heard.grown = heard.grown.plus(progress.waited.minus(before.unwrap_or_default()));
            }
            Event::Finished { outcome, .. } => {
                self.heard().images.remove(&outcome.image.id);
            }
            Event::Retrying { retry, .. } if retry.is_refusal() => self.heard().refusals += 1,
            Event::Retrying { .. } => self.heard().failures += 1,
            _ => {}
        }
    }

    /// What happened in the time since the last sample.
    fn sample(&self, recent: &mut Recent, bytes: u64, time: Duration) -> Sample {
        let Heard { grown, refusals, failures, .. } = {
            let mut heard = self.heard();
            let images = std::mem::take(&mut heard.images);
            std::mem::replace(&mut *heard, Heard { images, ..Heard::default() })
        };
        let images = self.0.images.load(Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let rate = bytes as f64 / time.as_secs_f64().max(0.001);
        Sample {
            rate,
            bottleneck: recent.bottleneck(grown, time, images),
            refusals,
            failures,
            working: Pace { images, readers: self.0.connections.load(Relaxed) },
            has_waiting: self.0.has_waiting.load(Relaxed),
            has_rest: self.0.hungry.load(Relaxed) > 0,
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much the waits of all images grew in the last seconds, and those seconds. The events report
/// the waits of an image about once a second, and not at the same moments as the controller looks.
#[derive(Debug, Default)]
struct Recent(VecDeque<(Waited, Duration)>);

impl Recent {
    /// What the images in progress waited for most. Those that waited for nothing here waited for
    /// answers to requests without data.
    fn bottleneck(&mut self, grown: Waited, time: Duration, images: usize) -> Bottleneck {
        self.0.push_back((grown, time));
        if self.0.len() > LOOKED_AT {
            self.0.pop_front();
        }
        let waited = self.0.iter().fold(Waited::default(), |sum, (grown, _)| sum.plus(*grown));
        let time: Duration = self.0.iter().map(|(_, time)| *time).sum();
        let causes = [
            (waited.source, Bottleneck::Source),
            (waited.targets, Bottleneck::Target),
            (waited.processor, Bottleneck::Processor),
            (waited.bandwidth, Bottleneck::Bandwidth),
            (waited.spool, Bottleneck::Disk),
        ];
        let sum: Duration = causes.iter().map(|(waited, _)| *waited).sum();
        let all = time * u32::try_from(images).unwrap_or(u32::MAX);
        match causes.into_iter().max_by_key(|(waited, _)| *waited) {
            _ if images == 0 => Bottleneck::Idle,
            Some((_, cause)) if sum * 10 >= all * 3 => cause,
            _ => Bottleneck::Requests,
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Number of samples of which the waits are compared.
const LOOKED_AT: usize = 3;

#[cfg(test)]
impl Controller {
    pub(crate) fn set_pace(&self, pace: Pace) {
        self.0.pace.send_replace(pace);
    }

    pub(crate) fn set_part_length(&self, bytes: u64) {
        self.0.part.store(bytes, Relaxed);
    }

    /// Number of connections that read from the source.
    pub(crate) fn connections(&self) -> usize {
        self.0.connections.load(Relaxed)
    }

    /// Number of bytes of memory in use.
    pub(crate) fn memory(&self) -> u64 {
        self.0.memory.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wait_is_the_bottleneck_unless_all_waits_are_short() {
        let millis = Duration::from_millis;
        let waited = Waited { source: millis(500), targets: millis(400), ..Waited::default() };
        let of = |waited, images| Recent::default().bottleneck(waited, SECOND, images);
        assert_eq!(of(waited, 1), Bottleneck::Source);
        assert_eq!(of(waited, 4), Bottleneck::Requests);
        assert_eq!(of(waited, 0), Bottleneck::Idle);
        assert_eq!(of(Waited { bandwidth: millis(600), ..waited }, 2), Bottleneck::Bandwidth);
        // A second without a report changes nothing.
        let mut recent = Recent::default();
        recent.bottleneck(waited, SECOND, 1);
        assert_eq!(recent.bottleneck(Waited::default(), SECOND, 1), Bottleneck::Source);
    }
}
