//! Decides what one image needs, from its records in both stores.

use std::collections::BTreeSet;

use futures_util::stream::StreamExt;
use serde_json::{Map, Value};

use glance_core::image::{Attributes, Image, Status};
use glance_core::store::StoreError;
use glance_core::verified_body::Expected;

use crate::comparison::{Difference, content_difference, is_provable};
use crate::error::{CopyError, NothingRemoved};
use crate::events::Compared;
use crate::pairing::merge_join::Pair;
use crate::policy::{CopyScope, Policy};
use crate::replication::Replication;
use crate::state::State;

mod ahead;
mod entry;
mod extra;
mod inspect;
mod members;
mod removals;

pub(crate) use ahead::{examined_ahead, while_working};
pub use entry::Entry;
pub(crate) use entry::{Goal, Step};
pub(crate) use members::{SourceMembers, adds_member};
pub(crate) use removals::Seen;

impl Replication {
    /// Compares both stores and passes one entry per image of either store to `observe`, ordered by
    /// id. Changes nothing.
    ///
    /// Returns why a run would carry out none of the planned removals, if that is so.
    ///
    /// # Errors
    /// When one of the stores can't be listed.
    pub async fn plan(
        &self,
        mut observe: impl FnMut(Entry),
    ) -> Result<Option<NothingRemoved>, StoreError> {
        let moved = self.reassigned().await?;
        let mut this = self.with_id_map(moved.ids());
        this.policy.members = this.policy.members.of_plan();
        let this = &this;
        let pairs = this.pairs(&moved).await?;
        let examine = async |pair: Result<Pair, StoreError>| {
            let pair = pair?;
            let sides = Seen::of(&pair);
            Ok::<_, StoreError>((sides, this.examine(pair, &SourceMembers::default()).await))
        };
        let (mut entries, examining) =
            examined_ahead(pairs, self.policy.examined_at_once(), examine);
        let work = async {
            let mut compared = Compared::by(&self.policy.events);
            let mut seen = Seen::default();
            while let Some(examined) = entries.next().await {
                let (sides, entry) = examined?;
                seen.planned(&sides, &entry);
                observe(entry);
                compared.count();
            }
            Ok(self.policy.prune.and_then(|prune| seen.refusal(prune)))
        };
        while_working(examining, work).await
    }

    /// The number of data bytes that [`run`](Self::run) would copy, according to the sizes in the
    /// source's records. Changes nothing.
    ///
    /// # Errors
    /// When one of the stores can't be listed.
    pub async fn outstanding(&self) -> Result<u64, StoreError> {
        let mut bytes = 0_u64;
        self.plan(|entry| bytes = bytes.saturating_add(entry.outstanding())).await?;
        Ok(bytes)
    }
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
            let reason = format!(
                "the image has no data at the source, but is {} at the target",
                there.status
            );
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
                .because("the target does not hold the image, and only metadata is replicated"),
            (false, Some(error)) => Entry::failed(image, None, error),
            (false, None) => Entry::new(image, None, State::Missing, Step::Copy(goal)),
        };
    };
    match (there.status, unverifiable(&image, policy)) {
        (Status::Queued, _) if policy.scope == CopyScope::HeldRecords => {
            Entry::new(image, replica, State::Partial, Step::Nothing)
                .because("the target's record has no data, and only metadata is replicated")
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
    let wanted = policy.onto(&goal.wanted, &image, there);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Wanted;
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
            let said = "the image cannot be verified in FIPS mode: its only digest is md5";
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
    fn a_replica_is_adopted_if_its_data_is_proven_and_it_has_no_mark() {
        let source = crate::provenance::Source::new("https://a");
        let adopting = Policy { stamp: Some(source), adopt: true, ..Policy::default() };
        let proven = Image { checksum: Some("0".repeat(32)), ..image(Status::Active) };
        let entry = decide(&proven, Some(proven.clone()), &adopting);
        let fields: Vec<&str> = entry.differences.iter().map(|one| &*one.field).collect();
        assert_eq!((fields, entry.action()), (vec!["glance_replicator.source"], "update"));
        let not_adopting = Policy { adopt: false, ..adopting.clone() };
        let unproven = image(Status::Active);
        let mut of_another = proven.clone();
        let mark = ("glance_replicator.source".to_owned(), "sha256:00".to_owned());
        of_another.attributes.properties.extend([mark]);
        for (image, replica, policy) in [
            (&proven, &proven, &not_adopting),
            (&unproven, &unproven, &adopting),
            (&proven, &of_another, &adopting),
        ] {
            assert_eq!(decide(image, Some(replica.clone()), policy).action(), "nothing");
        }
    }

    #[test]
    fn an_upload_in_progress_is_not_disturbed() {
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
    fn a_missing_field_is_not_a_difference() {
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
