//! Which digests each target stores, learned from its records.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use glance_core::digest::Algorithm;
use glance_core::image::Image;
use glance_core::store::ImageStore;

use glance_core::verified_body::Expected;

/// The observed digests of all targets. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct TargetDigests(Arc<Mutex<Vec<Observation>>>);

/// The digests that one target stores.
#[derive(Debug)]
struct Observation {
    /// Identifies the target. A weak pointer keeps the address from being used again.
    target: Weak<dyn ImageStore>,
    habit: Habit,
}

/// The digests that a store computes.
#[derive(Debug, Clone, Copy)]
struct Habit {
    algorithm: Algorithm,
    has_checksum: bool,
}

impl TargetDigests {
    /// Learns from `replica` which digests `target` stores.
    pub(crate) fn note(&self, target: &Arc<dyn ImageStore>, replica: &Image) {
        let algorithm = replica.os_hash_algo.as_ref().and_then(|name| name.parse().ok());
        let (Some(algorithm), Some(_)) = (algorithm, &replica.os_hash_value) else { return };
        let habit = Habit { algorithm, has_checksum: replica.checksum.is_some() };
        let target = Arc::downgrade(target);
        let mut observations = self.lock();
        match observations.iter_mut().find(|one| one.target.ptr_eq(&target)) {
            Some(observation) => observation.habit = habit,
            None => observations.push(Observation { target, habit }),
        }
    }

    /// The algorithm of the digest that `target` will store for `image`, if none of the target's
    /// digests can be compared with the source's.
    pub(crate) fn missing(&self, target: &Arc<dyn ImageStore>, image: &Image) -> Option<Algorithm> {
        let habit = self.of(target)?;
        (!habit.proves(image)).then_some(habit.algorithm)
    }

    /// Whether `target` will store a digest for `image` that can be compared with the source's.
    pub(crate) fn prove(&self, target: &Arc<dyn ImageStore>, image: &Image) -> bool {
        self.of(target).is_some_and(|habit| habit.proves(image))
    }

    fn of(&self, target: &Arc<dyn ImageStore>) -> Option<Habit> {
        let target = Arc::downgrade(target);
        let observations = self.lock();
        observations.iter().find(|one| one.target.ptr_eq(&target)).map(|one| one.habit)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Observation>> {
        // A panic never leaves the list half changed, so a poisoned lock is safe to use.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Habit {
    fn proves(self, image: &Image) -> bool {
        let digest = Expected::of(image).digest;
        let same = digest.is_some_and(|(algorithm, _)| algorithm == self.algorithm);
        same || (image.checksum.is_some() && self.has_checksum)
    }
}

#[cfg(test)]
mod tests {
    use glance_core::image::Attributes;
    use glance_core::store::memory::MemoryStore;

    use super::*;

    #[test]
    fn stores_of_the_same_name_are_told_apart() {
        let store = || Arc::new(MemoryStore::new("memory")) as Arc<dyn ImageStore>;
        let one = store();
        let other = store();
        let id = "00000000-0000-4000-8000-000000000001".parse().unwrap();
        let replica = Image {
            os_hash_algo: Some("sha256".to_owned()),
            os_hash_value: Some("0".repeat(64)),
            ..Image::queued(id, Attributes::default())
        };
        let digests = TargetDigests::default();
        digests.note(&one, &replica);
        assert!(digests.prove(&one, &replica) && digests.prove(&Arc::clone(&one), &replica));
        assert!(!digests.prove(&other, &replica));
        let image = Image { os_hash_algo: Some("sha512".to_owned()), ..replica };
        assert_eq!(digests.missing(&one, &image), Some(Algorithm::Sha256));
        assert_eq!(digests.missing(&other, &image), None);
    }
}
