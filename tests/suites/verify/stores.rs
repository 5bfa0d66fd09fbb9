//! Two in-process Glances, each behind a transport that injects faults.

use std::sync::Arc;

use glance_client::GlanceStore;
use glance_core::image::{Attributes, Image};
use glance_core::sampling::Sample;
use glance_core::selection::{Selection, Subset};
use glance_core::store::ImageStore;
use glance_core::store::memory::MemoryStore;
use glance_server::GlanceApi;
use http::Method;
use keystone_auth::Session;
use keystone_auth::auth::FixedToken;
use replicator_engine::{
    Depth, DigestCache, Policy, Proof, Replication, Verdict, Verification, VerifyFault as Bad,
    verify_store,
};

use super::{id, put};
use crate::support::fault::{Fault, Faulty};

struct Pair {
    a: Arc<Faulty>,
    b: Arc<Faulty>,
    kept_a: Arc<MemoryStore>,
    kept_b: Arc<MemoryStore>,
    replication: Replication,
}

fn glance(url: &str, kept: &Arc<MemoryStore>) -> (Arc<Faulty>, Arc<dyn ImageStore>) {
    let api = GlanceApi::new(Arc::clone(kept) as Arc<dyn ImageStore>).with_token("secret-token");
    let faulty = Arc::new(Faulty::new(Arc::new(api)));
    let auth = FixedToken { token: "secret-token".to_owned().into(), endpoint: None };
    let session = Arc::new(Session::new(faulty.clone(), Arc::new(auth)));
    let store = GlanceStore::new(url, faulty.clone(), url, session);
    (faulty, Arc::new(store))
}

fn is_file(path: &str) -> bool {
    path.ends_with("/file")
}

fn is_record(path: &str) -> bool {
    !is_file(path)
}

const DATA: &[u8] = b"the data of an image";

impl Pair {
    /// Both Glances hold image 1 with the same data.
    async fn new() -> Self {
        let (kept_a, kept_b) = (Arc::new(MemoryStore::new("a")), Arc::new(MemoryStore::new("b")));
        put(&*kept_a, 1, DATA).await;
        put(&*kept_b, 1, DATA).await;
        let (a, source) = glance("https://a", &kept_a);
        let (b, target) = glance("https://b", &kept_b);
        let policy = Policy { transfers: 2, ..Policy::default() };
        Self { a, b, kept_a, kept_b, replication: Replication { source, target, policy } }
    }

    async fn verify(&self, depth: Depth, subset: Subset) -> Vec<Verification> {
        let source = &*self.replication.source;
        let chosen = Sample::among(subset, source, &Selection::everything()).await.unwrap();
        let mut found = Vec::new();
        self.replication.verify(depth, &chosen, |one| found.push(one)).await.unwrap();
        found.sort_by(|one, other| one.image.id.cmp(&other.image.id));
        found
    }

    async fn verdict(&self, depth: Depth) -> Verdict {
        let mut found = self.verify(depth, Subset::All).await;
        assert_eq!(found.len(), 1);
        found.remove(0).verdict
    }

    /// The number of downloads from a and from b.
    fn downloads(&self) -> (usize, usize) {
        let count =
            |faulty: &Faulty| faulty.requests().iter().filter(|(_, path)| is_file(path)).count();
        (count(&self.a), count(&self.b))
    }
}

fn forget(side: &Faulty) {
    side.inject(Method::GET, is_record, usize::MAX, Fault::NoDigest);
}

fn read(verdict: &Verdict) -> u64 {
    match verdict {
        Verdict::Verified(Proof::Reading { bytes }, _) => *bytes,
        other => panic!("{other:?}"),
    }
}

/// The stores in which bad data was found, and the failed check.
fn bad(verdict: &Verdict) -> Vec<(&str, &str)> {
    let Verdict::Bad(faults) = verdict else { panic!("{verdict:?}") };
    let other = |fault: &'static str| panic!("{fault}");
    let named = faults.iter().map(|fault| match fault {
        Bad::Other { store, what, .. } => (store.as_str(), what.as_str()),
        _ => other("not of a digest"),
    });
    named.collect()
}

#[tokio::test]
async fn records_that_agree_are_believed_and_deep_reads_each_side_once() {
    let pair = Pair::new().await;
    let verdict = pair.verdict(Depth::Records).await;
    assert!(matches!(verdict, Verdict::Verified(Proof::Records, _)), "{verdict:?}");
    assert_eq!(pair.downloads(), (0, 0));
    assert_eq!(read(&pair.verdict(Depth::Deep).await), 2 * DATA.len() as u64);
    assert_eq!(pair.downloads(), (1, 1));
}

#[tokio::test]
async fn the_side_with_bad_data_is_named() {
    let pair = Pair::new().await;
    for (side, name) in [(&pair.a, "https://a"), (&pair.b, "https://b")] {
        side.inject(Method::GET, is_file, 1, Fault::CorruptDownload { at: 5 });
        assert_eq!(bad(&pair.verdict(Depth::Deep).await), [(name, "sha512")]);
    }
    pair.a.inject(Method::GET, is_file, 1, Fault::CorruptDownload { at: 0 });
    pair.b.inject(Method::GET, is_file, 1, Fault::CorruptDownload { at: 0 });
    let both = [("https://a", "sha512"), ("https://b", "sha512")];
    assert_eq!(bad(&pair.verdict(Depth::Deep).await), both);
}

#[tokio::test]
async fn a_record_that_lies_is_found_by_reading() {
    let pair = Pair::new().await;
    pair.b.inject(Method::GET, is_record, usize::MAX, Fault::WrongDigest);
    let verdict = pair.verdict(Depth::Records).await;
    let Verdict::Different(one) = &verdict else { panic!("{verdict:?}") };
    assert_eq!(one.field, "os_hash_value");
    assert_eq!(pair.downloads(), (0, 0));
    assert_eq!(bad(&pair.verdict(Depth::Deep).await), [("https://b", "sha512")]);
}

#[tokio::test]
async fn data_of_another_size_is_bad() {
    let pair = Pair::new().await;
    pair.b.inject(Method::GET, is_record, usize::MAX, Fault::WrongSize);
    let verdict = pair.verdict(Depth::Records).await;
    let Verdict::Different(one) = &verdict else { panic!("{verdict:?}") };
    assert_eq!(one.field, "size");
    assert_eq!(bad(&pair.verdict(Depth::Deep).await), [("https://b", "size")]);
}

#[tokio::test]
async fn good_data_that_differs_is_the_fault_of_no_store() {
    let pair = Pair::new().await;
    put(&*pair.kept_a, 2, b"one").await;
    put(&*pair.kept_b, 2, b"two").await;
    for depth in [Depth::Records, Depth::Deep] {
        let found = pair.verify(depth, Subset::All).await;
        let Verdict::Different(one) = &found[1].verdict else { panic!("{found:?}") };
        assert_ne!(one.source, one.target);
    }
}

#[tokio::test]
async fn what_lacks_a_digest_is_read_where_it_does() {
    let pair = Pair::new().await;
    forget(&pair.a);
    assert_eq!(read(&pair.verdict(Depth::Records).await), DATA.len() as u64);
    assert_eq!(pair.downloads(), (1, 0));
    // The other image is read to find out which of the two is bad.
    pair.a.inject(Method::GET, is_file, 1, Fault::CorruptDownload { at: 1 });
    let verdict = pair.verdict(Depth::Records).await;
    assert!(matches!(verdict, Verdict::Different(_)), "{verdict:?}");
    assert_eq!(pair.downloads(), (2, 1));
    pair.a.mend();

    forget(&pair.b);
    assert_eq!(read(&pair.verdict(Depth::Records).await), DATA.len() as u64);
    assert_eq!(pair.downloads(), (2, 2));
    forget(&pair.a);
    assert_eq!(read(&pair.verdict(Depth::Records).await), 2 * DATA.len() as u64);
    pair.b.inject(Method::GET, is_file, 1, Fault::CorruptDownload { at: 1 });
    // The rule above compares records only.
    let verdict = pair.verdict(Depth::Records).await;
    assert!(matches!(verdict, Verdict::Different(_)), "{verdict:?}");
}

#[tokio::test]
async fn data_that_does_not_come_is_a_failure_and_no_verdict_on_it() {
    let pair = Pair::new().await;
    pair.b.inject(Method::GET, is_file, 1, Fault::CutDownload { after: 7 });
    let verdict = pair.verdict(Depth::Deep).await;
    let Verdict::Failed(error) = &verdict else { panic!("{verdict:?}") };
    assert!(error.to_string().contains("https://b"), "{error}");
    // Bad data takes precedence over a failed download.
    pair.b.inject(Method::GET, is_file, 1, Fault::CutDownload { after: 7 });
    pair.a.inject(Method::GET, is_file, 1, Fault::CorruptDownload { at: 1 });
    assert_eq!(bad(&pair.verdict(Depth::Deep).await), [("https://a", "sha512")]);
}

#[tokio::test]
async fn computed_digests_are_remembered_and_prove_later() {
    let directory = tempfile::tempdir().unwrap();
    let file = DigestCache::open(directory.path().join("digests")).unwrap();
    let mut pair = Pair::new().await;
    pair.replication.policy.known_source = file.of("https://a");
    pair.replication.policy.known_target = file.of("https://b");
    forget(&pair.a);
    forget(&pair.b);
    // A transient fault is not remembered.
    pair.b.inject(Method::GET, is_file, 1, Fault::CorruptDownload { at: 1 });
    let verdict = pair.verdict(Depth::Records).await;
    assert!(matches!(verdict, Verdict::Different(_)), "{verdict:?}");
    read(&pair.verdict(Depth::Records).await);
    let verdict = pair.verdict(Depth::Records).await;
    assert!(matches!(verdict, Verdict::Verified(Proof::Records, _)), "{verdict:?}");
    assert_eq!(pair.downloads(), (2, 2));
    let lines = std::fs::read_to_string(directory.path().join("digests")).unwrap();
    assert_eq!(lines.lines().count(), 2);
    // `--deep` does not trust remembered digests.
    pair.a.inject(Method::GET, is_file, 1, Fault::CorruptDownload { at: 1 });
    assert_eq!(bad(&pair.verdict(Depth::Deep).await), [("https://a", "sha512")]);
    // The digest of bad data was not remembered.
    read(&pair.verdict(Depth::Deep).await);
}

#[tokio::test]
async fn a_copy_is_checked_against_what_is_remembered() {
    let directory = tempfile::tempdir().unwrap();
    let file = DigestCache::open(directory.path().join("digests")).unwrap();
    let mut pair = Pair::new().await;
    pair.replication.policy.known_source = file.of("https://a");
    put(&*pair.kept_a, 2, b"another image").await;
    forget(&pair.a);
    forget(&pair.b);
    let policy = &pair.replication.policy;
    let chosen = Sample::among(Subset::All, &*pair.replication.source, &policy.selection).await;
    let verify = async || {
        let mut proven = 0;
        let observe = |one: Verification| match one.verdict {
            Verdict::Verified(..) => proven += 1,
            Verdict::Unproven => {}
            other => panic!("{other:?}"),
        };
        let source = &*pair.replication.source;
        verify_store(source, policy, chosen.as_ref().unwrap(), observe).await.unwrap();
        proven
    };
    assert_eq!([verify().await, verify().await], [0, 2]);
    pair.b.mend();
    pair.a.inject(Method::GET, is_file, 1, Fault::CorruptDownload { at: 1 });
    let mut failures = Vec::new();
    let observe = |outcome: replicator_engine::Outcome| failures.extend(outcome.result.err());
    pair.replication.run(observe).await.unwrap();
    assert_eq!(failures.len(), 1);
    assert!(failures[0].is_integrity_failure(), "{failures:?}");
    pair.replication.run(|outcome| drop(outcome.result.unwrap())).await.unwrap();
    assert_eq!(pair.kept_b.get(&id(2)).await.unwrap().size, Some(13));
}

#[tokio::test]
async fn a_copy_puts_its_digests_into_the_cache() {
    let directory = tempfile::tempdir().unwrap();
    let file = DigestCache::open(directory.path().join("digests")).unwrap();
    let mut pair = Pair::new().await;
    pair.replication.policy.known_source = file.of("https://a");
    put(&*pair.kept_a, 2, b"another image").await;
    forget(&pair.a);
    pair.replication.run(|outcome| drop(outcome.result.unwrap())).await.unwrap();
    let mut states = Vec::new();
    pair.replication.plan(|entry| states.push(entry.state.to_string())).await.unwrap();
    assert_eq!(states, ["unverifiable", "same"]);
}

#[tokio::test]
async fn parts_see_every_image_once_and_the_rest_is_judged_by_its_records() {
    let pair = Pair::new().await;
    for number in 2..12 {
        put(&*pair.kept_a, number, DATA).await;
        put(&*pair.kept_b, number, DATA).await;
    }
    put(&*pair.kept_a, 12, DATA).await;
    let mut seen = Vec::new();
    for number in 1..=3 {
        for found in pair.verify(Depth::Deep, Subset::Part { number, of: 3 }).await {
            match found.verdict {
                Verdict::Verified(Proof::Reading { .. }, _) => seen.push(found.image.id),
                Verdict::NotChosen => {}
                Verdict::NoData => assert_eq!(found.image.id, id(12)),
                other => panic!("{other:?}"),
            }
        }
    }
    seen.sort();
    assert_eq!(seen, (1..12).map(id).collect::<Vec<_>>());
    assert_eq!(pair.downloads(), (11, 11));
    for (subset, expected) in [(Subset::Percent(25.0), 3), (Subset::Bytes(45), 2)] {
        let found = pair.verify(Depth::Deep, subset).await;
        let read = |one: &&Verification| matches!(one.verdict, Verdict::Verified(..));
        // The missing image may be in the subset.
        let number = found.iter().filter(read).count();
        assert!(number == expected || number + 1 == expected, "{subset:?}: {number}");
    }
}

#[tokio::test]
async fn one_store_is_read_against_its_own_records() {
    let pair = Pair::new().await;
    put(&*pair.kept_a, 2, DATA).await;
    pair.kept_a.create(&Image::queued(id(3), Attributes::default())).await.unwrap();
    pair.a.inject(
        Method::GET,
        |path| path.contains("02/file"),
        1,
        Fault::CorruptDownload { at: 3 },
    );
    let mut found = Vec::new();
    let (source, policy) = (&*pair.replication.source, &pair.replication.policy);
    let all = Sample::among(Subset::All, source, &policy.selection).await.unwrap();
    verify_store(source, policy, &all, |one| found.push(one)).await.unwrap();
    found.sort_by(|one, other| one.image.id.cmp(&other.image.id));
    assert_eq!(read(&found[0].verdict), DATA.len() as u64);
    assert_eq!(bad(&found[1].verdict), [("https://a", "sha512")]);
    assert!(matches!(found[2].verdict, Verdict::NoData));
}

#[tokio::test]
async fn no_more_images_are_under_way_than_allowed() {
    let pair = Pair::new().await;
    for number in 2..9 {
        put(&*pair.kept_a, number, DATA).await;
        put(&*pair.kept_b, number, DATA).await;
    }
    pair.a.inject(Method::GET, is_file, usize::MAX, Fault::StallDownload { after: 3 });
    let stalled = pair.verify(Depth::Deep, Subset::All);
    let ended = tokio::time::timeout(std::time::Duration::from_millis(500), stalled).await;
    assert!(ended.is_err());
    assert_eq!(pair.downloads(), (2, 2));
    let (source, policy) = (&*pair.replication.source, &pair.replication.policy);
    let all = Sample::among(Subset::All, source, &policy.selection).await.unwrap();
    let stalled = verify_store(source, policy, &all, drop);
    let ended = tokio::time::timeout(std::time::Duration::from_millis(500), stalled).await;
    assert!(ended.is_err());
    assert_eq!(pair.downloads(), (4, 2));
}
