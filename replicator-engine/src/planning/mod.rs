//! Decides what one image needs, from its records in both stores.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value, json};

use glance_core::image::{Attributes, Image, Member, Status};

use super::mapping::Wanted;
use super::{CopyError, CopyScope, Policy};
use crate::copying::upload::chain;
use crate::planning::loss::Loss;
use glance_core::verified_body::Expected;

pub(crate) mod inspect;
pub(crate) mod loss;

/// State of a replica compared with its image. `Display` writes the word used in reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Replica and image are equal.
    Same,
    /// The target has no replica.
    Missing,
    /// Attributes or properties differ.
    Metadata,
    /// Only the members differ.
    Members,
    /// The image is deactivated, hidden or protected on one side only.
    Status,
    /// The data differs. An update can't repair this: the data of an image id never changes.
    Content,
    /// Only the target holds the image.
    Extra,
    /// The target's record has no data yet.
    Partial,
    /// Nothing differs, but the records have no common digest that proves the data.
    Unverifiable,
    /// The image is deliberately not replicated.
    Skipped,
    /// The image can't be replicated.
    Blocked,
}

impl State {
    /// All states, in the order used by reports.
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

    /// The word used in reports.
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

/// One image in both stores, and the step planned for it.
#[derive(Debug)]
pub struct Entry {
    /// The image at the source, or the target's image if the source has none.
    pub image: Image,
    /// The replica at the target.
    pub replica: Option<Image>,
    /// State of the replica.
    pub state: State,
    /// All differences that replication would resolve.
    pub differences: Vec<Difference>,
    /// The reason for the state, where the state alone does not explain it.
    pub reason: Option<String>,
    /// Notes on what was translated for the target.
    pub notes: Vec<String>,
    /// Parts that could not be translated and therefore differ at the target.
    pub losses: Vec<Loss>,
    pub(super) step: Step,
}

/// The planned step for one image.
#[derive(Debug)]
pub(super) enum Step {
    /// Make a record and copy the data.
    Copy(Goal),
    /// Make a record without data.
    Record(Goal),
    /// Copy the data into the existing record.
    Complete(Goal),
    /// Update record, members and activation where they differ.
    Reconcile(Goal),
    /// Remove (hide, deactivate or delete) an image that only the target holds.
    Remove,
    /// Do nothing.
    Nothing,
    /// Report this error.
    Fail(CopyError),
}

/// The wanted state of a replica.
#[derive(Debug, Clone)]
pub(super) struct Goal {
    pub(super) wanted: Wanted,
    /// The wanted members. `None` if the image is not shared, or the source does not show its
    /// members.
    pub(super) members: Option<Vec<Member>>,
}

impl Goal {
    /// The goal for a newly made record. An empty member list becomes `None`, since the record has
    /// no members to remove.
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

    /// The action of a run, in one word: `copy`, `record`, `complete`, `update`, `remove`, or
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

    /// The entry as stored in a saved plan: the decision, and the fields it was based on.
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

    /// The error, if the image can't be replicated.
    pub fn error(&self) -> Option<&CopyError> {
        match &self.step {
            Step::Fail(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the step fills a replica: a copy, a new record, or a completion.
    pub(super) fn begins(&self) -> bool {
        matches!(self.step, Step::Copy(_) | Step::Record(_) | Step::Complete(_))
    }

    /// Whether the step copies data.
    pub(super) fn moves_data(&self) -> bool {
        matches!(self.step, Step::Copy(_) | Step::Complete(_))
    }

    /// Number of data bytes that a run would copy, according to the size in the source's record.
    pub fn outstanding(&self) -> u64 {
        match self.moves_data() {
            true => self.image.size.unwrap_or(0),
            false => 0,
        }
    }
}

/// The fields that change whenever an image changes, apart from its members.
fn basis(image: &Image) -> Value {
    json!({
        "id": image.id.as_str(), "status": image.status.as_str(), "updated_at": image.updated_at,
        "size": image.size, "os_hash_value": image.os_hash_value, "checksum": image.checksum,
    })
}

/// Plans the step for an image that has no data at the source.
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

/// Plans the step for an image that has data at the source.
pub(super) fn with_data(
    image: Image,
    replica: Option<Image>,
    goal: Goal,
    policy: &Policy,
) -> Entry {
    if policy.scope == CopyScope::Records
        && replica.as_ref().is_none_or(|there| there.status == Status::Queued)
    {
        // From here on the image is treated as one without data.
        let record = Image { status: Status::Queued, size: None, ..image };
        return without_data(record, replica, goal, policy);
    }
    let Some(there) = &replica else {
        return match (policy.scope == CopyScope::HeldRecords, unverifiable(&image, policy)) {
            (true, _) => Entry::new(image, None, State::Missing, Step::Nothing)
                .because("the target does not hold it, and only metadata is replicated"),
            (false, Some(error)) => Entry::failed(image, None, error),
            (false, None) => Entry::new(image, None, State::Missing, Step::Copy(goal)),
        };
    };
    match (there.status, unverifiable(&image, policy)) {
        (Status::Queued, _) if policy.scope == CopyScope::HeldRecords => {
            Entry::new(image, replica, State::Partial, Step::Nothing)
                .because("the target has no data of it, and only metadata is replicated")
        }
        // With imports enabled, the new import request shows whether this one is still running.
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

/// Plans the step for an image whose replica has all available data.
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

/// The state of an image that differs in `field`. The greatest state of all fields is reported.
fn state_of(field: &str) -> State {
    match field {
        "status" | "os_hidden" | "protected" => State::Status,
        _ => State::Metadata,
    }
}

/// The error for an image whose digest can't be computed with the available algorithms.
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
    /// The value that the target should have, from the source's record; null for none.
    pub source: Value,
    /// The target's value; null for none.
    pub target: Value,
}

impl Difference {
    /// A JSON object with `field` and the values of both sides.
    pub fn to_json(&self) -> Value {
        json!({ "field": self.field, "source": self.source, "target": self.target })
    }
}

/// The attributes, properties and status in which a replica differs from the wanted ones.
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

/// The first difference between the contents, according to the records: first the size, then a
/// digest that both records have (`os_hash_value` if the algorithms are the same, else `checksum`).
/// A field missing in one record is not a difference.
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

/// Whether the records prove that both images hold the same bytes, given that no content difference
/// was found.
pub(super) fn is_provable(image: &Image, replica: &Image) -> bool {
    !image.status.has_data() || common_digest(image, replica).is_some()
}

/// A digest that two records have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Common<'a> {
    field: &'static str,
    pub(super) algorithm: &'a str,
    source: &'a str,
    target: &'a str,
}

/// The digest that both records have.
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
        // No digest is computed where the data is in place.
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
        // No other field proves that an image is empty, either.
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
