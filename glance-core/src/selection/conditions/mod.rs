//! The conditions of a selection other than its ids.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Selection;
use crate::image::{Image, ImageId};

mod condition;
mod latest;
mod named;
mod rule;
mod shard;
mod subset;
mod text;

pub use condition::{Condition, NamePattern};
pub use latest::Latest;
pub use named::NamedImages;
pub use rule::Rule;
pub use shard::{InvalidShard, Shard};
pub use subset::{InvalidSubset, Subset};
pub use text::{InvalidCondition, instant};

#[derive(Debug, Clone, Default)]
pub(super) struct Conditions {
    /// Conditions of the same kind, grouped: an image must fulfil one of each group.
    wanted: Vec<Vec<Condition>>,
    unwanted: Vec<Condition>,
    ordered: Vec<Rule>,
    shard: Option<Shard>,
}

impl Conditions {
    pub(super) fn is_empty(&self) -> bool {
        let Self { wanted, unwanted, ordered, shard } = self;
        wanted.is_empty() && unwanted.is_empty() && ordered.is_empty() && shard.is_none()
    }

    pub(super) fn shard_only(&self) -> Self {
        Self { shard: self.shard, ..Self::default() }
    }

    /// The conditions that the record must fulfil, without that on its id.
    pub(super) fn hold(&self, image: &Image) -> bool {
        let Self { wanted, unwanted, ordered, .. } = self;
        let holds = |condition: &Condition| condition.holds(image);
        let fits = |rule: &&Rule| rule.condition.as_ref().is_none_or(holds);
        wanted.iter().all(|same| same.iter().any(holds))
            && !unwanted.iter().any(holds)
            && ordered.iter().find(fits).is_none_or(|rule| rule.admits)
    }

    pub(super) fn may_hold(&self, read: &Image) -> bool {
        let Self { wanted, unwanted, ordered, .. } = self;
        // `None`: unknown, because the field could not be read.
        let holds = |condition: &Condition| match condition {
            Condition::Ids(_) => Some(condition.holds(read)),
            Condition::Name(_) if read.attributes.name.is_some() => Some(condition.holds(read)),
            _ => None,
        };
        let fits = |rule: &Rule| rule.condition.as_ref().map_or(Some(true), holds);
        let decisive = ordered.iter().find(|rule| fits(rule) != Some(false));
        wanted.iter().all(|same| same.iter().any(|one| holds(one) != Some(false)))
            && !unwanted.iter().any(|one| holds(one) == Some(true))
            && decisive.is_none_or(|rule| rule.admits || fits(rule).is_none())
    }

    pub(super) fn hold_for_id(&self, id: &ImageId) -> bool {
        self.shard.is_none_or(|shard| shard.contains(id))
    }
}

impl Selection {
    /// The images that fulfil at least one condition of each kind in `wanted` and none of
    /// `unwanted`. The first matching rule of `ordered` then admits or excludes the image; an image
    /// that no rule matches is admitted.
    pub fn new(
        wanted: impl IntoIterator<Item = Condition>,
        unwanted: impl IntoIterator<Item = Condition>,
        ordered: impl IntoIterator<Item = Rule>,
    ) -> Self {
        let mut conditions = Conditions {
            unwanted: unwanted.into_iter().collect(),
            ordered: ordered.into_iter().collect(),
            ..Conditions::default()
        };
        let mut ids: Option<BTreeSet<ImageId>> = None;
        for condition in wanted {
            if let Condition::Ids(more) = condition {
                ids.get_or_insert_default().extend(more);
                continue;
            }
            match conditions.wanted.iter_mut().find(|same| same[0].is_of_kind(&condition)) {
                Some(same) => same.push(condition),
                None => conditions.wanted.push(vec![condition]),
            }
        }
        let names = conditions.wanted.iter_mut().find(|same| matches!(same[0], Condition::Name(_)));
        let ids = match (names, ids) {
            (Some(names), Some(ids)) => {
                names.push(Condition::Ids(ids));
                None
            }
            (_, ids) => ids.map(Arc::new),
        };
        Self { ids, conditions: Arc::new(conditions) }
    }

    /// Restricts the selection to this shard; `None` removes the restriction.
    #[must_use]
    pub fn in_shard(&self, shard: Option<Shard>) -> Self {
        let conditions = Conditions { shard, ..Conditions::clone(&self.conditions) };
        Self { ids: self.ids.clone(), conditions: Arc::new(conditions) }
    }

    /// The shard that the selection is restricted to.
    pub fn shard(&self) -> Option<Shard> {
        self.conditions.shard
    }

    /// The wanted conditions other than [`ids`](Self::ids), in groups. An image must fulfil one
    /// condition of each group.
    pub fn wanted(&self) -> &[Vec<Condition>] {
        &self.conditions.wanted
    }

    /// The unwanted conditions. An image must fulfil none of them.
    pub fn unwanted(&self) -> &[Condition] {
        &self.conditions.unwanted
    }

    /// The ordered rules. The first rule that matches decides.
    pub fn ordered(&self) -> &[Rule] {
        &self.conditions.ordered
    }
}

#[cfg(test)]
mod tests;
