//! Which images are meant: conditions on their records, and how they combine.
//!
//! A [`Selection`] is a pure value. Stores list by it ([`ImageStore::list`](crate::ImageStore)), and
//! ask their server for no more than it admits where the server can tell.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::image::{Image, ImageId};

mod condition;
mod latest;
mod shard;
mod subset;
mod text;

pub use condition::{Condition, NamePattern};
pub use latest::Latest;
pub use shard::{InvalidShard, Shard};
pub use subset::{InvalidSubset, Subset};
pub use text::InvalidCondition;
pub(crate) use text::instant;

/// Which images are meant: by default, all of them. Cloning it is cheap.
///
/// An image is admitted when it fulfils a condition of every kind that is wanted, none that is
/// unwanted, the ordered rules do not leave it out, and it is in the shard.
#[derive(Debug, Clone, Default)]
pub struct Selection(Arc<Parts>);

#[derive(Debug, Clone, Default)]
struct Parts {
    /// Apart from the other conditions, because there can be many.
    ids: Option<Arc<BTreeSet<ImageId>>>,
    /// Conditions of the same kind stand together: one of them is enough.
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

    /// The images of these ids, as far as there are such.
    pub fn of_ids(ids: BTreeSet<ImageId>) -> Self {
        Self(Arc::new(Parts { ids: Some(Arc::new(ids)), ..Parts::default() }))
    }

    /// The images that fulfil a condition of each kind in `wanted` and none of `unwanted`, unless
    /// the first of the `ordered` rules that fits leaves them out. An image that no rule fits
    /// stays in.
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
        parts.ids = ids.map(Arc::new);
        Self(Arc::new(parts))
    }

    /// Those of its images that have one of these ids.
    #[must_use]
    pub fn among(&self, mut ids: BTreeSet<ImageId>) -> Self {
        if let Some(known) = self.ids() {
            ids.retain(|id| known.contains(id));
        }
        Self(Arc::new(Parts { ids: Some(Arc::new(ids)), ..Parts::clone(&self.0) }))
    }

    /// Those of its images that are in this shard, or, without one, in any.
    #[must_use]
    pub fn in_shard(&self, shard: Option<Shard>) -> Self {
        Self(Arc::new(Parts { shard, ..Parts::clone(&self.0) }))
    }

    /// Only what it says of ids.
    #[must_use]
    pub fn ids_only(&self) -> Self {
        let Parts { ids, shard, .. } = &*self.0;
        Self(Arc::new(Parts { ids: ids.clone(), shard: *shard, ..Parts::default() }))
    }

    /// Whether it has no condition, so that it admits every image.
    pub fn is_everything(&self) -> bool {
        let Parts { ids, wanted, unwanted, ordered, shard } = &*self.0;
        let no_conditions = wanted.is_empty() && unwanted.is_empty() && ordered.is_empty();
        ids.is_none() && shard.is_none() && no_conditions
    }

    /// Whether `image` is meant.
    pub fn admits(&self, image: &Image) -> bool {
        let Parts { wanted, unwanted, ordered, .. } = &*self.0;
        let holds = |condition: &Condition| condition.holds(image);
        let fits = |rule: &&Rule| rule.condition.as_ref().is_none_or(holds);
        self.admits_id(&image.id)
            && wanted.iter().all(|same| same.iter().any(holds))
            && !unwanted.iter().any(holds)
            && ordered.iter().find(fits).is_none_or(|rule| rule.admits)
    }

    /// Whether an image can be meant of which only this could be read: at least its id, and its name
    /// if there is one here.
    pub fn may_admit(&self, read: &Image) -> bool {
        let Parts { wanted, unwanted, ordered, .. } = &*self.0;
        // None where nobody knows.
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

    /// Whether an image of this id can be meant, as far as an id tells.
    pub fn admits_id(&self, id: &ImageId) -> bool {
        let Parts { ids, shard, .. } = &*self.0;
        ids.as_ref().is_none_or(|ids| ids.contains(id)) && shard.is_none_or(|it| it.contains(id))
    }

    /// The part of all images that the others are left out of.
    pub fn shard(&self) -> Option<Shard> {
        self.0.shard
    }

    /// The ids that are named. Without them, images of any id can be meant.
    pub fn ids(&self) -> Option<&BTreeSet<ImageId>> {
        self.0.ids.as_deref()
    }

    /// The other conditions that are wanted: of each of these groups, one.
    pub fn wanted(&self) -> &[Vec<Condition>] {
        &self.0.wanted
    }

    /// The conditions of which none may be fulfilled.
    pub fn unwanted(&self) -> &[Condition] {
        &self.0.unwanted
    }

    /// The rules of which the first that fits decides.
    pub fn ordered(&self) -> &[Rule] {
        &self.0.ordered
    }
}

/// A rule in an order of them, such as `- tag=old`.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Whether the images that it fits are in or out.
    pub admits: bool,
    /// What it fits; without it, every image.
    pub condition: Option<Condition>,
}

/// `+` or `-`, and a condition as `KIND=VALUE` or `*`.
impl FromStr for Rule {
    type Err = InvalidCondition;

    fn from_str(text: &str) -> Result<Self, InvalidCondition> {
        let (admits, rest) = match text.split_at_checked(1) {
            Some(("+", rest)) => (true, rest),
            Some(("-", rest)) => (false, rest),
            _ => {
                return Err(InvalidCondition::new(format!("{text:?} begins with neither + nor -")));
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
