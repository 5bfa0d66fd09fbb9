//! Which digests each target stores, learned from its records.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use glance_core::digest::Algorithm;
use glance_core::image::Image;

use glance_core::verified_body::Expected;

/// The observed digests of all targets. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct TargetDigests(Arc<Mutex<BTreeMap<String, Habit>>>);

/// The digests that one target stores.
#[derive(Debug, Clone, Copy)]
struct Habit {
    algorithm: Algorithm,
    has_checksum: bool,
}

impl TargetDigests {
    /// Learns from `replica` which digests `target` stores.
    pub(crate) fn note(&self, target: &dyn Display, replica: &Image) {
        let algorithm = replica.os_hash_algo.as_ref().and_then(|name| name.parse().ok());
        if let (Some(algorithm), Some(_)) = (algorithm, &replica.os_hash_value) {
            let habit = Habit { algorithm, has_checksum: replica.checksum.is_some() };
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(target.to_string(), habit);
        }
    }

    /// The algorithm of the digest that `target` will store for `image`, if none of the target's
    /// digests can be compared with the source's.
    pub(crate) fn missing(&self, target: &dyn Display, image: &Image) -> Option<Algorithm> {
        let habit = self.of(target)?;
        (!habit.proves(image)).then_some(habit.algorithm)
    }

    /// Whether `target` will store a digest for `image` that can be compared with the source's.
    pub(crate) fn prove(&self, target: &dyn Display, image: &Image) -> bool {
        self.of(target).is_some_and(|habit| habit.proves(image))
    }

    fn of(&self, target: &dyn Display) -> Option<Habit> {
        let habits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        habits.get(&target.to_string()).copied()
    }
}

impl Habit {
    fn proves(self, image: &Image) -> bool {
        let digest = Expected::of(image).digest;
        let same = digest.is_some_and(|(algorithm, _)| algorithm == self.algorithm);
        same || (image.checksum.is_some() && self.has_checksum)
    }
}
