//! How long to wait before something is tried again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

/// Pauses that grow, each of a length by chance ("full jitter"), so that clients which failed
/// together do not come back together.
#[derive(Debug, Clone)]
pub struct Backoff {
    /// What the first pause lasts at most.
    pub first: Duration,
    /// What any pause lasts at most.
    pub longest: Duration,
    /// Where chance comes from.
    pub chance: Chance,
}

impl Backoff {
    /// The pause after so many `earlier` ones: from nothing to twice as long as the last one's most.
    pub fn pause(&self, earlier: u32) -> Duration {
        let factor = 2_u32.checked_pow(earlier).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.longest).mul_f64(self.chance.draw())
    }
}

impl Default for Backoff {
    fn default() -> Self {
        let (first, longest) = (Duration::from_millis(500), Duration::from_secs(30));
        Self { first, longest, chance: Chance::default() }
    }
}

/// A source of numbers by chance, at least 0 and below 1. The default is the system's.
#[derive(Clone)]
pub struct Chance(Arc<dyn Fn() -> f64 + Send + Sync>);

impl Chance {
    /// Chance that `draw` makes.
    pub fn new(draw: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(draw))
    }

    fn draw(&self) -> f64 {
        (self.0)().clamp(0.0, 1.0)
    }
}

impl Default for Chance {
    fn default() -> Self {
        Self::new(|| f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX))
    }
}

impl fmt::Debug for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chance")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Mutex;

    use super::*;

    /// The same numbers each time (Numerical Recipes' generator).
    pub(crate) fn seeded(seed: u32) -> Chance {
        let state = Mutex::new(seed);
        Chance::new(move || {
            let mut state = state.lock().unwrap();
            *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(*state) / f64::from(u32::MAX)
        })
    }

    #[test]
    fn pauses_grow_to_the_longest_and_fill_their_range() {
        let backoff = Backoff { chance: seeded(7), ..Backoff::default() };
        for earlier in [0, 1, 3, 5, 6, 31, 32, u32::MAX] {
            let most = (0.5 * 2_f64.powi(earlier.min(10).try_into().unwrap())).min(30.0);
            let drawn: Vec<f64> = (0..500).map(|_| backoff.pause(earlier).as_secs_f64()).collect();
            assert!(drawn.iter().all(|pause| (0.0..=most).contains(pause)), "{earlier}");
            let share = |from: f64, to: f64| {
                drawn.iter().filter(|pause| (from * most..to * most).contains(*pause)).count()
            };
            assert!(share(0.0, 0.1) > 20 && share(0.9, 1.01) > 20, "{earlier}");
        }
    }

    #[test]
    fn chance_is_not_the_same_twice() {
        let chance = Chance::default();
        let drawn: Vec<f64> = (0..100).map(|_| chance.draw()).collect();
        assert!(drawn.iter().all(|number| (0.0..=1.0).contains(number)));
        assert!(drawn.windows(2).any(|pair| (pair[0] - pair[1]).abs() > 0.1));
    }
}
