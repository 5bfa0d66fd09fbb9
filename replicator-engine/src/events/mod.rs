//! The events of a run: what every display, report and monitor of a run is made from.
//!
//! A run sends its events to the receiver of [`Policy::events`](crate::Policy::events), one call per
//! event, from the tasks that do the work. The receiver should return quickly. Without a receiver,
//! events cost nothing.
//!
//! # Order
//! - [`Listed`](Event::Listed) counts the images of the source while they are listed, at most ten
//!   times a second, and once more when the listing is complete.
//! - Each image has one [`Planned`](Event::Planned) per target. If the step changes the target, a
//!   [`Started`](Event::Started) follows, and again for each later attempt of a failed image.
//! - [`Progress`](Event::Progress) of an image comes at most ten times a second, while at least one
//!   target of the image is in work.
//! - [`Verified`](Event::Verified) comes when the data at the target is proven, before the image is
//!   published.
//! - Each image has one [`Finished`](Event::Finished) per target, the last event of the image there.
//!   An image without a step, such as one that is in place, has `Finished` without `Started`. An
//!   image that is removed from the target has only `Finished`.
//! - [`Compared`](Event::Compared) counts the images of a comparison or of a verification, at most ten
//!   times a second. [`Reading`](Event::Reading) reports the data that a verification reads.
//! - [`Retrying`](Event::Retrying), [`Stalled`](Event::Stalled) and [`Adjusted`](Event::Adjusted) can
//!   come at any time.
//!
//! A `target` is the position of the target among the replications of the run
//! ([`run_all`](crate::run_all)), and 0 for a run with a single target. Sizes are in bytes.
//!
//! # Example
//! ```
//! use std::sync::{Arc, Mutex};
//!
//! use bytes::Bytes;
//! use glance_core::image::Attributes;
//! use glance_core::store::memory::MemoryStore;
//! use glance_core::{Body, Image, ImageId, ImageStore};
//! use replicator_engine::{Event, Events, Policy, Replication};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let source = Arc::new(MemoryStore::new("source"));
//! let target = Arc::new(MemoryStore::new("target"));
//! let image = source.create(&Image::queued(ImageId::random(), Attributes::default())).await?;
//! source.upload(&image.id, Body::from(Bytes::from_static(b"data"))).await?;
//!
//! let lines = Arc::new(Mutex::new(Vec::new()));
//! let log = Arc::clone(&lines);
//! let events = Events::to(move |event| {
//!     let line = match event {
//!         Event::Planned { action, bytes, .. } => format!("{action}: {bytes} bytes"),
//!         Event::Verified { .. } => "verified".to_owned(),
//!         Event::Finished { spent, .. } => format!("sent {} bytes", spent.sent),
//!         _ => return,
//!     };
//!     log.lock().unwrap().push(line);
//! });
//! let policy = Policy { events, ..Policy::default() };
//! Replication { source, target, policy }.run(|_| ()).await?;
//! assert_eq!(*lines.lock().unwrap(), ["copy: 4 bytes", "verified", "sent 4 bytes"]);
//! # Ok(())
//! # }
//! ```

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use glance_core::digest::Digests;
use glance_core::image::{Image, ImageId};
use glance_core::store::{StoreError, StoreErrorKind};
use glance_core::transport::RetryObserver;

use crate::error::CopyError;
use crate::outcome::{Outcome, Proven};
use crate::state::State;

mod meter;
mod pace;
mod progress;
mod reading;
mod throttle;
mod watch;

pub(crate) use meter::{Meter, Phase};
pub use pace::{Bottleneck, Pace, PaceReason};
pub use progress::{Activity, Moved, Progress, Spent, TargetProgress, Waited};
pub(crate) use reading::Compared;
pub(crate) use throttle::Throttle;
pub(crate) use watch::watched;

/// The receivers of a run's events; none by default. Clones send to the same receivers.
#[derive(Clone, Default)]
pub struct Events {
    receivers: Vec<Receiver>,
    limits: SilenceLimits,
    /// When the pause before the last retry for an image ends.
    pauses: Arc<Mutex<HashMap<ImageId, Instant>>>,
}

type Receiver = Arc<dyn Fn(&Event<'_>) + Send + Sync>;

/// How long the stores may be silent before a request to them fails. The run only reports these
/// times ([`Event::Stalled`]); the transport of each store keeps them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SilenceLimits {
    /// For the source; `None` if it has no limit.
    pub source: Option<Duration>,
    /// For the target while it takes data; `None` if it has no limit.
    pub target: Option<Duration>,
    /// For the target once it has all data of an image and stores it; `None` if it has no limit.
    pub storing: Option<Duration>,
}

/// A side of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The store that is read.
    Source,
    /// A store that is written.
    Target,
}

impl Side {
    /// The side at fault.
    pub(crate) fn of(error: &CopyError) -> Self {
        match error {
            CopyError::Source(_) | CopyError::Data { .. } => Self::Source,
            _ => Self::Target,
        }
    }
}

/// An event of a run. See the [module](self) for the order of events.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Images of the source were listed.
    Listed {
        /// Number of images so far.
        images: u64,
        /// Number of bytes of these images, as far as their records say.
        bytes: u64,
        /// Number of these images whose data at least one target lacks. The plan of such an image can
        /// still be to copy nothing.
        missing: u64,
        /// Number of bytes of the missing images.
        missing_bytes: u64,
        /// Whether the listing is complete.
        done: bool,
    },
    /// An image was compared with its replica, and its step was decided.
    Planned {
        /// The target.
        target: usize,
        /// The image, as the source describes it.
        image: &'a Image,
        /// The state of the replica.
        state: State,
        /// The step: `copy`, `record`, `complete`, `update` or `nothing`.
        action: &'static str,
        /// Number of bytes to copy, as far as the record says.
        bytes: u64,
    },
    /// The step of an image was started.
    Started {
        /// The target.
        target: usize,
        /// The image, as the source describes it.
        image: &'a Image,
        /// 1, or more for an image that failed before in this run.
        attempt: u32,
    },
    /// The copy of an image went on, or changed its activity.
    Progress {
        /// The image, as the source describes it.
        image: &'a Image,
        /// How far the copy is, at all targets together.
        progress: &'a Progress,
    },
    /// Something failed and is tried again.
    Retrying {
        /// The image, if the attempt is for one. Its id at the side that failed.
        image: Option<&'a ImageId>,
        /// The target, if known. `None` for requests to the source, and for single requests.
        target: Option<usize>,
        /// The side that failed.
        side: Side,
        /// The next attempt.
        retry: &'a Retry,
    },
    /// No byte of an image has moved for some time, because one side is silent. Sent once a second
    /// while the silence lasts.
    Stalled {
        /// The image, as the source describes it.
        image: &'a Image,
        /// The silent target; `None` if the source is silent.
        target: Option<usize>,
        /// The silent side.
        side: Side,
        /// How long the side has been silent.
        silent: Duration,
        /// How long until the request is given up, if the silence lasts; `None` if unknown.
        gives_up_in: Option<Duration>,
    },
    /// The data at a target was proven to be the source's data.
    Verified {
        /// The target.
        target: usize,
        /// The image, as the source describes it.
        image: &'a Image,
        /// What proves the data.
        by: &'a Proven,
        /// The replica, as the target describes it.
        stored: &'a Image,
        /// The digests of the bytes that passed through this process; `None` if the target imported
        /// the data itself.
        in_transit: Option<&'a Digests>,
    },
    /// Images were compared ([`Replication::plan`](crate::Replication::plan)) or verified.
    Compared {
        /// Number of images so far.
        images: u64,
    },
    /// The data of an image is read to verify it.
    Reading {
        /// The image, as this side describes it.
        image: &'a Image,
        /// The side that is read.
        side: Side,
        /// Number of bytes so far.
        read: u64,
        /// Whether the reading has ended.
        done: bool,
    },
    /// The controller of the run ([`Controller`](crate::Controller)) has changed its pace.
    Adjusted {
        /// The pace from now on.
        pace: Pace,
        /// Why it changed.
        reason: PaceReason,
        /// What limited the run in the last second.
        bottleneck: Bottleneck,
        /// Bytes per second that arrived from the source in the last second.
        rate: u64,
    },
    /// The outcome of an image at a target is final.
    Finished {
        /// The target.
        target: usize,
        /// The outcome.
        outcome: &'a Outcome,
        /// What the image took, all attempts together.
        spent: &'a Spent,
    },
}

/// The next attempt of something that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retry {
    /// The number of the next attempt; the first retry is attempt 2.
    pub attempt: u32,
    /// The number of attempts after which the tool gives up, if nothing gets better.
    pub of: u32,
    /// The pause before the attempt; `None` for a failed image that is tried again at the end of the
    /// run.
    pub pause: Option<Duration>,
    /// What failed, such as `503 Service Unavailable`.
    pub reason: String,
}

impl Retry {
    /// The attempt with this number, of `of`. Displays can be tested with it.
    pub fn new(attempt: u32, of: u32, pause: Option<Duration>, reason: impl Into<String>) -> Self {
        Self { attempt, of, pause, reason: reason.into() }
    }

    /// Whether a server refused the request because it serves too many.
    pub(crate) fn is_refusal(&self) -> bool {
        ["429", "503"].iter().any(|status| self.reason.starts_with(status))
    }

    /// The attempt that follows this number of earlier failures and the present one, of `retries`
    /// retries.
    pub(crate) fn after(
        failures: usize,
        retries: usize,
        pause: impl Into<Option<Duration>>,
        reason: impl Into<String>,
    ) -> Self {
        let count = |attempts: usize| u32::try_from(attempts).unwrap_or(u32::MAX);
        Self {
            attempt: count(failures.saturating_add(2)),
            of: count(retries.saturating_add(1)),
            pause: pause.into(),
            reason: reason.into(),
        }
    }
}

/// The part of an error that a display has room for.
pub(crate) fn reason(error: &CopyError) -> String {
    match error {
        CopyError::Source(error) | CopyError::Target(error) => reason_of_store(error),
        CopyError::Data { fault, .. } => fault.to_string(),
        other => other.to_string(),
    }
}

/// Like [`reason`], for the error of a store.
pub(crate) fn reason_of_store(error: &StoreError) -> String {
    match (error.kind, &error.source) {
        (StoreErrorKind::Transport(_), Some(cause)) => cause.to_string(),
        _ => error.reason.clone(),
    }
}

impl Events {
    /// Sends events to `receive`.
    pub fn to(receive: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        Self::default().and(receive)
    }

    /// Sends events to `receive`, too.
    #[must_use]
    pub fn and(mut self, receive: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        self.receivers.push(Arc::new(receive));
        self
    }

    /// The same receivers, with these limits for events about a stall.
    #[must_use]
    pub fn with_limits(self, limits: SilenceLimits) -> Self {
        Self { limits, ..self }
    }

    /// Whether there is a receiver.
    pub fn is_received(&self) -> bool {
        !self.receivers.is_empty()
    }

    /// Sends an event to the receivers.
    pub fn send(&self, event: &Event<'_>) {
        for receive in &self.receivers {
            receive(event);
        }
    }

    /// An observer for the transport of one side
    /// ([`Retrying::observed_by`](glance_core::transport::Retrying::observed_by)), which sends
    /// [`Event::Retrying`] for each request that is sent again.
    pub fn of_requests(&self, side: Side) -> RetryObserver {
        if !self.is_received() {
            return RetryObserver::default();
        }
        let events = self.clone();
        RetryObserver::new(move |notice| {
            let (attempt, of, pause) = (notice.attempt, notice.of, Some(notice.pause));
            let retry = Retry { attempt, of, pause, reason: notice.reason.clone() };
            events.retrying(notice.image.as_ref(), None, side, &retry);
        })
    }

    /// Reports the next attempt of something that failed.
    pub(crate) fn retrying(
        &self,
        image: Option<&ImageId>,
        target: Option<usize>,
        side: Side,
        retry: &Retry,
    ) {
        if let (true, Some(image), Some(pause)) = (self.is_received(), image, retry.pause) {
            self.pauses().insert(image.clone(), Instant::now() + pause);
        }
        self.send(&Event::Retrying { image, target, side, retry });
    }

    /// When the pause before the last retry for this image ends.
    fn pause_of(&self, image: &ImageId) -> Option<Instant> {
        self.pauses().get(image).copied()
    }

    /// Sends the last event of an image at a target.
    pub(crate) fn finished(&self, target: usize, outcome: &Outcome, spent: &Spent) {
        if !self.is_received() {
            return;
        }
        self.pauses().remove(&outcome.image.id);
        self.send(&Event::Finished { target, outcome, spent });
    }

    fn pauses(&self) -> MutexGuard<'_, HashMap<ImageId, Instant>> {
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The limits for events about a stall.
    pub(crate) fn limits(&self) -> SilenceLimits {
        self.limits
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let received = self.is_received();
        f.debug_struct("Events").field("received", &received).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
