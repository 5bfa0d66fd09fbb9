//! Tracks one request and its response: the state of the request body, and the time of last
//! activity.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::Instant;

use super::IdleTimeouts;
use crate::body::Body;
use crate::error::BodyError;

/// State shared between the request body, which the client owns, and the code that waits for the
/// response.
#[derive(Debug, Clone)]
pub(super) struct Exchange(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    phase: Phase,
    /// The time of the last activity.
    last: Instant,
    /// Whether the body is image data, whose last byte may take the server long to store.
    is_data: bool,
    failure: Option<BodyError>,
    waker: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Waiting for the server to accept bytes.
    Sending,
    /// Waiting for the source of the body, which has timeouts of its own.
    Source,
    /// The whole body was handed to the client.
    Sent,
    /// The response arrived before the whole body was sent; the rest is held back.
    Answered,
    /// The early response was read or dropped; the connection cannot be reused.
    Over,
}

impl Exchange {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            phase: Phase::Sending,
            last: Instant::now(),
            is_data: false,
            failure: None,
            waker: None,
        })))
    }

    /// Wraps the request body to report its progress here. The wrapped body yields exactly the
    /// announced size, or an error.
    pub(super) fn body(&self, body: Body) -> Body {
        let size = body.size();
        // Bodies that can be replayed are documents; image data can be read only once.
        self.state().is_data = body.again().is_none();
        Body::from_stream(Reporting { body, size, passed: 0, exchange: self.clone() }, size)
    }

    /// Records that the whole body was sent, or that there is none.
    pub(super) fn sent(&self) {
        self.enter(Phase::Sent);
    }

    /// Takes the error with which the request body failed, if it did.
    pub(super) fn failure(&self) -> Option<BodyError> {
        self.state().failure.take()
    }

    /// The instant at which the exchange times out unless there is activity, and the timeout.
    pub(super) fn due(&self, timeouts: IdleTimeouts) -> (Instant, Duration) {
        let state = self.state();
        let limit = match state.phase {
            Phase::Sent if state.is_data => timeouts.idle.max(timeouts.commit),
            _ => timeouts.idle,
        };
        let since = if state.phase == Phase::Source { Instant::now() } else { state.last };
        (since + limit, limit)
    }

    /// Records the arrival of the response head.
    pub(super) fn answered(&self) -> Over {
        let mut state = self.state();
        if state.phase != Phase::Sent {
            state.phase = Phase::Answered;
        }
        Over(self.clone())
    }

    fn enter(&self, phase: Phase) {
        let mut state = self.state();
        if !matches!(state.phase, Phase::Answered | Phase::Over) {
            state.phase = phase;
            state.last = Instant::now();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When dropped, after the response was read, ends the request body if it is still held back.
pub(super) struct Over(Exchange);

impl Drop for Over {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if state.phase == Phase::Answered {
            state.phase = Phase::Over;
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        }
    }
}

struct Reporting {
    body: Body,
    size: Option<u64>,
    passed: u64,
    exchange: Exchange,
}

impl Stream for Reporting {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        {
            let mut state = self.exchange.state();
            match state.phase {
                Phase::Answered => {
                    state.waker = Some(context.waker().clone());
                    return Poll::Pending;
                }
                // hyper, for one, aborts a request body only when the body yields an error.
                Phase::Over => return Poll::Ready(Some(Err("the server responded early".into()))),
                _ => {}
            }
            // Lets an early response wake this task while the source is slow.
            state.waker = Some(context.waker().clone());
        }
        self.exchange.enter(Phase::Source);
        let item = ready!(self.body.poll_next_unpin(context));
        Poll::Ready(self.passed(item))
    }
}

impl Reporting {
    fn passed(
        &mut self,
        item: Option<Result<Bytes, BodyError>>,
    ) -> Option<Result<Bytes, BodyError>> {
        let failure = match item {
            Some(Ok(chunk)) => {
                self.passed += chunk.len() as u64;
                if self.size.is_none_or(|size| self.passed <= size) {
                    let whole = self.size == Some(self.passed);
                    self.exchange.enter(if whole { Phase::Sent } else { Phase::Sending });
                    return Some(Ok(chunk));
                }
                "the data is longer than announced".into()
            }
            Some(Err(error)) => error,
            None if self.size.is_none_or(|size| self.passed == size) => {
                self.exchange.enter(Phase::Sent);
                return None;
            }
            None => format!("the data ended after {} bytes", self.passed).into(),
        };
        self.exchange.state().failure = Some(failure);
        Some(Err("the request body failed".into()))
    }
}
