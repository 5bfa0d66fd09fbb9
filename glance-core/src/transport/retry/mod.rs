//! Retries of failed requests.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::request::Parts;
use http::{Method, Request, Response};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::optional::Optional;
use super::retry_after::retry_after;
use super::{Transport, TransportError, TransportErrorKind};
use crate::body::Body;
use crate::transport::backoff::Backoff;
use crate::transport::circuit_breaker::{Breakers, Observation};

mod notice;

pub use notice::{RequestedFor, RetryNotice, RetryObserver};

/// A transport that retries requests with a [repeatable](Body::again) body when no response arrives
/// or the server cannot serve the request now. It waits between attempts, by the server's
/// `Retry-After` or with exponential backoff. A circuit breaker for each server holds requests back
/// while the server fails repeatedly.
///
/// Methods that are not idempotent (RFC 9110, 9.2.2), such as POST, are retried only if the server
/// did nothing: no connection was made, or the status was 429 or 503. A request whose body is not
/// repeatable is sent only once, and so is an [`Optional`] one.
#[derive(Debug)]
pub struct Retrying {
    transport: Arc<dyn Transport>,
    persistence: RetryPolicy,
    breakers: Breakers,
    observer: RetryObserver,
}

/// The retry policy: the number of retries and the delays.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// Retries when no response arrived.
    pub unanswered: RetryLimit,
    /// Retries after a response with one of `statuses`.
    pub refused: RetryLimit,
    /// The statuses that are retried.
    pub statuses: Vec<u16>,
    /// The backoff, unless a fixed delay or the server says otherwise.
    pub pauses: Backoff,
}

/// The number of retries and their delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryLimit {
    /// The maximum number of retries.
    pub times: u32,
    /// A fixed delay; `None` for the backoff of [`Backoff`].
    pub pause: Option<Duration>,
}

impl RetryPolicy {
    /// Sets the number of retries for all kinds of failures.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.unanswered.times = times;
        self.refused.times = times;
        self
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        let repeats = RetryLimit { times: TIMES, pause: None };
        Self {
            unanswered: repeats,
            refused: repeats,
            statuses: STATUSES.to_vec(),
            pauses: Backoff::default(),
        }
    }
}

/// A request extension: sending the request twice is harmless, regardless of its method.
#[derive(Debug, Clone, Copy)]
pub struct Idempotent;

/// A response extension: the number of earlier attempts of the request.
#[derive(Debug, Clone, Copy)]
pub struct RetryCount(pub u32);

impl Retrying {
    /// Wraps `transport` with the retry policy `persistence`.
    pub fn new(transport: Arc<dyn Transport>, persistence: RetryPolicy) -> Self {
        let (breakers, observer) = (Breakers::default(), RetryObserver::default());
        Self { transport, persistence, breakers, observer }
    }

    /// The same transport, which tells `observer` about each retry.
    #[must_use]
    pub fn observed_by(self, observer: RetryObserver) -> Self {
        Self { observer, ..self }
    }
}

#[async_trait]
impl Transport for Retrying {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let (head, mut body) = request.into_parts();
        let is_optional = head.extensions.get::<Optional>().is_some();
        let Some(mut spare) = body.again().filter(|_| !is_optional) else {
            return self.transport.send(Request::from_parts(head, body)).await;
        };
        let breaker = self.breakers.of(&head.uri);
        let is_idempotent =
            is_idempotent(&head.method) || head.extensions.get::<Idempotent>().is_some();
        let begin = Instant::now();
        let mut repeated = 0;
        loop {
            let permit = breaker.admit().await?;
            let result = self.transport.send(Request::from_parts(head.clone(), body)).await;
            let attempt = Attempt { is_idempotent, repeated, met: breaker.has_answered() };
            let (limit, pause) = match self.persistence.pause(&attempt, &result) {
                Some((limit, pause)) => (limit, Some(pause)),
                None => (0, None),
            };
            if let Some(news) = news(&result, pause.unwrap_or_default()) {
                permit.record(news);
            }
            let pause = pause.filter(|pause| begin.elapsed() + *pause <= GIVE_UP);
            let (Some(pause), Some(next)) = (pause, spare.again()) else {
                return told(result, repeated);
            };
            repeated += 1;
            self.announce(&head, &result, repeated, limit, pause);
            rest(result, pause).await;
            (body, spare) = (spare, next);
        }
    }
}

impl Retrying {
    /// Tells the log and the observer about the retry that follows `result`.
    fn announce(
        &self,
        head: &Parts,
        result: &Result<Response<Body>, TransportError>,
        repeated: u32,
        limit: u32,
        pause: Duration,
    ) {
        let (method, path, attempt) = (&head.method, head.uri.path(), repeated + 1);
        let seconds = pause.as_secs_f64();
        let reason = match result {
            Ok(answer) => answer.status().to_string(),
            Err(error) => error.to_string(),
        };
        tracing::info!("{method} {path}: {reason}; attempt {attempt} in {seconds:.1} s");
        let image = head.extensions.get().map(|RequestedFor(image)| image.clone());
        self.observer.notify(&RetryNotice { image, attempt, of: limit + 1, pause, reason });
    }
}

/// One attempt of a request.
struct Attempt {
    is_idempotent: bool,
    /// The number of earlier attempts.
    repeated: u32,
    /// Whether the server ever answered, to this request or to another.
    met: bool,
}

impl RetryPolicy {
    /// The maximum number of retries and the delay before the next attempt; `None` if the request is
    /// not retried.
    fn pause(
        &self,
        attempt: &Attempt,
        result: &Result<Response<Body>, TransportError>,
    ) -> Option<(u32, Duration)> {
        let (repeats, said) = match result {
            Ok(answer) => {
                let status = answer.status().as_u16();
                let nothing_done = matches!(status, 429 | 503);
                let again = attempt.is_idempotent || nothing_done;
                (again && self.statuses.contains(&status))
                    .then(|| (self.refused, retry_after(answer.headers())))?
            }
            Err(error) => {
                let nothing_done = error.kind == TransportErrorKind::Connect;
                let again = attempt.is_idempotent || nothing_done;
                let mut repeats = self.unanswered;
                if !attempt.met {
                    repeats.times = repeats.times.min(TIMES_UNMET);
                }
                (again && error.kind.is_retryable()).then_some((repeats, None))?
            }
        };
        if attempt.repeated >= repeats.times {
            return None;
        }
        let pause = match (repeats.pause, said) {
            (pause, Some(said)) => {
                said.min(SAID_MOST).max(pause.unwrap_or_default()) + self.pauses.pause(0)
            }
            (Some(pause), None) => pause,
            (None, None) => self.pauses.pause(attempt.repeated as usize),
        };
        Some((repeats.times, pause))
    }
}

/// The outcome for the circuit breaker; `None` if the result concerns only the request.
fn news(result: &Result<Response<Body>, TransportError>, pause: Duration) -> Option<Observation> {
    match result {
        Ok(answer) if matches!(answer.status().as_u16(), 502..=504) => {
            Some(Observation::Failed { what: answer.status().to_string(), answered: true, pause })
        }
        Ok(_) => Some(Observation::Answered),
        Err(error) if error.kind.is_retryable() => {
            Some(Observation::Failed { what: error.reason.clone(), answered: false, pause })
        }
        Err(_) => None,
    }
}

/// Waits for `pause`. Meanwhile it reads the rest of a response, so that the connection can be
/// reused.
async fn rest(result: Result<Response<Body>, TransportError>, pause: Duration) {
    let end = Instant::now() + pause;
    if let Ok(answer) = result {
        let _ = timeout_at(end, answer.into_body().collect(ANSWER_LIMIT)).await;
    }
    sleep_until(end).await;
}

/// The last result, with the number of earlier attempts.
fn told(
    result: Result<Response<Body>, TransportError>,
    repeated: u32,
) -> Result<Response<Body>, TransportError> {
    if repeated == 0 {
        return result;
    }
    match result {
        Ok(mut answer) => {
            answer.extensions_mut().insert(RetryCount(repeated));
            Ok(answer)
        }
        Err(mut error) => {
            error.reason = format!("{} (tried {} times)", error.reason, repeated + 1);
            Err(error)
        }
    }
}

fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::PUT | Method::DELETE)
}

/// Statuses of overloaded servers, and of proxies in front of an unreachable server.
const STATUSES: [u16; 7] = [408, 425, 429, 500, 502, 503, 504];

/// The same number of retries as in rclone.
const TIMES: u32 = 10;

/// For a server that never answered: its address may be wrong, and the operator should learn of
/// that soon.
const TIMES_UNMET: u32 = 3;

/// The maximum delay that a server can request.
const SAID_MOST: Duration = Duration::from_secs(300);

/// After this time a request is not retried.
const GIVE_UP: Duration = Duration::from_secs(900);

/// The maximum number of bytes of a response that are read while waiting.
const ANSWER_LIMIT: usize = 64 * 1024;

#[cfg(test)]
mod tests;
