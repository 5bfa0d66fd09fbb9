//! Selections: conditions on image records, and their combination.
//!
//! A [`Selection`] is a plain value. Stores use it to filter listings
//! ([`ImageStore::list`](crate::ImageStore)) and pass it to their server as far as the server's API
//! can express it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::image::{Image, ImageId};

mod condition;
mod latest;
mod named;
mod shard;
mod subset;
mod text;

pub use condition::{Condition, NamePattern};
pub use latest::Latest;
pub use named::NamedImages;
pub use shard::{InvalidShard, Shard};
pub use subset::{InvalidSubset, Subset};
pub use text::{InvalidCondition, instant};

/// A set of images, described by conditions; by default, all images. Cloning is cheap.
///
/// A selection admits an image if the image fulfils at least one condition of every wanted kind and
/// no unwanted condition, no ordered rule excludes it, and it belongs to the shard. Ids and names
/// are one kind, because an operator names an image by either.
#[derive(Debug, Clone, Default)]
pub struct Selection(Arc<Parts>);

#[derive(Debug, Clone, Default)]
struct Parts {
    /// Separate from the other conditions, because there can be many ids. If names are wanted, too,
    /// the wanted ids are a condition of the same group as the names.
    ids: Option<Arc<BTreeSet<ImageId>>>,
    /// Conditions of the same kind, grouped: an image must fulfil one of each group.
    wanted: Vec<Vec<Condition>>,
    unwanted: Vec<Condition>,
    ordered: Vec<Rule>,
    shard: Option<Shard>,
}

impl Selection {
    /// All images.
    pub fn everything() -> Self {
        Self::default()
    }

    /// The existing images among these ids.
    pub fn of_ids(ids: BTreeSet<ImageId>) -> Self {
        Self(Arc::new(Parts { ids: Some(Arc::new(ids)), ..Parts::default() }))
    }

    /// The images that fulfil at least one condition of each kind in `wanted` and none of
    /// `unwanted`. The first matching rule of `ordered` then admits or excludes the image; an image
    /// that no rule matches is admitted.
    pub fn new(
        wanted: impl IntoIterator<Item = Condition>,
        unwanted: impl IntoIterator<Item = Condition>,
        ordered: impl IntoIterator<Item = Rule>,
    ) -> Self {
        let mut parts = Parts {
            unwanted: unwanted.into_iter().collect(),
            ordered: ordered.into_iter().collect(),
            ..Parts::default()
        };
        let mut ids: Option<BTreeSet<ImageId>> = None;
        for condition in wanted {
            if let Condition::Ids(more) = condition {
                ids.get_or_insert_default().extend(more);
                continue;
            }
            match parts.wanted.iter_mut().find(|same| same[0].is_of_kind(&condition)) {
                Some(same) => same.push(condition),
                None => parts.wanted.push(vec![condition]),
            }
        }
        let names = parts.wanted.iter_mut().find(|same| matches!(same[0], Condition::Name(_)));
        match (names, ids) {
            (Some(names), Some(ids)) => names.push(Condition::Ids(ids)),
            (_, ids) => parts.ids = ids.map(Arc::new),
        }
        Self(Arc::new(parts))
    }

    /// Restricts the selection to images with one of these ids.
    #[must_use]
    pub fn among(&self, mut ids: BTreeSet<ImageId>) -> Self {
        if let Some(known) = self.ids() {
            ids.retain(|id| known.contains(id));
        }
        Self(Arc::new(Parts { ids: Some(Arc::new(ids)), ..Parts::clone(&self.0) }))
    }

    /// Restricts the selection to this shard; `None` removes the restriction.
    #[must_use]
    pub fn in_shard(&self, shard: Option<Shard>) -> Self {
        Self(Arc::new(Parts { shard, ..Parts::clone(&self.0) }))
    }

    /// The selection with only its ids and its shard, without the other conditions.
    #[must_use]
    pub fn ids_only(&self) -> Self {
        let Parts { ids, shard, .. } = &*self.0;
        Self(Arc::new(Parts { ids: ids.clone(), shard: *shard, ..Parts::default() }))
    }

    /// Whether the selection has no condition, so that it admits every image.
    pub fn is_everything(&self) -> bool {
        let Parts { ids, wanted, unwanted, ordered, shard } = &*self.0;
        let no_conditions = wanted.is_empty() && unwanted.is_empty() && ordered.is_empty();
        ids.is_none() && shard.is_none() && no_conditions
    }

    /// Whether the selection admits `image`.
    pub fn admits(&self, image: &Image) -> bool {
        let Parts { wanted, unwanted, ordered, .. } = &*self.0;
        let holds = |condition: &Condition| condition.holds(image);
        let fits = |rule: &&Rule| rule.condition.as_ref().is_none_or(holds);
        self.admits_id(&image.id)
            && wanted.iter().all(|same| same.iter().any(holds))
            && !unwanted.iter().any(holds)
            && ordered.iter().find(fits).is_none_or(|rule| rule.admits)
    }

    /// Whether the selection might admit an image whose record could be read only in part. `read`
    /// contains at least the id, and the name if it could be read.
    pub fn may_admit(&self, read: &Image) -> bool {
        let Parts { wanted, unwanted, ordered, .. } = &*self.0;
        // `None`: unknown, because the field could not be read.
        let holds = |condition: &Condition| match condition {
            Condition::Ids(_) => Some(condition.holds(read)),
            Condition::Name(_) if read.attributes.name.is_some() => Some(condition.holds(read)),
            _ => None,
        };
        let fits = |rule: &Rule| rule.condition.as_ref().map_or(Some(true), holds);
        let decisive = ordered.iter().find(|rule| fits(rule) != Some(false));
        self.admits_id(&read.id)
            && wanted.iter().all(|same| same.iter().any(|one| holds(one) != Some(false)))
            && !unwanted.iter().any(|one| holds(one) == Some(true))
            && decisive.is_none_or(|rule| rule.admits || fits(rule).is_none())
    }

    /// Whether the selection might admit an image with this id. Checks only the ids and the shard.
    pub fn admits_id(&self, id: &ImageId) -> bool {
        let Parts { ids, shard, .. } = &*self.0;
        ids.as_ref().is_none_or(|ids| ids.contains(id)) && shard.is_none_or(|it| it.contains(id))
    }

    /// The shard that the selection is restricted to.
    pub fn shard(&self) -> Option<Shard> {
        self.0.shard
    }

    /// The ids that the selection is restricted to; `None` for any id.
    pub fn ids(&self) -> Option<&BTreeSet<ImageId>> {
        self.0.ids.as_deref()
    }

    /// The wanted conditions other than [`ids`](Self::ids), in groups. An image must fulfil one
    /// condition of each group.
    pub fn wanted(&self) -> &[Vec<Condition>] {
        &self.0.wanted
    }

    /// The unwanted conditions. An image must fulfil none of them.
    pub fn unwanted(&self) -> &[Condition] {
        &self.0.unwanted
    }

    /// The ordered rules. The first rule that matches decides.
    pub fn ordered(&self) -> &[Rule] {
        &self.0.ordered
    }
}

/// One of the ordered rules, such as `- tag=old`.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Whether matching images are admitted or excluded.
    pub admits: bool,
    /// The condition that an image must fulfil to match; `None` matches every image.
    pub condition: Option<Condition>,
}

/// Parses `+` or `-`, followed by a condition as `KIND=VALUE` or by `*`.
impl FromStr for Rule {
    type Err = InvalidCondition;

    fn from_str(text: &str) -> Result<Self, InvalidCondition> {
        let (admits, rest) = match text.split_at_checked(1) {
            Some(("+", rest)) => (true, rest),
            Some(("-", rest)) => (false, rest),
            _ => {
                return Err(InvalidCondition::new(format!("{text:?} does not begin with + or -")));
            }
        };
        let condition = match rest.trim() {
            "*" => None,
            condition => Some(condition.parse()?),
        };
        Ok(Self { admits, condition })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.admits { '+' } else { '-' };
        match &self.condition {
            None => write!(f, "{sign} *"),
            Some(condition) => write!(f, "{sign} {condition}"),
        }
    }
}

#[cfg(test)]
mod tests;
