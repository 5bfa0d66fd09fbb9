//! Rates over the last seconds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use replicator_engine::events::Waited;

/// The last measurements of something that grows.
#[derive(Debug, Default)]
pub(super) struct Speed(VecDeque<Sample>);

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    bytes: u64,
    waited: Waited,
}

/// What limits a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Source,
    Target,
    Processor,
    Bandwidth,
    Spool,
}

impl Limit {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Source => "the source",
            Self::Target => "the target",
            Self::Processor => "this CPU",
            Self::Bandwidth => "--bwlimit",
            Self::Spool => "the spool's disk",
        }
    }
}

impl Speed {
    /// Adds a measurement: the bytes and the waits so far.
    pub(super) fn add(&mut self, at: Instant, bytes: u64, waited: Waited) {
        while self.0.len() > 1 && self.0.front().is_some_and(|first| at - first.at > WINDOW) {
            self.0.pop_front();
        }
        self.0.push_back(Sample { at, bytes, waited });
    }

    /// The bytes per second; `None` until they can be told.
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    pub(super) fn rate(&self) -> Option<f64> {
        let (first, last, seconds) = self.ends()?;
        Some(last.bytes.saturating_sub(first.bytes) as f64 / seconds)
    }

    /// What the work waited for most, if it waited for a good part of the time.
    pub(super) fn limit(&self) -> Option<Limit> {
        let (first, last, seconds) = self.ends()?;
        let Waited { source, processor, bandwidth, spool, targets, .. } =
            last.waited.minus(first.waited);
        let waits = [
            (source, Limit::Source),
            (targets, Limit::Target),
            (processor, Limit::Processor),
            (bandwidth, Limit::Bandwidth),
            (spool, Limit::Spool),
        ];
        let (most, limit) = waits.into_iter().max_by_key(|(time, _)| *time)?;
        (most.as_secs_f64() > 0.25 * seconds).then_some(limit)
    }

    fn ends(&self) -> Option<(&Sample, &Sample, f64)> {
        let (first, last) = (self.0.front()?, self.0.back()?);
        let time = last.at - first.at;
        (time >= LEAST).then_some((first, last, time.as_secs_f64()))
    }
}

/// The time over which rates are averaged.
const WINDOW: Duration = Duration::from_secs(5);

/// The least time that gives a rate.
const LEAST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_seconds_decide() {
        let begin = Instant::now();
        let seconds = Duration::from_secs;
        let mut speed = Speed::default();
        let mut waited = Waited::default();
        for second in 0..10 {
            assert_eq!(speed.rate().is_some(), second > 1);
            // The source is slow first, and then the target.
            match second {
                0..4 => waited.source += seconds(1),
                _ => waited.targets += Duration::from_millis(700),
            }
            let bytes = if second < 4 { 100 * second } else { 400 + 1000 * (second - 4) };
            speed.add(begin + seconds(second), bytes, waited);
            if second == 3 {
                assert_eq!((speed.rate(), speed.limit()), (Some(100.0), Some(Limit::Source)));
            }
        }
        assert_eq!((speed.rate(), speed.limit()), (Some(1000.0), Some(Limit::Target)));
    }

    #[test]
    fn work_that_hardly_waits_has_no_limit() {
        let begin = Instant::now();
        let mut speed = Speed::default();
        let waited = |millis| {
            let mut waited = Waited::default();
            waited.source = Duration::from_millis(millis);
            waited
        };
        speed.add(begin, 0, waited(0));
        speed.add(begin + Duration::from_secs(2), 5, waited(400));
        assert_eq!(speed.limit(), None);
    }
}
