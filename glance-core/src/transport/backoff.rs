//! Exponential backoff with jitter.

use std::time::Duration;

use uuid::Uuid;

/// Backoff delays that grow with each attempt. Each delay is a random part of its maximum ("full
/// jitter"), so that many clients that failed at the same time do not retry at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The maximum of the first delay. The maximum doubles with each further delay.
    pub first: Duration,
    /// The upper limit of every delay.
    pub most: Duration,
}

impl Backoff {
    /// No delays.
    pub const NONE: Self = Self { first: Duration::ZERO, most: Duration::ZERO };

    /// Sleeps for the delay that follows `failures` earlier consecutive failures and the present
    /// one.
    pub async fn after(self, failures: usize) {
        tokio::time::sleep(self.pause(failures)).await;
    }

    /// The delay that follows `failures` earlier consecutive failures and the present one.
    pub fn pause(self, failures: usize) -> Duration {
        let doublings = u32::try_from(failures.min(20)).unwrap_or(20);
        let longest = self.first.saturating_mul(1 << doublings).min(self.most);
        let longest = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        // The first 48 bits of a version 4 UUID are random; every delay in microseconds is smaller
        // than that.
        let random = Uuid::new_v4().as_u128() >> 80;
        let part = (u128::from(longest) * random) >> 48;
        Duration::from_micros(u64::try_from(part).unwrap_or(longest))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), most: Duration::from_secs(30) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit_and_are_random() {
        let pauses = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(10) };
        let longest = |failures| (0..300).map(|_| pauses.pause(failures)).max().unwrap();
        for (failures, seconds) in [(0, 1.0), (1, 2.0), (2, 4.0), (3, 8.0), (4, 10.0), (900, 10.0)]
        {
            let longest = longest(failures).as_secs_f64();
            assert!((0.9 * seconds..=seconds).contains(&longest), "{failures}: {longest}");
        }
        assert!((0..300).any(|_| pauses.pause(0) < Duration::from_millis(100)));
        assert_eq!(Backoff::NONE.pause(7), Duration::ZERO);
    }
}
