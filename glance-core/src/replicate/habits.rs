//! Which digests targets keep of what they store, as far as they were seen to.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use crate::digest::Algorithm;
use crate::image::Image;

use super::checked::Expected;

/// What was seen so far. Cloning it shares it.
#[derive(Debug, Clone, Default)]
pub struct Habits(Arc<Mutex<BTreeMap<String, Habit>>>);

/// What one target keeps.
#[derive(Debug, Clone, Copy)]
struct Habit {
    algorithm: Algorithm,
    has_checksum: bool,
}

impl Habits {
    /// Takes down what `target` keeps of the data of `replica`.
    pub(super) fn note(&self, target: &dyn Display, replica: &Image) {
        let algorithm = replica.os_hash_algo.as_ref().and_then(|name| name.parse().ok());
        if let (Some(algorithm), Some(_)) = (algorithm, &replica.os_hash_value) {
            let habit = Habit { algorithm, has_checksum: replica.checksum.is_some() };
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(target.to_string(), habit);
        }
    }

    /// The digest that `target` will keep of the data of `image`, where no other can be compared
    /// with the source's.
    pub(super) fn missing(&self, target: &dyn Display, image: &Image) -> Option<Algorithm> {
        let habits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let habit = habits.get(&target.to_string())?;
        let same = Expected::of(image).digest.is_some_and(|(it, _)| it == habit.algorithm);
        let by_checksum = image.checksum.is_some() && habit.has_checksum;
        (!same && !by_checksum).then_some(habit.algorithm)
    }
}
