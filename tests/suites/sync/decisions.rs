//! The state of every image, and the replicas of burned ids.

use std::sync::Arc;

use glance_core::Selection;
use glance_core::image::provenance;
use glance_core::image::{
    Attributes, Image, ImageId, Member, MemberStatus, Owner, Status, Visibility,
};
use glance_core::selection::{Condition, NamePattern};
use glance_core::store::ImageStore;
use glance_core::store::memory::MemoryStore;
use replicator_engine::mapping::{Mapping, Owners};
use replicator_engine::provenance::Source;
use replicator_engine::{Done, Entry, MatchBy, OnBurnedId, Policy, State};

use super::{attributes, deactivate, entries, id, outcomes, policy, put, replication};

fn stores() -> (Arc<MemoryStore>, Arc<MemoryStore>) {
    (Arc::new(MemoryStore::new("a")), Arc::new(MemoryStore::new("b")))
}

/// Changes the record of an image.
async fn change(store: &MemoryStore, id: &ImageId, how: impl FnOnce(&mut Attributes)) {
    let image = store.get(id).await.unwrap();
    let mut wanted = image.attributes.clone();
    how(&mut wanted);
    store.update(&image, &wanted).await.unwrap();
}

#[tokio::test]
async fn every_image_has_one_state() {
    let (a, b) = stores();
    for number in 1..=7 {
        put(&a, &id(number), attributes("an image"), b"abc").await;
    }
    for number in 2..=6 {
        put(&b, &id(number), attributes("an image"), b"abc").await;
    }
    put(&b, &id(7), attributes("an image"), b"abX").await;
    change(&b, &id(3), |wanted| wanted.min_ram = 1).await;
    for store in [&a, &b] {
        change(store, &id(4), |wanted| wanted.visibility = Visibility::Shared).await;
    }
    let member = Member { project: "p".to_owned(), status: MemberStatus::Accepted };
    a.set_members(&id(4), &[member]).await.unwrap();
    change(&b, &id(5), |wanted| wanted.os_hidden = true).await;
    deactivate(&b, &id(6)).await;
    a.create(&Image::queued(id(8), attributes("a record"))).await.unwrap();
    put(&b, &id(9), attributes("extra"), b"abc").await;
    put(&a, &id(10), attributes("an image"), b"abc").await;
    b.create(&Image::queued(id(10), attributes("an image"))).await.unwrap();

    let found = entries(&replication(&a, &b, policy())).await;
    let found: Vec<_> = found.iter().map(|entry| (entry.state, entry.action())).collect();
    let expected = [
        (State::Missing, "copy"),
        (State::Same, "nothing"),
        (State::Metadata, "update"),
        (State::Members, "update"),
        (State::Status, "update"),
        (State::Status, "update"),
        (State::Content, "nothing"),
        (State::Skipped, "nothing"),
        (State::Extra, "nothing"),
        (State::Partial, "complete"),
    ];
    assert_eq!(found, expected);
    let with_records = Policy { queued: true, ..policy() };
    let found = entries(&replication(&a, &b, with_records)).await;
    assert_eq!((found[7].state, found[7].action()), (State::Missing, "record"));
}

#[tokio::test]
async fn the_sync_brings_all_in_step_and_the_next_finds_nothing_to_do() {
    let (a, b) = stores();
    put(&a, &id(1), attributes("one"), b"abc").await;
    put(&a, &id(2), attributes("two"), b"abc").await;
    put(&b, &id(2), attributes("other name"), b"abc").await;
    let sync = replication(&a, &b, policy());
    outcomes(&sync).await;
    assert!(entries(&sync).await.iter().all(|entry| entry.state == State::Same));
    // Only images that the sync created carry its stamp.
    let stamped = async |number| {
        let replica = b.get(&id(number)).await.unwrap();
        replica.attributes.properties.get(provenance::SOURCE).cloned()
    };
    let source = Source::new(super::ORIGIN);
    assert_eq!((stamped(1).await.as_deref(), stamped(2).await), (Some(source.as_str()), None));
    assert!(!source.as_str().contains(super::ORIGIN));
}

/// Puts the image 1, which refers to other images.
async fn put_machine(store: &MemoryStore, references: &[(&str, usize)]) {
    let mut machine = attributes("machine");
    let references = references.iter().map(|(name, to)| ((*name).to_owned(), id(*to).to_string()));
    machine.properties.extend(references);
    put(store, &id(1), machine, b"abc").await;
}

#[tokio::test]
async fn images_come_after_those_they_are_started_with() {
    let (a, b) = stores();
    put_machine(&a, &[("kernel_id", 3), ("ramdisk_id", 2)]).await;
    put(&a, &id(2), attributes("ramdisk"), b"r").await;
    put(&a, &id(3), attributes("kernel"), b"k").await;
    let order = outcomes(&replication(&a, &b, policy())).await;
    assert_eq!(order.last().unwrap().image.id, id(1));
    assert_eq!(order.len(), 3);
}

/// A second copy under a new id is not the image that others refer to, with or without data.
#[tokio::test]
async fn references_stay_with_the_replica_of_the_same_id() {
    let (a, b) = stores();
    put_machine(&a, &[("kernel_id", 2)]).await;
    put(&a, &id(2), attributes("kernel"), b"k").await;
    outcomes(&replication(&a, &b, policy())).await;
    let one = Selection::of_ids([id(2)].into());
    let copy = Policy { new_ids: true, selection: one, ..policy() };
    let copied = outcomes(&replication(&a, &b, copy)).await;
    assert!(matches!(copied[0].result, Ok(Done::CopiedAs(_))), "{copied:?}");
    let found = entries(&replication(&a, &b, policy())).await;
    let states: Vec<_> = found.iter().map(|entry| entry.state).collect();
    assert_eq!(states, [State::Same, State::Same]);
}

#[tokio::test]
async fn a_missing_kernel_is_noted() {
    let (a, b) = stores();
    put_machine(&a, &[("kernel_id", 2), ("ramdisk_id", 3)]).await;
    put(&a, &id(2), attributes("kernel"), b"k").await;
    put(&b, &id(3), attributes("ramdisk"), b"r").await;
    let selection = Selection::of_ids([id(1)].into());
    let done = outcomes(&replication(&a, &b, Policy { selection, ..policy() })).await;
    let kernel = id(2);
    let note =
        format!("kernel_id {kernel}: the target has no image with this id; copy that image, too");
    assert_eq!(done[0].journey.notes, [note]);
}

#[tokio::test]
async fn a_burned_id_is_replaced_once_and_references_follow() {
    let (a, b) = stores();
    put_machine(&a, &[("kernel_id", 2)]).await;
    put(&a, &id(2), attributes("kernel"), b"k").await;
    put(&b, &id(2), attributes("deleted"), b"x").await;
    b.delete(&id(2)).await.unwrap();

    let with = |on_burned_id| Policy { on_burned_id, ..policy() };
    let failing = outcomes(&replication(&a, &b, with(OnBurnedId::Fail))).await;
    let failed = failing.iter().find(|outcome| outcome.image.id == id(2)).unwrap();
    assert!(failed.result.as_ref().unwrap_err().hint().unwrap().contains("purge_images_table"));
    let skipping = outcomes(&replication(&a, &b, with(OnBurnedId::Skip))).await;
    let skipped = skipping.iter().find(|outcome| outcome.image.id == id(2)).unwrap();
    assert!(
        matches!(&skipped.result, Ok(Done::Skipped(reason)) if reason.contains("refused this image id"))
    );

    let sync = replication(&a, &b, with(OnBurnedId::New));
    let done = outcomes(&sync).await;
    let moved = done.iter().find(|outcome| outcome.image.id == id(2)).unwrap();
    let Ok(Done::CopiedAs(new)) = &moved.result else { panic!("{moved:?}") };
    outcomes(&sync).await;
    let machine = b.get(&id(1)).await.unwrap();
    assert_eq!(machine.attributes.properties["kernel_id"], new.as_str());
    // The replica is recognized with every policy: no further copy, nothing missing, nothing extra.
    for on_burned_id in [OnBurnedId::New, OnBurnedId::Fail] {
        let found = entries(&replication(&a, &b, with(on_burned_id))).await;
        let states: Vec<_> = found.iter().map(|entry| entry.state).collect();
        assert_eq!(states, [State::Same, State::Same]);
    }
}

#[tokio::test]
async fn a_replica_with_a_new_id_is_made_once_also_next_to_one_with_the_same_id() {
    let (a, b) = stores();
    put(&a, &id(1), attributes("one"), b"abc").await;
    put(&a, &id(2), attributes("two"), b"abd").await;
    put(&b, &id(2), attributes("two"), b"abd").await;
    let sync = replication(&a, &b, Policy { new_ids: true, ..policy() });
    let missing = |entry: &Entry| entry.state == State::Missing && entry.replica.is_none();
    assert!(entries(&sync).await.iter().all(missing));
    let mut new = Vec::new();
    for outcome in outcomes(&sync).await {
        let Ok(Done::CopiedAs(id)) = outcome.result else { panic!("{outcome:?}") };
        let replica = b.get(&id).await.unwrap();
        let marked = &replica.attributes.properties[provenance::SOURCE_ID];
        assert_eq!(marked, outcome.image.id.as_str());
        new.push(id);
    }
    assert!(new.len() == 2 && !new.contains(&id(1)) && !new.contains(&id(2)), "{new:?}");
    // A later run recognizes both, and one without new ids finds nothing missing and nothing extra.
    assert!(
        outcomes(&sync).await.iter().all(|outcome| matches!(outcome.result, Ok(Done::InPlace)))
    );
    for policy in [Policy { new_ids: true, ..policy() }, policy()] {
        let states: Vec<_> =
            entries(&replication(&a, &b, policy)).await.iter().map(|it| it.state).collect();
        assert_eq!(states, [State::Same, State::Same]);
    }
}

#[tokio::test]
async fn of_several_copies_with_new_ids_a_run_takes_none_but_its_own() {
    let (a, b) = stores();
    put(&a, &id(1), attributes("one"), b"abc").await;
    for (copy, project, name) in [(11, "alice", "hers"), (12, "bob", "his"), (13, "bob", "test")] {
        let mut made = attributes(name);
        made.owner = Owner::Project(project.to_owned());
        for (key, value) in
            [(provenance::SOURCE_ID, id(1).to_string()), (provenance::NEW_ID, "true".into())]
        {
            made.properties.insert(key.to_owned(), value);
        }
        put(&b, &id(copy), made, b"abc").await;
    }
    let planned = async |new_ids, owner: Option<&str>, name: Option<&str>| {
        let owners =
            owner.map_or(Owners::Caller, |id| Owners::Project { id: id.into(), label: None });
        let mapping = Mapping { owners, name: name.map(str::to_owned), ..Mapping::default() };
        let run = replication(&a, &b, Policy { new_ids, mapping, ..policy() });
        let mut found = entries(&run).await;
        let entry = found.remove(0);
        assert!(found.is_empty(), "{found:?}");
        (entry.state, entry.replica.map(|replica| replica.id))
    };
    assert_eq!(planned(true, Some("alice"), None).await, (State::Metadata, Some(id(11))));
    assert_eq!(planned(true, None, Some("hers")).await, (State::Same, Some(id(11))));
    assert_eq!(planned(true, Some("bob"), Some("test")).await, (State::Same, Some(id(13))));
    // It is not clear which of the copies is meant; without new ids, none is.
    assert_eq!(planned(true, Some("bob"), None).await, (State::Blocked, None));
    assert_eq!(planned(true, None, None).await, (State::Blocked, None));
    assert_eq!(planned(false, None, None).await, (State::Missing, None));
}

#[tokio::test]
async fn replicas_are_found_by_name_or_digest() {
    let (a, b) = stores();
    put(&a, &id(1), attributes("one"), b"abc").await;
    put(&a, &id(2), attributes("twin"), b"abd").await;
    put(&a, &id(3), attributes("twin"), b"abe").await;
    put(&b, &id(11), attributes("one"), b"abc").await;
    put(&b, &id(12), attributes("other"), b"abd").await;
    let states = async |match_by| {
        let policy = Policy { match_by, ..policy() };
        let found = entries(&replication(&a, &b, policy)).await;
        let states = found.iter().map(|entry| (entry.image.id.clone(), entry.state));
        let mut states: Vec<_> = states.collect();
        states.sort();
        states
    };
    let by_name = [
        (id(1), State::Same),
        (id(2), State::Blocked),
        (id(3), State::Blocked),
        (id(12), State::Extra),
    ];
    assert_eq!(states(MatchBy::Name).await, by_name);
    let among = |match_by, name: &str| {
        let condition = Condition::Name(NamePattern::glob(name).unwrap());
        let selection = Selection::new([condition], [], []);
        replication(&a, &b, Policy { match_by, selection, ..policy() })
    };
    // The digest of "other" belongs to an image outside the selection, so "other" is not extra.
    assert!(entries(&among(MatchBy::Hash, "other")).await.is_empty());
    let only_twins = entries(&among(MatchBy::Name, "twin")).await;
    assert!(only_twins.iter().all(|entry| entry.state == State::Blocked) && only_twins.len() == 2);
    let by_hash = [(id(1), State::Same), (id(2), State::Metadata), (id(3), State::Missing)];
    assert_eq!(states(MatchBy::Hash).await, by_hash);
}

#[tokio::test]
async fn a_record_that_somebody_made_public_is_hidden_before_it_is_filled() {
    let (a, b) = stores();
    put(&a, &id(1), attributes("one"), b"abc").await;
    b.create(&Image::queued(id(1), attributes("one"))).await.unwrap();
    let other = Arc::new(MemoryStore::new("other"));
    put(&other, &id(1), attributes("one"), b"abX").await;
    // The data does not match the digest of the record.
    let lying = replication(&a, &b, policy());
    let source = Arc::new(Lying { records: a.clone(), data: other });
    let lying = replicator_engine::Replication { source, ..lying };
    assert!(outcomes(&lying).await[0].result.is_err());
    let left = b.get(&id(1)).await.unwrap();
    assert_eq!((left.status, left.attributes.visibility), (Status::Queued, Visibility::Private));
}

/// A store with the records of one store and the data of another.
#[derive(Debug)]
struct Lying {
    records: Arc<MemoryStore>,
    data: Arc<MemoryStore>,
}

impl std::fmt::Display for Lying {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("lying")
    }
}

mod lying {
    use async_trait::async_trait;
    use glance_core::image::{Attributes, Image, ImageId, Member};
    use glance_core::store::{Activation, ByteRange, ImageStore, ImageStream, StoreError};
    use glance_core::{Body, Selection};

    #[async_trait]
    impl ImageStore for super::Lying {
        async fn list(&self, selection: &Selection) -> Result<ImageStream<'_>, StoreError> {
            self.records.list(selection).await
        }
        async fn get(&self, id: &ImageId) -> Result<Image, StoreError> {
            self.records.get(id).await
        }
        async fn read(&self, id: &ImageId, range: ByteRange) -> Result<Body, StoreError> {
            self.data.read(id, range).await
        }
        async fn create(&self, image: &Image) -> Result<Image, StoreError> {
            self.records.create(image).await
        }
        async fn upload(&self, id: &ImageId, data: Body) -> Result<Image, StoreError> {
            self.records.upload(id, data).await
        }
        async fn partial_data(&self, id: &ImageId) -> Result<Body, StoreError> {
            self.records.partial_data(id).await
        }
        async fn update(&self, one: &Image, wanted: &Attributes) -> Result<Image, StoreError> {
            self.records.update(one, wanted).await
        }
        async fn set_activation(&self, id: &ImageId, to: Activation) -> Result<(), StoreError> {
            self.records.set_activation(id, to).await
        }
        async fn delete(&self, id: &ImageId) -> Result<(), StoreError> {
            self.records.delete(id).await
        }
        async fn members(&self, id: &ImageId) -> Result<Vec<Member>, StoreError> {
            self.records.members(id).await
        }
        async fn set_members(&self, id: &ImageId, all: &[Member]) -> Result<(), StoreError> {
            self.records.set_members(id, all).await
        }
    }
}
