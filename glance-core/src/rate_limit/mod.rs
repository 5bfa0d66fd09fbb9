//! Bandwidth limits.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use jiff::civil::DateTime;
use tokio::time::{Instant, sleep_until};

use crate::body::Body;
use crate::error::BodyError;
use crate::wait_time::WaitTime;

mod schedule;

pub use schedule::{Bandwidth, InvalidBandwidth, Timetable};

/// The bandwidth limits of a run: one for all data read from the source, and one for all data sent
/// to the targets together.
#[derive(Debug, Clone, Default)]
pub struct BandwidthLimits {
    /// The limit for reading; `None` for no limit.
    pub source: Option<ByteRateLimiter>,
    /// The limit for sending; `None` for no limit.
    pub target: Option<ByteRateLimiter>,
}

impl BandwidthLimits {
    /// The same limits. The time in which data waits for them is added to `waited`.
    #[must_use]
    pub fn timed(&self, waited: &WaitTime) -> Self {
        let timed = |limiter: &Option<ByteRateLimiter>| {
            let waited = waited.clone();
            limiter.clone().map(|limiter| ByteRateLimiter { waited, ..limiter })
        };
        Self { source: timed(&self.source), target: timed(&self.target) }
    }

    /// Applies the source's limit to data read from the source.
    pub fn read(&self, data: Body) -> Body {
        match &self.source {
            Some(limiter) => limiter.keep(data),
            None => data,
        }
    }

    /// Applies the targets' limit to data for a target. The first `there` bytes are not limited,
    /// because the target already has them.
    pub fn sent(&self, there: u64, data: Body) -> Body {
        match &self.target {
            Some(limiter) => limiter.keep_after(there, data),
            None => data,
        }
    }
}

/// A rate limiter in bytes per second, shared by all bodies that pass through it.
#[derive(Debug, Clone)]
pub struct ByteRateLimiter {
    timetable: Arc<Timetable>,
    clock: fn() -> DateTime,
    state: Arc<Mutex<State>>,
    /// Time in which the data of this clone waited.
    waited: WaitTime,
}

#[derive(Debug)]
struct State {
    /// The earliest time for the next byte.
    next: Instant,
    /// The current rate, and the time when it was looked up.
    rate: Option<u64>,
    looked: Option<Instant>,
}

impl ByteRateLimiter {
    /// A limiter with the fixed rate of `rate` bytes per second, at least 1.
    pub fn new(rate: u64) -> Self {
        Self::by(Timetable::always(Some(rate)), || DateTime::MIN)
    }

    /// A limiter whose rate follows `timetable`. `clock` returns the operator's local time.
    pub fn by(timetable: Timetable, clock: fn() -> DateTime) -> Self {
        let state = State { next: Instant::now(), rate: None, looked: None };
        let state = Arc::new(Mutex::new(state));
        Self { timetable: Arc::new(timetable), clock, state, waited: WaitTime::default() }
    }

    /// Limits the rate of `data`.
    pub fn keep(&self, data: Body) -> Body {
        self.keep_after(0, data)
    }

    /// Limits the rate of `data`, except for its first `free` bytes.
    fn keep_after(&self, free: u64, data: Body) -> Body {
        let (size, digests) = (data.size(), data.digests().cloned());
        let state = (self.clone(), data, Bytes::new(), free);
        let pieces =
            stream::try_unfold(state, move |(limiter, mut data, mut rest, free)| async move {
                while rest.is_empty() {
                    match data.next().await {
                        None => return Ok::<_, BodyError>(None),
                        Some(chunk) => rest = chunk?,
                    }
                }
                if free > 0 {
                    let piece = usize::try_from(free).unwrap_or(usize::MAX).min(rest.len());
                    let piece = rest.split_to(piece);
                    let free = free - piece.len() as u64;
                    return Ok(Some((piece, (limiter, data, rest, free))));
                }
                let (piece, turn) = limiter.piece(&mut rest);
                if let Some(turn) = turn {
                    limiter.waited.during(sleep_until(turn)).await;
                }
                Ok(Some((piece, (limiter, data, rest, 0))))
            });
        Body::from_stream(pieces, size).carrying(digests)
    }

    /// Takes the next piece from `rest` and returns it with the time at which it may pass.
    fn piece(&self, rest: &mut Bytes) -> (Bytes, Option<Instant>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if state.looked.is_none_or(|looked| now - looked >= LOOK) {
            state.rate = self.timetable.at((self.clock)()).map(|rate| rate.max(1));
            state.looked = Some(now);
        }
        let Some(rate) = state.rate else {
            return (std::mem::take(rest), None);
        };
        // Pieces are small, so that a low rate does not look like silence and no body waits long
        // for its turn.
        let most = usize::try_from(rate / 10).unwrap_or(usize::MAX).max(1024);
        let piece = rest.split_to(most.min(rest.len()));
        let turn = state.next.max(now.checked_sub(CREDIT).unwrap_or(now));
        let nanoseconds = piece.len() as u128 * 1_000_000_000 / u128::from(rate);
        let nanoseconds = u64::try_from(nanoseconds).unwrap_or(u64::MAX / 2);
        state.next = turn + Duration::from_nanos(nanoseconds);
        (piece, (turn > now).then_some(turn))
    }
}

/// Idle time that is made up for. Timers and processors are late, which would otherwise lower the
/// rate; more would allow bursts.
const CREDIT: Duration = Duration::from_millis(100);

/// The interval at which the timetable is consulted.
const LOOK: Duration = Duration::from_secs(1);

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
        let limiter = ByteRateLimiter::new(10_000);
        let bodies = (0..4).map(|_| limiter.keep(body(5, 5_000)));
        let digests = Awaited::of([Algorithm::Sha512]);
        let other = limiter.keep(body(1, 1).carrying(Some(digests)));
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
        let limiter = ByteRateLimiter::new(20_480);
        let chunks = [Ok(Bytes::from(vec![7; 1 << 20])), Err("broken".into())];
        let mut data = limiter.keep(Body::from_stream(stream::iter(chunks), None));
        tokio::time::advance(Duration::from_secs(60)).await;
        let (mut last, mut passed) = (Instant::now(), 0);
        loop {
            match data.next().await.unwrap() {
                Ok(piece) => passed += piece.len(),
                Err(error) => break assert_eq!(error.to_string(), "broken"),
            }
            assert!(last.elapsed() <= Duration::from_millis(110));
            last = Instant::now();
        }
        assert_eq!(passed, 1 << 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_reader_does_not_lower_the_rate() {
        let begin = Instant::now();
        let mut data = ByteRateLimiter::new(10_000_000).keep(body(1000, 10_000));
        let mut pieces = 0;
        while let Some(piece) = data.next().await {
            piece.unwrap();
            pieces += 1;
            if pieces % 10 == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        let seconds = begin.elapsed().as_secs_f64();
        assert!((0.89..1.02).contains(&seconds), "{seconds}");
    }

    thread_local! {
        static BEGIN: Instant = Instant::now();
    }

    /// Local time: Monday, two seconds before nine, at the start of the thread's first test.
    fn clock() -> DateTime {
        let nine = jiff::civil::date(2026, 1, 5).at(8, 59, 58, 0);
        nine + BEGIN.with(Instant::elapsed)
    }

    #[tokio::test(start_paused = true)]
    async fn the_timetable_is_followed_while_data_passes() {
        BEGIN.with(|_| ());
        let table: Bandwidth = "08:00,1000 09:00,10k 09:01,off".parse().unwrap();
        let limiter = ByteRateLimiter::by(table.target, clock);
        let mut data = limiter.keep(body(1, 1 << 20));
        let (begin, mut passed) = (Instant::now(), 0);
        let mut after = [0; 3];
        while let Some(piece) = data.next().await {
            passed += piece.unwrap().len();
            match begin.elapsed().as_secs() {
                0..=2 => after[0] = passed,
                3..=61 => after[1] = passed,
                _ => after[2] = passed,
            }
        }
        assert!((2000..6000).contains(&after[0]), "{after:?}");
        assert!((500_000..640_000).contains(&after[1]), "{after:?}");
        assert_eq!(after[2], 1 << 20);
        assert!(begin.elapsed() < Duration::from_secs(64));
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_time_of_waiting_for_the_limit_is_measured() {
        let limiter = ByteRateLimiter::new(10_000);
        let limits = BandwidthLimits { source: Some(limiter), target: None };
        let waited = WaitTime::measured();
        let slow = stream::iter(0..4).then(|_| async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            Ok(Bytes::from(vec![7; 10_000]))
        });
        let data = Body::from_stream(slow.boxed(), None);
        limits.timed(&waited).read(data).collect(1 << 20).await.unwrap();
        let seconds = waited.total().as_secs_f64();
        assert!((3.0..4.1).contains(&seconds), "{seconds}");
        limits.read(body(1, 10_000)).collect(1 << 20).await.unwrap();
        assert!(waited.total().as_secs_f64() < seconds + 0.1);
    }

    #[tokio::test(start_paused = true)]
    async fn each_side_has_its_own_pace() {
        let limits = BandwidthLimits { source: Some(ByteRateLimiter::new(1000)), target: None };
        let begin = Instant::now();
        limits.sent(30_000, body(4, 10_000)).collect(1 << 20).await.unwrap();
        assert!(begin.elapsed() < Duration::from_millis(1));
        limits.read(body(1, 10_000)).collect(1 << 20).await.unwrap();
        assert!(begin.elapsed() > Duration::from_secs(8));
    }
}
