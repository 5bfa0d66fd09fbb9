//! A limit on the speed of data.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use jiff::civil::DateTime;
use tokio::time::{Instant, sleep_until};

use crate::body::Body;
use crate::error::BodyError;

mod schedule;

pub use schedule::{Bandwidth, InvalidBandwidth, Timetable};

/// The limits of a run: one for all that is read from the source, one for all that is sent to
/// targets, whichever.
#[derive(Debug, Clone, Default)]
pub struct Pacing {
    /// Of what is read; without it, as fast as it comes.
    pub source: Option<Pace>,
    /// Of what is sent; without it, as fast as it goes.
    pub target: Option<Pace>,
}

impl Pacing {
    /// Data from the source, at the source's pace.
    pub fn read(&self, data: Body) -> Body {
        match &self.source {
            Some(pace) => pace.keep(data),
            None => data,
        }
    }

    /// Data for a target, at the targets' pace, but for the first bytes of it, which are there.
    pub fn sent(&self, there: u64, data: Body) -> Body {
        match &self.target {
            Some(pace) => pace.keep_after(there, data),
            None => data,
        }
    }
}

/// Keeps all bodies that pass it, together, to so many bytes per second.
#[derive(Debug, Clone)]
pub struct Pace {
    timetable: Arc<Timetable>,
    clock: fn() -> DateTime,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// When the next byte may pass.
    next: Instant,
    /// The rate in force, and when it was looked up.
    rate: Option<u64>,
    looked: Option<Instant>,
}

impl Pace {
    /// A pace of `rate` bytes per second; of at least one.
    pub fn new(rate: u64) -> Self {
        Self::by(Timetable::always(Some(rate)), || DateTime::MIN)
    }

    /// A pace that changes as `timetable` says; `clock` tells the time at the operator's place.
    pub fn by(timetable: Timetable, clock: fn() -> DateTime) -> Self {
        let state = State { next: Instant::now(), rate: None, looked: None };
        Self { timetable: Arc::new(timetable), clock, state: Arc::new(Mutex::new(state)) }
    }

    /// The same body, at this pace.
    pub fn keep(&self, data: Body) -> Body {
        self.keep_after(0, data)
    }

    /// The same body, whose first `free` bytes do not count, at this pace.
    fn keep_after(&self, free: u64, data: Body) -> Body {
        let (size, digests) = (data.size(), data.digests().cloned());
        let state = (self.clone(), data, Bytes::new(), free);
        let pieces =
            stream::try_unfold(state, move |(pace, mut data, mut rest, free)| async move {
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
                    return Ok(Some((piece, (pace, data, rest, free))));
                }
                let (piece, turn) = pace.piece(&mut rest);
                if let Some(turn) = turn {
                    sleep_until(turn).await;
                }
                Ok(Some((piece, (pace, data, rest, 0))))
            });
        Body::from_stream(pieces, size).carrying(digests)
    }

    /// The piece of `rest` that passes next, and when. Time in which nothing passed is not made up
    /// for.
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
        // Small pieces, so that a slow pace is no silence and nobody waits long for a turn.
        let most = usize::try_from(rate / 10).unwrap_or(usize::MAX).max(1024);
        let piece = rest.split_to(most.min(rest.len()));
        let turn = state.next.max(now);
        let nanoseconds = piece.len() as u128 * 1_000_000_000 / u128::from(rate);
        let nanoseconds = u64::try_from(nanoseconds).unwrap_or(u64::MAX / 2);
        state.next = turn + Duration::from_nanos(nanoseconds);
        (piece, Some(turn))
    }
}

/// How often the timetable is looked at.
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

    thread_local! {
        static BEGIN: Instant = Instant::now();
    }

    /// Monday, two seconds before nine, when the first test of the thread began.
    fn clock() -> DateTime {
        let nine = jiff::civil::date(2026, 1, 5).at(8, 59, 58, 0);
        nine + BEGIN.with(Instant::elapsed)
    }

    #[tokio::test(start_paused = true)]
    async fn the_timetable_is_followed_while_data_passes() {
        BEGIN.with(|_| ());
        let table: Bandwidth = "08:00,1000 09:00,10k 09:01,off".parse().unwrap();
        let pace = Pace::by(table.target, clock);
        let mut paced = pace.keep(body(1, 1 << 20));
        let (begin, mut passed) = (Instant::now(), 0);
        let mut after = [0; 3];
        while let Some(piece) = paced.next().await {
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
    async fn each_side_has_its_own_pace() {
        let pacing = Pacing { source: Some(Pace::new(1000)), target: None };
        let begin = Instant::now();
        pacing.sent(30_000, body(4, 10_000)).collect(1 << 20).await.unwrap();
        assert!(begin.elapsed() < Duration::from_millis(1));
        pacing.read(body(1, 10_000)).collect(1 << 20).await.unwrap();
        assert!(begin.elapsed() > Duration::from_secs(8));
    }
}
