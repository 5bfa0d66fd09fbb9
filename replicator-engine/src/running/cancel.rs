//! Ending a run before its end.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{self, Either};
use futures_util::stream::StreamExt;
use tokio::sync::watch;

use glance_core::body::Body;

/// A handle by which runs are told to end before their end. Clones are the same handle.
#[derive(Debug, Clone)]
pub struct Stop {
    told: Arc<watch::Sender<Option<(Level, Why)>>>,
}

/// What a run that is to end leaves undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// No image is begun any more; those under way are brought to their end.
    NoNew,
    /// Uploads under way are broken off, too; a Glance puts their records back to `queued`. Data
    /// that is stored already is proven and published.
    BreakOff,
}

/// Why a run is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// SIGINT.
    Interrupted,
    /// SIGTERM.
    Terminated,
    /// Its time is up.
    OutOfTime,
    /// What may be copied is used up.
    OutOfBytes,
    /// What is about to happen can't be written down.
    Unwritten,
}

impl Why {
    /// Whether a run that is told to end for this reason is unfinished in any case. For the other
    /// reasons, it is unfinished only where it left images out.
    pub fn ends_run(self) -> bool {
        matches!(self, Self::Interrupted | Self::Terminated | Self::OutOfTime)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupted => "stopped by SIGINT",
            Self::Terminated => "stopped by SIGTERM",
            Self::OutOfTime => "the time of the run was up",
            Self::Unwritten => "the journal can't be written",
            Self::OutOfBytes => "the next image would have exceeded what the run may copy",
        })
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self { told: Arc::new(watch::Sender::new(None)) }
    }
}

impl Stop {
    /// Has the run end. What was told before counts, unless this leaves more undone.
    pub fn stop(&self, level: Level, why: Why) {
        self.told.send_if_modified(|told| {
            let is_more = told.is_none_or(|(before, _)| before < level);
            if is_more {
                *told = Some((level, why));
            }
            is_more
        });
    }

    /// What is to be left undone, if anything is.
    pub fn level(&self) -> Option<Level> {
        self.told.borrow().map(|(level, _)| level)
    }

    /// Why the run is to end, if it is.
    pub fn why(&self) -> Option<Why> {
        self.told.borrow().map(|(_, why)| why)
    }

    /// Waits until the run is told to leave this much undone.
    pub async fn reached(&self, level: Level) {
        let is_reached = |told: &Option<(Level, Why)>| told.is_some_and(|(now, _)| now >= level);
        let mut told = self.told.subscribe();
        // The sender lives as long as this handle.
        let _ = told.wait_for(is_reached).await;
    }

    /// What comes of `work`, unless it is to be broken off before.
    pub(crate) async fn unless_broken_off<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        match future::select(pin!(self.reached(Level::BreakOff)), pin!(work)).await {
            Either::Left(_) => None,
            Either::Right((done, _)) => Some(done),
        }
    }

    /// What comes of sending `data`, unless it is to be broken off while there is more of it: when
    /// all of it was handed out, the answer is waited for.
    pub(crate) async fn unless_broken_off_within<S>(
        &self,
        data: Body,
        send: impl FnOnce(Body) -> S,
    ) -> Option<S::Output>
    where
        S: Future,
    {
        let (data, passed) = watched(data);
        let broken_off = async {
            self.reached(Level::BreakOff).await;
            if passed.load(Ordering::Acquire) {
                future::pending::<()>().await;
            }
        };
        match future::select(pin!(broken_off), pin!(send(data))).await {
            Either::Left(_) => None,
            Either::Right((done, _)) => Some(done),
        }
    }
}

/// The same body, and whether all of it was handed out.
fn watched(data: Body) -> (Body, Arc<AtomicBool>) {
    let passed = Arc::new(AtomicBool::new(false));
    let (size, digests) = (data.size(), data.digests().cloned());
    let (all, mut so_far) = (Arc::clone(&passed), 0);
    let mut chunks = data;
    let chunks = futures_util::stream::poll_fn(move |context| {
        let next = chunks.poll_next_unpin(context);
        if let std::task::Poll::Ready(chunk) = &next {
            if let Some(Ok(chunk)) = chunk {
                so_far += chunk.len() as u64;
            }
            // Who was promised a size need not ask for the end.
            if chunk.is_none() || size.is_some_and(|size| so_far >= size) {
                all.store(true, Ordering::Release);
            }
        }
        next
    });
    (Body::from_stream(chunks, size).carrying(digests), passed)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn what_leaves_more_undone_counts_and_of_equals_the_first() {
        let stop = Stop::default();
        assert_eq!((stop.level(), stop.why()), (None, None));
        stop.clone().stop(Level::NoNew, Why::OutOfBytes);
        stop.reached(Level::NoNew).await;
        stop.stop(Level::NoNew, Why::OutOfTime);
        assert_eq!((stop.level(), stop.why()), (Some(Level::NoNew), Some(Why::OutOfBytes)));
        assert_eq!(stop.unless_broken_off(async { 7 }).await, Some(7));
        stop.stop(Level::BreakOff, Why::Interrupted);
        stop.stop(Level::NoNew, Why::Terminated);
        assert_eq!((stop.level(), stop.why()), (Some(Level::BreakOff), Some(Why::Interrupted)));
        stop.reached(Level::NoNew).await;
        assert_eq!(stop.unless_broken_off(future::pending::<()>()).await, None);
    }

    fn body(chunks: &[&'static str], size: Option<u64>) -> Body {
        let chunks: Vec<_> =
            chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))).collect();
        Body::from_stream(stream::iter(chunks), size)
    }

    /// Takes so many chunks, tells the run to break off, and answers later.
    async fn sent(data: Body, taken: usize) -> Option<&'static str> {
        let stop = Stop::default();
        let told = stop.clone();
        let send = async |mut data: Body| {
            for _ in 0..taken {
                data.next().await;
            }
            told.stop(Level::BreakOff, Why::Interrupted);
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            "stored"
        };
        stop.unless_broken_off_within(data, send).await
    }

    #[tokio::test]
    async fn an_upload_is_broken_off_as_long_as_data_is_to_come() {
        assert_eq!(sent(body(&["ab", "c"], Some(3)), 1).await, None);
        assert_eq!(sent(body(&["ab", "c"], Some(3)), 2).await, Some("stored"));
        // Without a size, only the end tells.
        assert_eq!(sent(body(&["ab", "c"], None), 2).await, None);
        assert_eq!(sent(body(&["ab", "c"], None), 3).await, Some("stored"));
    }
}
