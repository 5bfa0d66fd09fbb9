//! What one image needs: decided from what the two stores say of it.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value, json};

use glance_core::image::{Attributes, Image, Member, Status};

use super::mapping::Wanted;
use super::{CopyError, Policy, Scope};
use crate::copying::upload::chain;
use crate::planning::loss::Loss;
use glance_core::verified_body::Expected;

pub(crate) mod inspect;
pub(crate) mod loss;

/// How the replica of an image is. `Display` is the word of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Replica and image are the same.
    Same,
    /// The target has no replica.
    Missing,
    /// Attributes or properties differ.
    Metadata,
    /// Only the members differ.
    Members,
    /// It is deactivated, hidden or protected on one side only.
    Status,
    /// The data differs. Nothing mends that: data never changes under an id.
    Content,
    /// Only the target has it.
    Extra,
    /// The target's record has no data yet.
    Partial,
    /// All is the same, but no digest that both have proves the data.
    Unverifiable,
    /// It is not replicated, on purpose.
    Skipped,
    /// It can't be replicated.
    Blocked,
}

impl State {
    /// Every state, in the order of reports.
    pub const ALL: [Self; 11] = [
        Self::Same,
        Self::Missing,
        Self::Metadata,
        Self::Members,
        Self::Status,
        Self::Content,
        Self::Extra,
        Self::Partial,
        Self::Unverifiable,
        Self::Skipped,
        Self::Blocked,
    ];

    /// The word of reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Missing => "missing",
            Self::Metadata => "metadata",
            Self::Members => "members",
            Self::Status => "status",
            Self::Content => "content",
            Self::Extra => "extra",
            Self::Partial => "partial",
            Self::Unverifiable => "unverifiable",
            Self::Skipped => "skipped",
            Self::Blocked => "blocked",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One image as both stores have it, and what replication makes of it.
#[derive(Debug)]
pub struct Entry {
    /// The image at the source, or the target's own where the source has none.
    pub image: Image,
    /// Its replica at the target.
    pub replica: Option<Image>,
    /// How the replica is.
    pub state: State,
    /// Every difference that replication would not leave.
    pub differences: Vec<Difference>,
    /// Why, where the state alone does not tell.
    pub reason: Option<String>,
    /// What was translated on its way.
    pub notes: Vec<String>,
    /// What could not be, and is not as at the source.
    pub losses: Vec<Loss>,
    pub(super) step: Step,
}

/// What is to be done with one image.
#[derive(Debug)]
pub(super) enum Step {
    /// Make a record and copy the data.
    Copy(Goal),
    /// Make a record without data.
    Record(Goal),
    /// Copy the data into the record that is there.
    Complete(Goal),
    /// Bring record, members and activation up to date where they differ.
    Reconcile(Goal),
    /// Take an image that only the target has out of sight, or away.
    Remove,
    /// Nothing.
    Nothing,
    /// Nothing can be done.
    Fail(CopyError),
}

/// What the target should hold of an image.
#[derive(Debug, Clone)]
pub(super) struct Goal {
    pub(super) wanted: Wanted,
    /// Absent where there can be none, or where the source does not show them.
    pub(super) members: Option<Vec<Member>>,
}

impl Goal {
    /// The same for a record that was made just now, and has no members that could be too many.
    pub(super) fn of_new(&self) -> Self {
        let members = self.members.clone().filter(|members| !members.is_empty());
        Self { members, ..self.clone() }
    }
}

impl Entry {
    pub(super) fn new(image: Image, replica: Option<Image>, state: State, step: Step) -> Self {
        Self {
            image,
            replica,
            state,
            differences: Vec::new(),
            reason: None,
            notes: Vec::new(),
            losses: Vec::new(),
            step,
        }
    }

    pub(super) fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    pub(super) fn failed(image: Image, replica: Option<Image>, error: CopyError) -> Self {
        let reason = chain(&error);
        Self::new(image, replica, State::Blocked, Step::Fail(error)).because(reason)
    }

    /// What a run would do, in one word: `copy`, `record`, `complete`, `update`, `remove`, or
    /// `nothing`.
    pub fn action(&self) -> &'static str {
        match self.step {
            Step::Copy(_) => "copy",
            Step::Record(_) => "record",
            Step::Complete(_) => "complete",
            Step::Reconcile(_) if !self.differences.is_empty() => "update",
            Step::Reconcile(_) | Step::Nothing | Step::Fail(_) => "nothing",
            Step::Remove => "remove",
        }
    }

    /// The entry as a plan that is kept has it: what it decides, and what that was decided from.
    pub fn to_json(&self) -> Value {
        let differences: Vec<Value> = self.differences.iter().map(Difference::to_json).collect();
        json!({
            "id": self.image.id.as_str(),
            "name": self.image.attributes.name,
            "state": self.state.as_str(),
            "action": self.action(),
            "reason": self.reason,
            "notes": self.notes,
            "losses": self.losses.iter().map(Loss::to_json).collect::<Vec<_>>(),
            "differences": differences,
            "image": basis(&self.image),
            "replica": self.replica.as_ref().map(basis),
        })
    }

    /// What can't be done, and why.
    pub fn error(&self) -> Option<&CopyError> {
        match &self.step {
            Step::Fail(error) => Some(error),
            _ => None,
        }
    }

    /// Whether there is something to make at the target.
    pub(super) fn begins(&self) -> bool {
        matches!(self.step, Step::Copy(_) | Step::Record(_) | Step::Complete(_))
    }

    /// Whether data is to be copied.
    pub(super) fn moves_data(&self) -> bool {
        matches!(self.step, Step::Copy(_) | Step::Complete(_))
    }

    /// The bytes of data that a run would copy, as far as the source's record tells.
    pub fn outstanding(&self) -> u64 {
        match self.moves_data() {
            true => self.image.size.unwrap_or(0),
            false => 0,
        }
    }
}

/// What changes when an image does, but for its members.
fn basis(image: &Image) -> Value {
    json!({
        "id": image.id.as_str(), "status": image.status.as_str(), "updated_at": image.updated_at,
        "size": image.size, "os_hash_value": image.os_hash_value, "checksum": image.checksum,
    })
}

/// Decides about an image that has no data at the source.
pub(super) fn without_data(
    image: Image,
    replica: Option<Image>,
    goal: Goal,
    policy: &Policy,
) -> Entry {
    match &replica {
        None => Entry::new(image, None, State::Missing, Step::Record(goal)),
        Some(there) if there.status == Status::Queued => in_place(image, there, goal, policy),
        Some(there) => {
            let reason = format!("it has no data at the source, and is {} here", there.status);
            Entry::new(image, replica, State::Skipped, Step::Nothing).because(reason)
        }
    }
}

/// Decides about an image that has its data at the source.
pub(super) fn with_data(
    image: Image,
    replica: Option<Image>,
    goal: Goal,
    policy: &Policy,
) -> Entry {
    if policy.scope == Scope::Records
        && replica.as_ref().is_none_or(|there| there.status == Status::Queued)
    {
        // From here on it is an image without data.
        let record = Image { status: Status::Queued, size: None, ..image };
        return without_data(record, replica, goal, policy);
    }
    let Some(there) = &replica else {
        return match (policy.scope == Scope::HeldRecords, unverifiable(&image, policy)) {
            (true, _) => Entry::new(image, None, State::Missing, Step::Nothing)
                .because("the target does not hold it, and only metadata is replicated"),
            (false, Some(error)) => Entry::failed(image, None, error),
            (false, None) => Entry::new(image, None, State::Missing, Step::Copy(goal)),
        };
    };
    match (there.status, unverifiable(&image, policy)) {
        (Status::Queued, _) if policy.scope == Scope::HeldRecords => {
            Entry::new(image, replica, State::Partial, Step::Nothing)
                .because("the target has no data of it, and only metadata is replicated")
        }
        // Who asks for another import is told whether this one is still alive.
        (Status::Queued, _) if there.is_importing() && !policy.imports() => Entry {
            state: State::Partial,
            ..Entry::failed(image, replica, CopyError::busy(Status::Importing))
        },
        (Status::Queued, Some(error)) => Entry::failed(image, replica, error),
        (Status::Queued, None) => Entry::new(image, replica, State::Partial, Step::Complete(goal))
            .because("the target's record has no data"),
        (Status::Active | Status::Deactivated, _) => in_place(image, there, goal, policy),
        (other, _) => {
            Entry { state: State::Partial, ..Entry::failed(image, replica, CopyError::busy(other)) }
        }
    }
}

/// Decides about an image whose replica has all the data that there is.
fn in_place(image: Image, there: &Image, goal: Goal, policy: &Policy) -> Entry {
    let replica = Some(there.clone());
    if let Some(difference) = content_difference(&image, there) {
        let error = CopyError::content_differs(difference.clone());
        let entry = Entry::failed(image, replica, error);
        return Entry { state: State::Content, differences: vec![difference], ..entry };
    }
    let wanted = policy.mapping.onto(&goal.wanted, &there.attributes);
    let mut differences = attribute_differences(&image, there, &wanted);
    let placement = policy.delivery.as_ref().map(|delivery| &delivery.placement);
    differences.extend(placement.and_then(|placement| placement.difference(there)));
    let state = match differences.iter().map(|found| state_of(&found.field)).max() {
        Some(state) => state,
        None if is_provable(&image, there) => State::Same,
        None => State::Unverifiable,
    };
    Entry { differences, ..Entry::new(image, replica, state, Step::Reconcile(goal)) }
}

/// The state of an image that differs in `field`. The greater of two says more.
fn state_of(field: &str) -> State {
    match field {
        "status" | "os_hidden" | "protected" => State::Status,
        _ => State::Metadata,
    }
}

/// Refuses data that its record's digest could prove, were it not one that can't be computed.
fn unverifiable(image: &Image, policy: &Policy) -> Option<CopyError> {
    let (algorithm, _) = Expected::of(image).digest?;
    let offered = policy.hashers.offers(algorithm);
    (!offered).then_some(CopyError::Unverifiable { algorithm })
}

/// One field in which a replica differs from its image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The field or property.
    pub field: String,
    /// What the target should have, by the source's record; null for nothing.
    pub source: Value,
    /// The target's value; null when it has none.
    pub target: Value,
}

impl Difference {
    /// `field`, and the values of both sides.
    pub fn to_json(&self) -> Value {
        json!({ "field": self.field, "source": self.source, "target": self.target })
    }
}

/// The attributes, properties and states in which a replica is not as it should be.
fn attribute_differences(image: &Image, replica: &Image, wanted: &Attributes) -> Vec<Difference> {
    let source = wanted.to_json();
    let target = replica.attributes.to_json();
    let keys: BTreeSet<&String> = source.keys().chain(target.keys()).collect();
    let value =
        |record: &Map<String, Value>, key: &String| record.get(key).cloned().unwrap_or_default();
    let differ = |key: &&String| source.get(*key) != target.get(*key);
    let difference = |key: &String| Difference {
        field: key.clone(),
        source: value(&source, key),
        target: value(&target, key),
    };
    let mut found: Vec<Difference> = keys.into_iter().filter(differ).map(difference).collect();
    if image.status != replica.status {
        found.push(Difference {
            field: "status".to_owned(),
            source: image.status.as_str().into(),
            target: replica.status.as_str().into(),
        });
    }
    found
}

/// Whether the two hold different bytes, as far as their records tell: by size, then by the
/// digest that both have, `os_hash_value` where the algorithms are the same, else `checksum`. What
/// a record does not say differs from nothing.
pub(super) fn content_difference(image: &Image, replica: &Image) -> Option<Difference> {
    let differ = |field: &str, source: Value, target: Value| {
        (source != target).then(|| Difference { field: field.to_owned(), source, target })
    };
    let sizes = image.size.zip(replica.size);
    if let Some(difference) =
        sizes.and_then(|(one, other)| differ("size", one.into(), other.into()))
    {
        return Some(difference);
    }
    let Common { field, source, target, .. } = common_digest(image, replica)?;
    differ(field, source.into(), target.into())
}

/// Whether the records prove that both hold the same bytes, given that they do not differ.
pub(super) fn is_provable(image: &Image, replica: &Image) -> bool {
    !image.status.has_data() || common_digest(image, replica).is_some()
}

/// A digest that two records have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Common<'a> {
    field: &'static str,
    pub(super) algorithm: &'a str,
    source: &'a str,
    target: &'a str,
}

/// A digest that both records have.
pub(super) fn common_digest<'a>(image: &'a Image, replica: &'a Image) -> Option<Common<'a>> {
    let both = |field, algorithm, one: &'a Option<String>, other: &'a Option<String>| {
        let (source, target) = one.as_deref().zip(other.as_deref())?;
        Some(Common { field, algorithm, source, target })
    };
    let algorithm = image.os_hash_algo.as_deref();
    let algorithm = algorithm.filter(|name| replica.os_hash_algo.as_deref() == Some(name));
    let os_hash = algorithm.and_then(|algorithm| {
        both("os_hash_value", algorithm, &image.os_hash_value, &replica.os_hash_value)
    });
    os_hash.or_else(|| both("checksum", MD5, &image.checksum, &replica.checksum))
}

/// The algorithm of `checksum`.
const MD5: &str = "md5";

#[cfg(test)]
mod tests {
    use super::*;
    use glance_core::digest::{Algorithm, Hashers};

    fn image(status: Status) -> Image {
        let id = "00000000-0000-4000-8000-000000000001".parse().unwrap();
        Image { status, ..Image::queued(id, Attributes::default()) }
    }

    fn decide(image: &Image, replica: Option<Image>, policy: &Policy) -> Entry {
        let wanted =
            Wanted { attributes: image.attributes.clone(), notes: Vec::new(), losses: Vec::new() };
        with_data(image.clone(), replica, Goal { wanted, members: None }, policy)
    }

    #[test]
    fn data_that_only_md5_proves_is_not_copied_without_md5() {
        let hashers = Hashers::new(|algorithm| match algorithm {
            Algorithm::Md5 => None,
            other => Hashers::default().begin(other),
        });
        let policy = Policy { hashers, ..Policy::default() };
        let old = Image { checksum: Some("0".repeat(32)), ..image(Status::Active) };
        for replica in [None, Some(image(Status::Queued))] {
            let entry = decide(&old, replica.clone(), &policy);
            let said = "it cannot be verified in FIPS mode: its only digest is md5";
            let error = entry.error().unwrap();
            assert_eq!((error.to_string().as_str(), error.is_integrity_failure()), (said, false));
            let offered = decide(&old, replica, &Policy::default());
            assert!(["copy", "complete"].contains(&offered.action()), "{offered:?}");
        }
        // Nothing is computed where the data is in place.
        assert_eq!(decide(&old, Some(old.clone()), &policy).state, State::Same);
        let (os_hash_algo, os_hash_value) = (Some("sha512".to_owned()), Some("0".repeat(128)));
        let current = Image { os_hash_algo, os_hash_value, ..old };
        assert_eq!(decide(&current, None, &policy).action(), "copy");
    }

    #[test]
    fn an_upload_under_way_is_left_alone() {
        for status in [Status::Saving, Status::Uploading, Status::Importing] {
            let entry = decide(&image(Status::Active), Some(image(status)), &Policy::default());
            assert_eq!((entry.state, entry.action()), (State::Partial, "nothing"));
            assert!(matches!(entry.error(), Some(CopyError::Busy { .. })));
        }
    }

    #[test]
    fn without_a_digest_in_common_nothing_is_proven() {
        let sized = Image { size: Some(3), ..image(Status::Active) };
        let md5 = Image { checksum: Some("0".repeat(32)), ..sized.clone() };
        let sha256 = |image: &Image| Image {
            os_hash_algo: Some("sha256".to_owned()),
            os_hash_value: Some("0".repeat(64)),
            ..image.clone()
        };
        let state = |image: &Image, replica: &Image| {
            decide(image, Some(replica.clone()), &Policy::default()).state
        };
        assert_eq!(state(&sized, &md5), State::Unverifiable);
        assert_eq!(state(&md5, &sha256(&sized)), State::Unverifiable);
        assert_eq!(state(&md5, &sha256(&md5)), State::Same);
        // That there are no bytes is said by nobody else either.
        let empty = Image { size: Some(0), ..image(Status::Active) };
        assert_eq!(state(&empty, &empty), State::Unverifiable);
    }

    #[test]
    fn what_a_record_does_not_say_differs_from_nothing() {
        let sized = Image { size: Some(3), ..image(Status::Active) };
        let md5 = Image { checksum: Some("0".repeat(32)), ..sized.clone() };
        let silent = Image { size: None, ..md5.clone() };
        let state = |image: &Image, replica: &Image| {
            decide(image, Some(replica.clone()), &Policy::default()).state
        };
        assert_eq!(state(&silent, &md5), State::Same);
        assert_eq!(state(&md5, &silent), State::Same);
        assert_eq!(state(&image(Status::Active), &md5), State::Unverifiable);
        let other = Image { checksum: Some("1".repeat(32)), ..silent };
        assert_eq!(state(&other, &md5), State::Content);
        assert_eq!(state(&Image { size: Some(4), ..md5.clone() }, &md5), State::Content);
    }
}
