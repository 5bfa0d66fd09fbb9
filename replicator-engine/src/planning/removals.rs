//! Decides whether the extra images of a target may be removed.

use glance_core::image::ImageId;

use super::{Entry, Step};
use crate::error::NothingRemoved;
use crate::pairing::merge_join::Pair;
use crate::policy::Prune;
use crate::provenance;
use crate::state::State;

/// The counts that removals depend on.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) at_source: u64,
    pub(crate) at_target: u64,
    pub(crate) failures: u64,
    /// Number of images that other runs have in work.
    pub(crate) in_use: u64,
    /// Ids and names of the images to remove.
    pub(crate) extras: Vec<(ImageId, String)>,
    /// Number of extra images that no sync made.
    pub(crate) foreign: u64,
}

impl Seen {
    pub(crate) fn of(pair: &Pair) -> Self {
        let (at_source, at_target) = (pair.is_at_source().into(), pair.is_at_target().into());
        Self { at_source, at_target, ..Self::default() }
    }

    pub(crate) fn pair(&mut self, pair: &Pair) {
        self.add(&Self::of(pair));
    }

    /// Counts an image that is only planned.
    pub(crate) fn planned(&mut self, sides: &Self, entry: &Entry) {
        self.add(sides);
        self.failures += u64::from(entry.error().is_some());
        self.extra(entry);
    }

    fn add(&mut self, sides: &Self) {
        self.at_source += sides.at_source;
        self.at_target += sides.at_target;
    }

    pub(crate) fn extra(&mut self, entry: &Entry) {
        if matches!(entry.step, Step::Remove) {
            self.extras.push((entry.image.id.clone(), entry.image.label().to_owned()));
        }
        let is_foreign = provenance::source(&entry.image.attributes).is_none();
        self.foreign += u64::from(entry.state == State::Extra && is_foreign);
    }

    /// Why none of the extra images may be removed, if that is so.
    pub(crate) fn refusal(&self, prune: Prune) -> Option<NothingRemoved> {
        let found = self.extras.len() as u64;
        let most = prune.most.of(self.at_target);
        match self {
            _ if found == 0 => None,
            Self { at_source: 0, .. } => Some(NothingRemoved::EmptySource { found }),
            Self { failures: 1.., .. } | Self { in_use: 1.., .. } => {
                Some(NothingRemoved::Failures { found })
            }
            _ if found > most => Some(NothingRemoved::TooMany { found, most }),
            _ => None,
        }
    }
}
