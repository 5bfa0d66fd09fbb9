//! One request on its way: what became of its body, and how long it has been silent.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use glance_core::body::Body;
use glance_core::error::BodyError;
use tokio::time::Instant;

use crate::client::Options;

/// The state that the request's body, which hyper owns, shares with the one who waits for the
/// answer.
#[derive(Debug, Clone)]
pub(crate) struct Exchange(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    phase: Phase,
    /// When something last happened.
    last: Instant,
    /// Whether the body is data, of which the last byte may take long to be stored.
    is_data: bool,
    failure: Option<BodyError>,
    waker: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It is the server's turn to take bytes.
    Sending,
    /// It is the body's turn to yield bytes, which has limits of its own.
    Source,
    /// The whole body was handed over.
    Sent,
    /// The answer came before the whole body went; the rest is held back.
    Answered,
    /// The early answer was read, or dropped: the connection is of no more use.
    Over,
}

impl Exchange {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            phase: Phase::Sending,
            last: Instant::now(),
            is_data: false,
            failure: None,
            waker: None,
        })))
    }

    /// The body, reporting here. What it yields is what its size promises, or an error.
    pub(crate) fn body(&self, body: Body) -> Body {
        let size = body.size();
        // Whatever can be had again is no data but says something of it.
        self.state().is_data = body.again().is_none();
        Body::from_stream(Reporting { body, size, passed: 0, exchange: self.clone() }, size)
    }

    /// There is no body, or it has gone.
    pub(crate) fn sent(&self) {
        self.enter(Phase::Sent);
    }

    /// The failure of the request's own body.
    pub(crate) fn failure(&self) -> Option<BodyError> {
        self.state().failure.take()
    }

    /// When the silence has been too long, if nothing happens until then; and for how long.
    pub(crate) fn due(&self, options: &Options) -> (Instant, Duration) {
        let idle = options.idle_timeout;
        let state = self.state();
        let limit = match state.phase {
            Phase::Sent if state.is_data => idle.max(options.commit_timeout),
            _ => idle,
        };
        let since = if state.phase == Phase::Source { Instant::now() } else { state.last };
        (since + limit, limit)
    }

    /// The head of the answer came.
    pub(crate) fn answered(&self) -> Over {
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

/// Ends the sending when the answer has been read.
pub(crate) struct Over(Exchange);

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
                // An error is the only way to make hyper stop without a proper end.
                Phase::Over => return Poll::Ready(Some(Err("the server answered early".into()))),
                _ => {}
            }
            // Only to be woken by an early answer while the source is slow.
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
                "there is more data than was announced".into()
            }
            Some(Err(error)) => error,
            None if self.size.is_none_or(|size| self.passed == size) => {
                self.exchange.enter(Phase::Sent);
                return None;
            }
            None => format!("the data ended after {} bytes", self.passed).into(),
        };
        self.exchange.state().failure = Some(failure);
        Some(Err("the request's own body failed".into()))
    }
}
