//! How long to wait before something is tried again.

use std::time::Duration;

use uuid::Uuid;

/// Pauses that grow from try to try, each cut to a random part of itself ("full jitter"), so that
/// many who failed at once do not come back at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pauses {
    /// The longest that the first pause can be. Each further one can be twice as long.
    pub first: Duration,
    /// The longest that any pause can be.
    pub most: Duration,
}

impl Pauses {
    /// No pauses at all.
    pub const NONE: Self = Self { first: Duration::ZERO, most: Duration::ZERO };

    /// Waits after so many failures in a row before this one.
    pub async fn after(self, failures: usize) {
        tokio::time::sleep(self.pause(failures)).await;
    }

    /// How long to wait after so many failures in a row before this one.
    pub fn pause(self, failures: usize) -> Duration {
        let doublings = u32::try_from(failures.min(20)).unwrap_or(20);
        let longest = self.first.saturating_mul(1 << doublings).min(self.most);
        let longest = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        // The first 48 bits of such an id are random, and no pause is as long.
        let random = Uuid::new_v4().as_u128() >> 80;
        let part = (u128::from(longest) * random) >> 48;
        Duration::from_micros(u64::try_from(part).unwrap_or(longest))
    }
}

impl Default for Pauses {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), most: Duration::from_secs(30) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit_and_are_random() {
        let pauses = Pauses { first: Duration::from_secs(1), most: Duration::from_secs(10) };
        let longest = |failures| (0..300).map(|_| pauses.pause(failures)).max().unwrap();
        for (failures, seconds) in [(0, 1.0), (1, 2.0), (2, 4.0), (3, 8.0), (4, 10.0), (900, 10.0)]
        {
            let longest = longest(failures).as_secs_f64();
            assert!((0.9 * seconds..=seconds).contains(&longest), "{failures}: {longest}");
        }
        assert!((0..300).any(|_| pauses.pause(0) < Duration::from_millis(100)));
        assert_eq!(Pauses::NONE.pause(7), Duration::ZERO);
    }
}
