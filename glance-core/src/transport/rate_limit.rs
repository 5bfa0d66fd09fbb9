//! A rate limit on requests.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http::{Request, Response};
use tokio::time::{Instant, sleep_until};

use super::{Transport, TransportError};
use crate::body::Body;

/// A transport that leaves a minimum interval between the beginnings of requests.
#[derive(Debug)]
pub struct RateLimited {
    transport: Arc<dyn Transport>,
    interval: Duration,
    /// The earliest time for the next request.
    next: Mutex<Instant>,
}

impl RateLimited {
    /// Wraps a transport so that requests begin at least `interval` apart.
    pub fn new(transport: Arc<dyn Transport>, interval: Duration) -> Self {
        Self { transport, interval, next: Mutex::new(Instant::now()) }
    }

    fn turn(&self) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = (*next).max(Instant::now());
        *next = turn + self.interval;
        turn
    }
}

#[async_trait]
impl Transport for RateLimited {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        sleep_until(self.turn()).await;
        self.transport.send(request).await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    #[derive(Debug, Default)]
    struct Server(Mutex<Vec<Instant>>);

    #[async_trait]
    impl Transport for Server {
        async fn send(&self, _: Request<Body>) -> Result<Response<Body>, TransportError> {
            self.0.lock().unwrap().push(Instant::now());
            Ok(Response::new(Body::empty()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_keep_their_distance_and_catch_nothing_up() {
        let server = Arc::new(Server::default());
        let interval = Duration::from_millis(100);
        let spaced = RateLimited::new(server.clone(), interval);
        let send = || spaced.send(Request::new(Body::empty()));
        join_all((0..5).map(|_| send())).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        join_all((0..5).map(|_| send())).await;
        let begun = server.0.lock().unwrap();
        let distances: Vec<Duration> = begun.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(distances.len(), 9);
        // Timers have a resolution of a millisecond.
        let least = Duration::from_millis(98);
        assert!(distances.iter().all(|distance| *distance >= least), "{distances:?}");
        assert!(begun[4] - begun[0] <= interval * 5);
    }
}
