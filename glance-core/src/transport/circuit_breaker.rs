//! A circuit breaker for each server: requests to a server that fails repeatedly are held back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Uri;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::{TransportError, TransportErrorKind};

/// The circuit breakers of all servers contacted so far, by scheme, host and port.
#[derive(Debug, Default)]
pub(super) struct Breakers(Mutex<HashMap<String, Arc<Breaker>>>);

impl Breakers {
    pub(super) fn of(&self, uri: &Uri) -> Arc<Breaker> {
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
        let server = format!("{}://{host}{port}", uri.scheme_str().unwrap_or_default());
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Breaker::of(server.clone()));
        Arc::clone(known.entry(server.clone()).or_insert_with(new))
    }
}

/// The circuit breaker of one server.
///
/// After [`FAILURES`] consecutive failures the breaker opens: requests wait, and one at a time
/// probes whether the server is back. When the breaker has been open for [`PATIENCE`], the other
/// requests fail instead of waiting.
#[derive(Debug)]
pub(super) struct Breaker {
    server: String,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Whether the server ever answered.
    answered: bool,
    /// Consecutive failures.
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    since: Instant,
    /// The earliest time for the next probe.
    next: Instant,
    /// Whether a probe is in progress.
    tried: bool,
    /// The error of the last failure.
    last: String,
}

/// The outcome of a request.
#[derive(Debug)]
pub(super) enum Observation {
    /// The server answered.
    Answered,
    /// The server, or a proxy in front of it, cannot serve requests now; `what` describes the
    /// error.
    Failed {
        what: String,
        /// Whether the failure was an HTTP response.
        answered: bool,
        /// The minimum delay before the next request.
        pause: Duration,
    },
}

enum Admission {
    Granted { tries: bool },
    Later(Instant),
    Refused(TransportError),
}

impl Breaker {
    fn of(server: String) -> Self {
        Self { server, state: Mutex::default(), changed: Notify::new() }
    }

    /// Waits until a request may be sent.
    ///
    /// # Errors
    /// When the breaker has been open for too long.
    pub(super) async fn admit(&self) -> Result<Permit<'_>, TransportError> {
        loop {
            let changed = self.changed.notified();
            let admission = self.state().admission(&self.server, Instant::now());
            match admission {
                Admission::Granted { tries } => return Ok(Permit { breaker: self, tries }),
                Admission::Refused(error) => return Err(error),
                Admission::Later(time) => drop(timeout_at(time, changed).await),
            }
        }
    }

    /// Whether the server ever answered.
    pub(super) fn has_answered(&self) -> bool {
        self.state().answered
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn admission(&mut self, server: &str, now: Instant) -> Admission {
        let Some(open) = &mut self.open else { return Admission::Granted { tries: false } };
        if !open.tried && now >= open.next {
            open.tried = true;
            return Admission::Granted { tries: true };
        }
        let end = open.since + PATIENCE;
        match (now >= end, open.tried) {
            (true, _) => Admission::Refused(open.refusal(server, self.failures)),
            (false, true) => Admission::Later(end),
            (false, false) => Admission::Later(end.min(open.next)),
        }
    }

    fn hear(&mut self, server: &str, news: Observation, now: Instant) {
        match news {
            Observation::Answered => {
                self.answered = true;
                self.failures = 0;
                if self.open.take().is_some() {
                    tracing::warn!("{server} responds again");
                }
            }
            Observation::Failed { what, answered, pause } => {
                self.answered |= answered;
                self.failures = self.failures.saturating_add(1);
                if self.failures < FAILURES {
                    return;
                }
                let next = now + pause.max(TRY_EACH);
                if let Some(open) = &mut self.open {
                    (open.next, open.last) = (next, what);
                    return;
                }
                let count = self.failures;
                tracing::warn!(
                    "{server} failed {count} times in a row; requests wait up to 5 minutes for it: {what}"
                );
                self.open = Some(Open { since: now, next, tried: false, last: what });
            }
        }
    }
}

impl Open {
    fn refusal(&self, server: &str, failures: u32) -> TransportError {
        let reason = format!(
            "not tried, because {failures} requests in a row failed; the last error: {}",
            self.last
        );
        TransportError::new(TransportErrorKind::Connect, server, reason)
            .hint("run again when the server is up")
    }
}

/// The permission to send one request.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    breaker: &'a Breaker,
    /// Whether this request is the probe that other requests wait for.
    tries: bool,
}

impl Permit<'_> {
    /// Reports the outcome of the request. If the permit is dropped without a report, the state
    /// stays unchanged, and another request may probe.
    pub(super) fn record(self, news: Observation) {
        self.breaker.state().hear(&self.breaker.server, news, Instant::now());
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.tries {
            if let Some(open) = &mut self.breaker.state().open {
                open.tried = false;
            }
        }
        self.breaker.changed.notify_waiters();
    }
}

/// More failures than one request with its retries causes during a short outage.
const FAILURES: u32 = 10;

/// The minimum interval between probes of a failing server.
const TRY_EACH: Duration = Duration::from_secs(5);

/// Long enough for the restart of a service.
const PATIENCE: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> Observation {
        Observation::Failed { what: "503".into(), answered: true, pause: Duration::from_secs(1) }
    }

    fn breaker() -> Arc<Breaker> {
        Breakers::default().of(&"https://glance.test:9292/v2/images".parse().unwrap())
    }

    async fn opened() -> Arc<Breaker> {
        let breaker = breaker();
        for _ in 0..FAILURES {
            breaker.admit().await.unwrap().record(failed());
        }
        breaker
    }

    /// Whether a request has to wait.
    async fn waits(breaker: &Breaker) -> bool {
        tokio::time::timeout(Duration::ZERO, breaker.admit()).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_and_closes_at_an_answer() {
        let breaker = breaker();
        for _ in 0..3 {
            for _ in 1..FAILURES {
                breaker.admit().await.unwrap().record(failed());
            }
            breaker.admit().await.unwrap().record(Observation::Answered);
        }
        let breaker = opened().await;
        assert!(waits(&breaker).await);
        let begin = Instant::now();
        let permit = breaker.admit().await.unwrap();
        assert!(begin.elapsed() >= TRY_EACH && begin.elapsed() < TRY_EACH * 2);
        // One request probes; the others wait for its outcome.
        assert!(waits(&breaker).await);
        permit.record(Observation::Answered);
        let permits = [breaker.admit().await, breaker.admit().await];
        assert!(permits.iter().all(Result::is_ok));
        assert_eq!(begin.elapsed(), TRY_EACH);
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_go_on_when_the_one_who_tries_succeeds() {
        let breaker = opened().await;
        let permit = breaker.admit().await.unwrap();
        let waiting = tokio::spawn({
            let breaker = Arc::clone(&breaker);
            async move { breaker.admit().await.map(|permit| permit.tries) }
        });
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert!(!waiting.is_finished());
        permit.record(Observation::Answered);
        let told = Instant::now();
        assert!(!waiting.await.unwrap().unwrap());
        assert_eq!(told.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_dropped_lets_another_try() {
        let breaker = opened().await;
        drop(breaker.admit().await.unwrap());
        assert!(breaker.admit().await.unwrap().tries);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_asks_for_time_gets_it() {
        let breaker = opened().await;
        let pause = Duration::from_secs(60);
        let failed = Observation::Failed { what: "503".into(), answered: true, pause };
        breaker.admit().await.unwrap().record(failed);
        let begin = Instant::now();
        breaker.admit().await.unwrap().record(Observation::Answered);
        assert!(begin.elapsed() >= pause);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_while_requests_fail_and_one_still_tries() {
        let breaker = opened().await;
        let mut tries = 0;
        let error = loop {
            match breaker.admit().await {
                Ok(permit) => permit.record(failed()),
                Err(error) => break error,
            }
            tries += 1;
        };
        assert!((50..=60).contains(&tries), "{tries}");
        let said = error.to_string();
        let begin = "cannot connect to https://glance.test:9292: not tried, because ";
        assert!(said.starts_with(begin) && said.ends_with("the last error: 503"), "{said}");
        // Requests fail instead of waiting.
        assert!(breaker.admit().await.is_err());
        tokio::time::advance(TRY_EACH).await;
        let permit = breaker.admit().await.unwrap();
        assert!(breaker.admit().await.is_err());
        permit.record(Observation::Answered);
        breaker.admit().await.unwrap();
    }

    #[test]
    fn each_server_has_its_own() {
        let all = Breakers::default();
        let of = |uri: &str| all.of(&uri.parse().unwrap());
        let one = of("https://glance.test:9292/v2/images");
        assert!(Arc::ptr_eq(&one, &of("https://user@glance.test:9292/other?x=y")));
        for other in ["https://glance.test:5000/", "http://glance.test:9292/", "https://b:9292/"] {
            assert!(!Arc::ptr_eq(&one, &of(other)), "{other}");
        }
    }
}
