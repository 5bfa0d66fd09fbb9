//! A limit on the speed of data.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use tokio::time::{Instant, sleep_until};

use crate::body::{Body, BodyError};

/// Keeps all bodies that pass it, together, to so many bytes per second.
#[derive(Debug, Clone)]
pub struct Pace {
    rate: u64,
    /// When the next byte may pass.
    next: Arc<Mutex<Instant>>,
}

impl Pace {
    /// A pace of `rate` bytes per second; of at least one.
    pub fn new(rate: u64) -> Self {
        Self { rate: rate.max(1), next: Arc::new(Mutex::new(Instant::now())) }
    }

    /// Bytes per second.
    pub fn rate(&self) -> u64 {
        self.rate
    }

    /// The same body, at this pace.
    pub fn keep(&self, data: Body) -> Body {
        let (size, digests) = (data.size(), data.digests().cloned());
        // Small pieces, so that a slow pace is no silence and nobody waits long for a turn.
        let piece = usize::try_from(self.rate / 10).unwrap_or(usize::MAX).max(1024);
        let state = (self.clone(), data, Bytes::new());
        let pieces = stream::try_unfold(state, move |(pace, mut data, mut rest)| async move {
            while rest.is_empty() {
                match data.next().await {
                    None => return Ok::<_, BodyError>(None),
                    Some(chunk) => rest = chunk?,
                }
            }
            let piece = rest.split_to(piece.min(rest.len()));
            sleep_until(pace.turn(piece.len())).await;
            Ok(Some((piece, (pace, data, rest))))
        });
        Body::from_stream(pieces, size).carrying(digests)
    }

    /// When `length` bytes may pass. Time in which nothing passed is not made up for.
    fn turn(&self, length: usize) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = (*next).max(Instant::now());
        let nanoseconds = length as u128 * 1_000_000_000 / u128::from(self.rate);
        *next = turn + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX / 2));
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Algorithm, Awaited};

    fn body(chunks: usize, length: usize) -> Body {
        let chunks = (0..chunks).map(move |_| Ok(Bytes::from(vec![7; length])));
        Body::from_stream(stream::iter(chunks), Some(9))
    }

    #[tokio::test(start_paused = true)]
    async fn all_bodies_together_keep_the_pace() {
        let begin = Instant::now();
        let pace = Pace::new(10_000);
        let bodies = (0..4).map(|_| pace.keep(body(5, 5_000)));
        let digests = Awaited::of([Algorithm::Sha512]);
        let other = pace.keep(body(1, 1).carrying(Some(digests)));
        assert_eq!((other.size(), other.digests().is_some()), (Some(9), true));
        let read = bodies.map(|body| body.collect(1 << 20));
        for whole in futures_util::future::join_all(read).await {
            assert_eq!(whole.unwrap(), vec![7; 25_000]);
        }
        let seconds = begin.elapsed().as_secs_f64();
        assert!((9.5..10.1).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn pieces_come_steadily_and_errors_pass() {
        let pace = Pace::new(20_480);
        let chunks = [Ok(Bytes::from(vec![7; 1 << 20])), Err("broken".into())];
        let mut paced = pace.keep(Body::from_stream(stream::iter(chunks), None));
        tokio::time::advance(Duration::from_secs(60)).await;
        let (mut last, mut passed) = (Instant::now(), 0);
        loop {
            match paced.next().await.unwrap() {
                Ok(piece) => passed += piece.len(),
                Err(error) => break assert_eq!(error.to_string(), "broken"),
            }
            assert!(last.elapsed() <= Duration::from_millis(110));
            last = Instant::now();
        }
        assert_eq!(passed, 1 << 20);
    }
}
