//! Selections without the feature `selection`: ids are the only condition.

use crate::image::{Image, ImageId};

#[derive(Debug, Default)]
pub(super) struct Conditions;

#[expect(clippy::unused_self, reason = "the methods of the module that has conditions")]
impl Conditions {
    pub(super) fn is_empty(&self) -> bool {
        true
    }

    pub(super) fn shard_only(&self) -> Self {
        Self
    }

    pub(super) fn hold(&self, _: &Image) -> bool {
        true
    }

    pub(super) fn may_hold(&self, _: &Image) -> bool {
        true
    }

    pub(super) fn hold_for_id(&self, _: &ImageId) -> bool {
        true
    }
}
