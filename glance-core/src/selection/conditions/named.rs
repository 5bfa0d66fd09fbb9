//! The images that a selection names one by one.

use std::collections::BTreeSet;

use super::{Condition, Selection};
use crate::image::{Image, ImageId};

/// Images that a selection names by id or by complete name. An operator who names an image expects
/// that it exists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedImages {
    /// The ids, without those of other shards.
    pub ids: BTreeSet<ImageId>,
    /// The complete names.
    pub names: BTreeSet<String>,
}

impl NamedImages {
    /// Whether no image is named.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.names.is_empty()
    }

    /// Removes the id and the name of an image that exists.
    pub fn found(&mut self, image: &Image) {
        self.ids.remove(&image.id);
        if let Some(name) = &image.attributes.name {
            self.names.remove(name);
        }
    }
}

impl Selection {
    /// The images that the selection names by id or by complete name.
    pub fn named(&self) -> NamedImages {
        let mut named = NamedImages::default();
        let mut ids: Vec<&BTreeSet<ImageId>> = self.ids().into_iter().collect();
        for condition in self.wanted().iter().flatten() {
            match condition {
                Condition::Ids(more) => ids.push(more),
                Condition::Name(pattern) => {
                    named.names.extend(pattern.exactly().map(str::to_owned));
                }
                _ => {}
            }
        }
        let in_shard = |id: &&ImageId| self.shard().is_none_or(|shard| shard.contains(id));
        named.ids.extend(ids.into_iter().flatten().filter(in_shard).cloned());
        named
    }

    /// Whether the selection names every image that it may admit, so that their ids can be found
    /// before anything else is listed.
    pub fn names_all(&self) -> bool {
        let is_exact = |condition: &Condition| match condition {
            Condition::Ids(_) => true,
            Condition::Name(pattern) => pattern.exactly().is_some(),
            _ => false,
        };
        self.ids().is_some() || self.wanted().iter().any(|same| same.iter().all(is_exact))
    }
}
