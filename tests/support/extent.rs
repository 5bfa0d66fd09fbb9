//! The length and the number of repetitions of tests.

use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

/// The value of `variable`, which `cargo xtask endure` sets, or else `of_every_day`.
pub(crate) fn extent<T: FromStr>(variable: &str, of_every_day: T) -> T {
    let asked = std::env::var(variable).ok();
    asked.map_or(of_every_day, |text| text.parse().ok().expect("the variable is a number"))
}

/// Pseudo-random numbers determined by a seed (splitmix64, <https://prng.di.unimi.it>).
#[derive(Debug)]
pub(crate) struct Chance {
    pub(crate) seed: u64,
    state: u64,
}

impl Chance {
    /// Uses the seed from the environment, or else a new one on each run.
    pub(crate) fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Self::of(extent("ENDURE_SEED", u64::from(now.subsec_nanos())))
    }

    pub(crate) fn of(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    /// A number from 0 to below 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        let number = u32::try_from(self.next() >> 32).unwrap_or_default();
        f64::from(number) / 4_294_967_296.0
    }

    /// A number from 0 to below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        let number = (u128::from(self.next()) * u128::from(limit)) >> 64;
        u64::try_from(number).unwrap_or_default()
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
