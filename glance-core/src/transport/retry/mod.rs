//! Requests that are repeated when they fail for a reason that may pass.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{Method, Request, Response};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::optional::Optional;
use super::retry_after::retry_after;
use super::{Transport, TransportError, TransportErrorKind};
use crate::body::Body;
use crate::transport::backoff::Pauses;
use crate::transport::circuit_breaker::{Breakers, News};

/// A transport that repeats requests whose body can be had [again](Body::again): those that got no
/// answer, and those that the server could not serve now. It waits in between, as long as the
/// server says or longer and longer, and leaves a server alone that fails again and again.
///
/// Methods that are not idempotent (RFC 9110, 9.2.2), such as POST, are repeated only where the
/// server did nothing: it was not reached, or it said 429 or 503. Data that passes once is sent once,
/// and so is a request whose answer is not needed.
#[derive(Debug)]
pub struct Persistent {
    transport: Arc<dyn Transport>,
    persistence: Persistence,
    breakers: Breakers,
}

/// How often requests are repeated, and when.
#[derive(Debug, Clone)]
pub struct Persistence {
    /// After no answer came.
    pub unanswered: Repeats,
    /// After one of `statuses`.
    pub refused: Repeats,
    /// The statuses of answers that may be others later.
    pub statuses: Vec<u16>,
    /// The pauses, where none is said.
    pub pauses: Pauses,
}

/// How often, and after which pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeats {
    /// How often at most.
    pub times: u32,
    /// The pause, always the same; without it, as [`Pauses`] have it.
    pub pause: Option<Duration>,
}

impl Persistence {
    /// So many times, whatever went wrong.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.unanswered.times = times;
        self.refused.times = times;
        self
    }
}

impl Default for Persistence {
    fn default() -> Self {
        let repeats = Repeats { times: TIMES, pause: None };
        Self {
            unanswered: repeats,
            refused: repeats,
            statuses: STATUSES.to_vec(),
            pauses: Pauses::default(),
        }
    }
}

/// Said of a request among its extensions: sending it twice does no harm, whatever its method is.
#[derive(Debug, Clone, Copy)]
pub struct Harmless;

/// Said of an answer among its extensions: how often its request had been sent before.
#[derive(Debug, Clone, Copy)]
pub struct Repeated(pub u32);

impl Persistent {
    /// A transport over `transport` that repeats as `persistence` says.
    pub fn new(transport: Arc<dyn Transport>, persistence: Persistence) -> Self {
        Self { transport, persistence, breakers: Breakers::default() }
    }
}

#[async_trait]
impl Transport for Persistent {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let (head, mut body) = request.into_parts();
        let is_optional = head.extensions.get::<Optional>().is_some();
        let Some(mut spare) = body.again().filter(|_| !is_optional) else {
            return self.transport.send(Request::from_parts(head, body)).await;
        };
        let breaker = self.breakers.of(&head.uri);
        let is_idempotent =
            is_idempotent(&head.method) || head.extensions.get::<Harmless>().is_some();
        let begin = Instant::now();
        let mut repeated = 0;
        loop {
            let permit = breaker.admit().await?;
            let result = self.transport.send(Request::from_parts(head.clone(), body)).await;
            let attempt = Attempt { is_idempotent, repeated, met: breaker.has_answered() };
            let pause = self.persistence.pause(&attempt, &result);
            if let Some(news) = news(&result, pause.unwrap_or_default()) {
                permit.tell(news);
            }
            let pause = pause.filter(|pause| begin.elapsed() + *pause <= GIVE_UP);
            let (Some(pause), Some(next)) = (pause, spare.again()) else {
                return told(result, repeated);
            };
            repeated += 1;
            let (method, path, attempt) = (&head.method, head.uri.path(), repeated + 1);
            let seconds = pause.as_secs_f64();
            tracing::info!(
                "{method} {path}: {}; attempt {attempt} in {seconds:.1} s",
                Said(&result)
            );
            rest(result, pause).await;
            (body, spare) = (spare, next);
        }
    }
}

/// A request that was sent.
struct Attempt {
    is_idempotent: bool,
    /// How often it had been sent before.
    repeated: u32,
    /// Whether the server ever answered, this time or before.
    met: bool,
}

impl Persistence {
    /// How long to wait before the request is sent again, if it is.
    fn pause(
        &self,
        attempt: &Attempt,
        result: &Result<Response<Body>, TransportError>,
    ) -> Option<Duration> {
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
        Some(match (repeats.pause, said) {
            (pause, Some(said)) => {
                said.min(SAID_MOST).max(pause.unwrap_or_default()) + self.pauses.pause(0)
            }
            (Some(pause), None) => pause,
            (None, None) => self.pauses.pause(attempt.repeated as usize),
        })
    }
}

/// What the result says of the server; nothing when it says something of the request.
fn news(result: &Result<Response<Body>, TransportError>, pause: Duration) -> Option<News> {
    match result {
        Ok(answer) if matches!(answer.status().as_u16(), 502..=504) => {
            Some(News::Failed { what: answer.status().to_string(), answered: true, pause })
        }
        Ok(_) => Some(News::Answered),
        Err(error) if error.kind.is_retryable() => {
            Some(News::Failed { what: error.reason.clone(), answered: false, pause })
        }
        Err(_) => None,
    }
}

/// Waits; what an answer still has to say is read meanwhile, so that its connection can be used again.
async fn rest(result: Result<Response<Body>, TransportError>, pause: Duration) {
    let end = Instant::now() + pause;
    if let Ok(answer) = result {
        let _ = timeout_at(end, answer.into_body().collect(ANSWER_LIMIT)).await;
    }
    sleep_until(end).await;
}

/// The last result, which says how many came before it.
fn told(
    result: Result<Response<Body>, TransportError>,
    repeated: u32,
) -> Result<Response<Body>, TransportError> {
    if repeated == 0 {
        return result;
    }
    match result {
        Ok(mut answer) => {
            answer.extensions_mut().insert(Repeated(repeated));
            Ok(answer)
        }
        Err(mut error) => {
            error.reason = format!("{} (tried {} times)", error.reason, repeated + 1);
            Err(error)
        }
    }
}

/// What happened, for the log.
struct Said<'a>(&'a Result<Response<Body>, TransportError>);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Ok(answer) => answer.status().fmt(f),
            Err(error) => error.fmt(f),
        }
    }
}

fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::PUT | Method::DELETE)
}

/// Answers of servers that are overloaded, and of those that stand before a server that is away.
const STATUSES: [u16; 7] = [408, 425, 429, 500, 502, 503, 504];

/// As often as rclone does.
const TIMES: u32 = 10;

/// For a server that never answered: its address may be wrong, which the operator wants to know soon.
const TIMES_UNMET: u32 = 3;

/// What a server can have us wait at once.
const SAID_MOST: Duration = Duration::from_secs(300);

/// After this time a request is not sent again.
const GIVE_UP: Duration = Duration::from_secs(900);

/// Bytes of an answer that are read while waiting.
const ANSWER_LIMIT: usize = 64 * 1024;

#[cfg(test)]
mod tests;
