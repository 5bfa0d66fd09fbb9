//! `--delete` on arbitrary stores never removes an image that it must not.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::TryStreamExt;
use glance_core::Selection;
use glance_core::image::provenance;
use glance_core::image::{Image, ImageId};
use glance_core::selection::{Condition, NamePattern};
use glance_core::store::ImageStore;
use glance_core::store::memory::MemoryStore;
use proptest::prelude::*;
use replicator_engine::provenance::Source;
use replicator_engine::{ErrorLimit, NothingRemoved, Policy, Prune, Removal, RunError};

use super::{ORIGIN, attributes, deactivate, id, policy, put, replication};

/// An image that the target has, and possibly the source.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent")]
struct Sample {
    at_source: bool,
    stamp: Option<Stamp>,
    protected: bool,
    hidden: bool,
    deactivated: bool,
    /// Whether the image's name is selected.
    selected: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stamp {
    Ours,
    OursInTheOldForm,
    Others,
}

impl Stamp {
    fn value(self) -> String {
        match self {
            Self::Ours => Source::new(ORIGIN).as_str().to_owned(),
            Self::OursInTheOldForm => ORIGIN.to_owned(),
            Self::Others => Source::new("https://x").as_str().to_owned(),
        }
    }
}

#[derive(Debug, Clone)]
struct Case {
    samples: Vec<Sample>,
    /// The source has an image that the target lacks.
    new_at_source: bool,
    prune: Prune,
    select: bool,
}

fn sample() -> impl Strategy<Value = Sample> {
    let stamp = prop_oneof![
        2 => Just(Some(Stamp::Ours)),
        1 => Just(Some(Stamp::OursInTheOldForm)),
        1 => Just(Some(Stamp::Others)),
        1 => Just(None),
    ];
    let flag = prop::bool::weighted(0.2);
    (any::<bool>(), stamp, flag, flag, flag, prop::bool::weighted(0.7)).prop_map(
        |(at_source, stamp, protected, hidden, deactivated, selected)| Sample {
            at_source,
            stamp,
            protected,
            hidden,
            deactivated,
            selected,
        },
    )
}

fn case() -> impl Strategy<Value = Case> {
    let how = prop_oneof![Just(Removal::Hide), Just(Removal::Deactivate), Just(Removal::Delete)];
    let most = prop_oneof![
        (0..10_u64).prop_map(ErrorLimit::Images),
        (0..=100_u8).prop_map(ErrorLimit::Percent)
    ];
    let samples = prop::collection::vec(sample(), 0..10);
    (samples, any::<bool>(), how, most, any::<bool>(), any::<bool>()).prop_map(
        |(samples, new_at_source, how, most, unprotect, select)| Case {
            samples,
            new_at_source,
            prune: Prune { how, most, unprotect },
            select,
        },
    )
}

impl Case {
    /// The images that must be removed: all candidates, or none.
    fn expected(&self) -> Vec<ImageId> {
        let selected = |one: &Sample| one.selected || !self.select;
        let at_source =
            self.new_at_source || self.samples.iter().any(|one| one.at_source && selected(one));
        let target = self.samples.iter().filter(|one| selected(one)).count() as u64;
        let removable = |one: &Sample| {
            let done = match self.prune.how {
                Removal::Hide => one.hidden,
                Removal::Deactivate => one.deactivated,
                Removal::Delete => false,
            };
            !one.at_source
                && selected(one)
                && one.stamp.is_some_and(|stamp| stamp != Stamp::Others)
                && (!one.protected || self.prune.unprotect)
                && !done
        };
        let found: Vec<ImageId> = self
            .samples
            .iter()
            .enumerate()
            .filter(|(_, one)| removable(one))
            .map(|(number, _)| id(number))
            .collect();
        let most = match self.prune.most {
            ErrorLimit::Images(most) => most,
            ErrorLimit::Percent(0) => 0,
            ErrorLimit::Percent(percent) => (target * u64::from(percent) / 100).max(1),
        };
        if !at_source || found.len() as u64 > most { Vec::new() } else { found }
    }

    async fn holds(&self) {
        let (a, b) = (Arc::new(MemoryStore::new("a")), Arc::new(MemoryStore::new("b")));
        for (number, one) in self.samples.iter().enumerate() {
            one.make(number, &a, &b).await;
        }
        if self.new_at_source {
            put(&a, &id(100), attributes("selected"), b"new").await;
        }
        let before = all(&b).await;
        let name = Condition::Name(NamePattern::glob("selected").unwrap());
        let selection = match self.select {
            true => Selection::new([name], [], []),
            false => Selection::everything(),
        };
        let policy = Policy { prune: Some(self.prune), selection, ..policy() };
        let ended = replication(&a, &b, policy).run(drop).await;
        let after = all(&b).await;
        let gone = |id: &&ImageId| match after.get(*id) {
            None => true,
            Some(now) => {
                let was = &before[*id];
                now.attributes.os_hidden != was.attributes.os_hidden || now.status != was.status
            }
        };
        let lost: Vec<ImageId> = before
            .keys()
            .filter(|id| !self.samples[index(id)].at_source)
            .filter(gone)
            .cloned()
            .collect();
        assert_eq!(lost, self.expected(), "{ended:?}");
        if !lost.is_empty() {
            ended.unwrap();
        }
    }
}

impl Sample {
    async fn make(&self, number: usize, a: &MemoryStore, b: &MemoryStore) {
        let mut record = attributes(if self.selected { "selected" } else { "other" });
        (record.protected, record.os_hidden) = (self.protected, self.hidden);
        if self.at_source {
            put(a, &id(number), record.clone(), b"abc").await;
        }
        let stamp = self.stamp.map(|one| (provenance::SOURCE.to_owned(), one.value()));
        record.properties.extend(stamp);
        put(b, &id(number), record, b"abc").await;
        if self.deactivated {
            deactivate(b, &id(number)).await;
        }
    }
}

async fn all(store: &MemoryStore) -> BTreeMap<ImageId, Image> {
    let images = store.list(&Selection::everything()).await.unwrap();
    images.map_ok(|image| (image.id.clone(), image)).try_collect().await.unwrap()
}

fn index(id: &ImageId) -> usize {
    id.as_str().rsplit('-').next().unwrap().parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..Default::default() })]
    #[test]
    fn nothing_is_removed_but_what_may_be(case in case()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(case.holds());
    }
}

#[tokio::test]
async fn an_empty_source_and_a_failure_remove_nothing() {
    let (a, b) = (Arc::new(MemoryStore::new("a")), Arc::new(MemoryStore::new("b")));
    let mut made = attributes("made");
    made.properties.insert(provenance::SOURCE.to_owned(), ORIGIN.to_owned());
    put(&b, &id(1), made, b"abc").await;
    let prune = Prune { how: Removal::Delete, most: ErrorLimit::Percent(100), unprotect: true };
    let sync = replication(&a, &b, Policy { prune: Some(prune), ..policy() });
    let Err(RunError::NothingRemoved(why)) = sync.run(drop).await else { panic!() };
    assert_eq!(why, NothingRemoved::EmptySource { found: 1 });
    // An image whose data differs fails.
    put(&a, &id(2), attributes("bad"), b"abc").await;
    put(&b, &id(2), attributes("bad"), b"abX").await;
    let Err(RunError::NothingRemoved(why)) = sync.run(drop).await else { panic!() };
    assert_eq!(why, NothingRemoved::Failures { found: 1 });
    assert!(b.get(&id(1)).await.is_ok());
}

#[tokio::test]
async fn a_user_who_sees_less_of_the_source_removes_nothing() {
    let prune = Prune { how: Removal::Hide, most: ErrorLimit::Percent(100), unprotect: true };
    let prune = Some(prune);
    let of = |project: Option<&str>| {
        let source = Source::new(ORIGIN);
        Some(project.map_or_else(|| source.clone(), |project| source.clone().seen_by(project)))
    };
    for (made_by, removed_by, is_removed) in [
        (None, None, true),
        (Some("alice"), Some("alice"), true),
        (Some("alice"), None, true),
        (None, Some("alice"), false),
        (Some("bob"), Some("alice"), false),
    ] {
        let (whole, part) = (Arc::new(MemoryStore::new("a")), Arc::new(MemoryStore::new("a")));
        let b = Arc::new(MemoryStore::new("b"));
        for store in [&whole, &part] {
            put(store, &id(1), attributes("of all"), b"abc").await;
        }
        put(&whole, &id(2), attributes("of a project"), b"abc").await;
        let fill = Policy { stamp: of(made_by), ..policy() };
        replication(&whole, &b, fill).run(drop).await.unwrap();
        let mirror = Policy { stamp: of(removed_by), prune, ..policy() };
        replication(&part, &b, mirror).run(drop).await.unwrap();
        let hidden = b.get(&id(2)).await.unwrap().attributes.os_hidden;
        assert_eq!(hidden, is_removed, "{made_by:?} {removed_by:?}");
    }
}
