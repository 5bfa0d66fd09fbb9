//! Selections: conditions on image records, and their combination.
//!
//! A [`Selection`] is a plain value. Stores use it to filter listings
//! ([`ImageStore::list`](crate::ImageStore)) and pass it to their server as far as the server's API
//! can express it.
//!
//! Without the Cargo feature `selection`, the only condition is a set of ids.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::image::{Image, ImageId};

#[cfg_attr(not(feature = "selection"), path = "no_conditions.rs")]
mod conditions;

#[cfg(feature = "selection")]
pub use conditions::{
    Condition, InvalidCondition, InvalidShard, InvalidSubset, Latest, NamePattern, NamedImages,
    Rule, Shard, Subset, instant,
};

use conditions::Conditions;

/// A set of images, described by conditions; by default, all images. Cloning is cheap.
///
/// A selection admits an image if the image fulfils at least one condition of every wanted kind and
/// no unwanted condition, no ordered rule excludes it, and it belongs to the shard. Ids and names
/// are one kind, because an operator names an image by either.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Separate from the other conditions, because there can be many ids. If names are wanted, too,
    /// the wanted ids are a condition of the same group as the names.
    ids: Option<Arc<BTreeSet<ImageId>>>,
    conditions: Arc<Conditions>,
}

impl Selection {
    /// All images.
    pub fn everything() -> Self {
        Self::default()
    }

    /// The existing images among these ids.
    pub fn of_ids(ids: BTreeSet<ImageId>) -> Self {
        Self { ids: Some(Arc::new(ids)), ..Self::default() }
    }

    /// Restricts the selection to images with one of these ids.
    #[must_use]
    pub fn among(&self, mut ids: BTreeSet<ImageId>) -> Self {
        if let Some(known) = self.ids() {
            ids.retain(|id| known.contains(id));
        }
        Self { ids: Some(Arc::new(ids)), conditions: Arc::clone(&self.conditions) }
    }

    /// The selection with only its ids and its shard, without the other conditions.
    #[must_use]
    pub fn ids_only(&self) -> Self {
        Self { ids: self.ids.clone(), conditions: Arc::new(self.conditions.shard_only()) }
    }

    /// Whether the selection has no condition, so that it admits every image.
    pub fn is_everything(&self) -> bool {
        self.ids.is_none() && self.conditions.is_empty()
    }

    /// Whether the selection admits `image`.
    pub fn admits(&self, image: &Image) -> bool {
        self.admits_id(&image.id) && self.conditions.hold(image)
    }

    /// Whether the selection might admit an image whose record could be read only in part. `read`
    /// contains at least the id, and the name if it could be read.
    pub fn may_admit(&self, read: &Image) -> bool {
        self.admits_id(&read.id) && self.conditions.may_hold(read)
    }

    /// Whether the selection might admit an image with this id. Checks only the ids and the shard.
    pub fn admits_id(&self, id: &ImageId) -> bool {
        self.ids().is_none_or(|ids| ids.contains(id)) && self.conditions.hold_for_id(id)
    }

    /// The ids that the selection is restricted to; `None` for any id.
    pub fn ids(&self) -> Option<&BTreeSet<ImageId>> {
        self.ids.as_deref()
    }
}
