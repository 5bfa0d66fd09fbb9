//! Stops a run before its end.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{self, Either};
use futures_util::stream::StreamExt;
use tokio::sync::watch;

use glance_core::body::Body;

/// A handle to stop runs before their end. All clones are the same handle.
#[derive(Debug, Clone)]
pub struct CancelToken {
    request: Arc<watch::Sender<Request>>,
}

/// How and why the run is stopped; `None` if it is not.
type Request = Option<(CancelMode, CancelReason)>;

/// How much a stopped run leaves undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CancelMode {
    /// No more images are started; images in progress are completed.
    Drain,
    /// Uploads in progress are aborted, too; Glance sets their records back to `queued`. Data that
    /// is already stored is proven and published.
    Abort,
}

/// Why a run is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CancelReason {
    /// The program that makes the run asked for it.
    Requested,
    /// SIGINT.
    Interrupted,
    /// SIGTERM.
    Terminated,
    /// SIGHUP: the terminal or the connection to it was closed.
    HungUp,
    /// The time limit of the run was reached.
    OutOfTime,
    /// The byte limit of the run was reached.
    OutOfBytes,
    /// The journal can't be written.
    Unwritten,
}

impl CancelReason {
    /// Whether a run stopped for this reason counts as unfinished in any case. For the other
    /// reasons, it is unfinished only if images were left out.
    pub fn ends_run(self) -> bool {
        match self {
            Self::Requested
            | Self::Interrupted
            | Self::Terminated
            | Self::HungUp
            | Self::OutOfTime => true,
            Self::Unwritten | Self::OutOfBytes => false,
        }
    }
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requested => "stopped on request",
            Self::Interrupted => "stopped by SIGINT",
            Self::Terminated => "stopped by SIGTERM",
            Self::HungUp => "stopped by SIGHUP",
            Self::OutOfTime => "the time limit of the run was reached",
            Self::Unwritten => "the journal cannot be written",
            Self::OutOfBytes => "the next image would exceed the byte limit of the run",
        })
    }
}

impl Default for CancelToken {
    fn default() -> Self {
        Self { request: Arc::new(watch::Sender::new(None)) }
    }
}

impl CancelToken {
    /// Stops the run. A later call has an effect only if its level is higher.
    pub fn stop(&self, level: CancelMode, why: CancelReason) {
        self.request.send_if_modified(|request| {
            let is_more = request.is_none_or(|(before, _)| before < level);
            if is_more {
                *request = Some((level, why));
            }
            is_more
        });
    }

    /// The level at which the run is stopped; `None` if it is not.
    pub fn level(&self) -> Option<CancelMode> {
        self.request.borrow().map(|(level, _)| level)
    }

    /// Why the run is stopped; `None` if it is not.
    pub fn why(&self) -> Option<CancelReason> {
        self.request.borrow().map(|(_, why)| why)
    }

    /// Waits until the run is stopped at this level or a higher one.
    pub async fn reached(&self, level: CancelMode) {
        let is_reached = |request: &Request| request.is_some_and(|(now, _)| now >= level);
        let mut requests = self.request.subscribe();
        // The sender lives at least as long as this handle, so waiting can't fail.
        let _ = requests.wait_for(is_reached).await;
    }

    /// The output of `work`; `None` if the run is told to break off first.
    pub(crate) async fn unless_broken_off<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        match future::select(pin!(self.reached(CancelMode::Abort)), pin!(work)).await {
            Either::Left(_) => None,
            Either::Right((done, _)) => Some(done),
        }
    }

    /// The output of sending `data`; `None` if the run is told to break off while data is still to
    /// be sent. Once all data was handed out, the response is awaited.
    pub(crate) async fn unless_broken_off_within<S>(
        &self,
        data: Body,
        send: impl FnOnce(Body) -> S,
    ) -> Option<S::Output>
    where
        S: Future,
    {
        let (data, all_sent) = watched(data);
        let broken_off = async {
            self.reached(CancelMode::Abort).await;
            if all_sent.load(Ordering::Acquire) {
                future::pending::<()>().await;
            }
        };
        match future::select(pin!(broken_off), pin!(send(data))).await {
            Either::Left(_) => None,
            Either::Right((done, _)) => Some(done),
        }
    }
}

/// The same body, and a flag that is set when all data was handed out.
fn watched(data: Body) -> (Body, Arc<AtomicBool>) {
    let all_sent = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&all_sent);
    let size = data.size();
    let digests = data.digests().cloned();
    let mut sent = 0;
    let mut chunks = data;
    let chunks = futures_util::stream::poll_fn(move |context| {
        let next = chunks.poll_next_unpin(context);
        if let std::task::Poll::Ready(chunk) = &next {
            if let Some(Ok(chunk)) = chunk {
                sent += chunk.len() as u64;
            }
            // A consumer that knows the size may stop polling before the end.
            if chunk.is_none() || size.is_some_and(|size| sent >= size) {
                flag.store(true, Ordering::Release);
            }
        }
        next
    });
    (Body::from_stream(chunks, size).carrying(digests), all_sent)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::stream;
    use glance_core::digest::Awaited;

    use super::*;

    #[tokio::test]
    async fn the_stronger_mode_counts_and_of_equal_ones_the_first() {
        let stop = CancelToken::default();
        assert_eq!((stop.level(), stop.why()), (None, None));
        stop.clone().stop(CancelMode::Drain, CancelReason::OutOfBytes);
        stop.reached(CancelMode::Drain).await;
        stop.stop(CancelMode::Drain, CancelReason::OutOfTime);
        assert_eq!(
            (stop.level(), stop.why()),
            (Some(CancelMode::Drain), Some(CancelReason::OutOfBytes))
        );
        assert_eq!(stop.unless_broken_off(async { 7 }).await, Some(7));
        stop.stop(CancelMode::Abort, CancelReason::Interrupted);
        stop.stop(CancelMode::Drain, CancelReason::Terminated);
        assert_eq!(
            (stop.level(), stop.why()),
            (Some(CancelMode::Abort), Some(CancelReason::Interrupted))
        );
        stop.reached(CancelMode::Drain).await;
        assert_eq!(stop.unless_broken_off(future::pending::<()>()).await, None);
    }

    fn body(chunks: &[&'static str], size: Option<u64>) -> Body {
        let chunks: Vec<_> =
            chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))).collect();
        Body::from_stream(stream::iter(chunks), size)
    }

    /// Takes `taken` chunks, tells the run to break off, and answers later.
    async fn sent(data: Body, taken: usize) -> Option<&'static str> {
        let stop = CancelToken::default();
        let handle = stop.clone();
        let data = data.carrying(Some(Awaited::of([])));
        let send = async |mut data: Body| {
            assert!(data.digests().is_some());
            for _ in 0..taken {
                data.next().await;
            }
            handle.stop(CancelMode::Abort, CancelReason::Interrupted);
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            "stored"
        };
        stop.unless_broken_off_within(data, send).await
    }

    #[tokio::test]
    async fn an_upload_is_aborted_only_while_data_remains() {
        assert_eq!(sent(body(&["ab", "c"], Some(3)), 1).await, None);
        assert_eq!(sent(body(&["ab", "c"], Some(3)), 2).await, Some("stored"));
        // Without a size, only the end of the body counts.
        assert_eq!(sent(body(&["ab", "c"], None), 2).await, None);
        assert_eq!(sent(body(&["ab", "c"], None), 3).await, Some("stored"));
    }
}
