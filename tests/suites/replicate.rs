//! Faults during a copy: the message to the operator, and the state left at the target.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use glance_client::GlanceStore;
use glance_core::image::{Attributes, Image, ImageId, Member, MemberStatus, Status, Visibility};
use glance_core::selection::Selection;
use glance_core::store::memory::MemoryStore;
use glance_core::store::{ByteRange, ImageStore, StoreErrorKind};
use glance_core::verified_body::DataFault;
use glance_core::{Body, Transport};
use glance_server::GlanceApi;
use http::Method;
use keystone_auth::auth::{AuthHeaders, FixedToken, Grant};
use keystone_auth::{AuthPlugin, Session, SignInError};
use replicator_engine::{
    self, CopyError, Done, Entry, ErrorLimit, NothingRemoved, OnBurnedId, Outcome, Policy, Prune,
    Removal, Replication, Retries, RunError, State,
};
use serde_json::json;

use crate::support::fault::{Fault, Faulty};

/// Two in-process Glances, each behind a transport that injects faults.
struct Pair {
    a: Arc<Faulty>,
    b: Arc<Faulty>,
    kept_a: Arc<MemoryStore>,
    kept_b: Arc<MemoryStore>,
    replication: Replication,
}

impl Pair {
    fn new() -> Self {
        let (kept_a, kept_b) = (Arc::new(MemoryStore::new("a")), Arc::new(MemoryStore::new("b")));
        let (a, source) = glance("https://a", &kept_a);
        let (b, target) = glance("https://b", &kept_b);
        // The suites `run` and `requests` test retries.
        let policy = Policy { transfers: 2, retries: Retries::NONE, ..Policy::default() };
        Self { a, b, kept_a, kept_b, replication: Replication { source, target, policy } }
    }

    async fn image(&self, number: u8, data: &'static [u8]) -> ImageId {
        self.image_for(Visibility::Public, number, data).await
    }

    async fn image_for(&self, who: Visibility, number: u8, data: &'static [u8]) -> ImageId {
        let id: ImageId = format!("00000000-0000-4000-8000-0000000000{number:02}").parse().unwrap();
        let attributes = Attributes {
            name: Some(format!("image {number}")),
            visibility: who,
            disk_format: Some("raw".into()),
            container_format: Some("bare".into()),
            ..Attributes::default()
        };
        self.kept_a.create(&Image::queued(id.clone(), attributes)).await.unwrap();
        self.kept_a.upload(&id, Body::from(Bytes::from_static(data))).await.unwrap();
        id
    }

    async fn run(&self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        self.replication.run(|outcome| outcomes.push(outcome)).await.unwrap();
        outcomes.sort_by(|one, other| one.image.id.cmp(&other.image.id));
        outcomes
    }

    async fn failure(&self) -> CopyError {
        let mut outcomes = self.run().await;
        assert_eq!(outcomes.len(), 1);
        outcomes.remove(0).result.unwrap_err()
    }

    /// Checks that a second run fills the leftover record, under the same id.
    async fn completes(&self, id: &ImageId, data: &[u8]) {
        assert_eq!(self.kept_b.get(id).await.unwrap().status, Status::Queued);
        let outcome = self.run().await.remove(0);
        assert_eq!(outcome.result.unwrap(), Done::Completed);
        let replica = self.kept_b.get(id).await.unwrap();
        assert_eq!(replica.status, Status::Active);
        assert_eq!(replica.attributes.visibility, Visibility::Public);
        let kept = self.kept_b.read(id, ByteRange::ALL).await.unwrap().collect(1024).await.unwrap();
        assert_eq!(kept, data);
        assert_eq!(self.run().await.remove(0).result.unwrap(), Done::InPlace);
    }
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

#[tokio::test]
async fn a_flipped_byte_from_the_source_never_completes_an_upload() {
    let pair = Pair::new();
    let id = pair.image(1, b"the data of an image").await;
    pair.a.inject(Method::GET, is_file, 1, Fault::CorruptDownload { at: 5 });
    let error = pair.failure().await;
    assert!(error.is_integrity_failure());
    let CopyError::Data { source_store, fault } = &error else { panic!("{error}") };
    assert_eq!(source_store, "https://a");
    assert!(matches!(fault, DataFault::Digest { .. }), "{fault}");
    pair.completes(&id, b"the data of an image").await;
}

#[tokio::test]
async fn a_source_cut_short_never_completes_an_upload() {
    let pair = Pair::new();
    let id = pair.image(1, b"the data of an image").await;
    pair.a.inject(Method::GET, is_file, 1, Fault::CutDownload { after: 7 });
    let error = pair.failure().await;
    let CopyError::Data { source_store, fault } = &error else { panic!("{error}") };
    assert_eq!(source_store, "https://a");
    let short = matches!(fault, DataFault::CutShort { .. } | DataFault::Interrupted { .. });
    assert!(short, "{fault}");
    pair.completes(&id, b"the data of an image").await;
}

#[tokio::test]
async fn a_target_that_stored_something_else_is_quarantined_on_every_run() {
    let pair = Pair::new();
    let id = pair.image(1, b"the data of an image").await;
    pair.b.inject(Method::PUT, is_file, 1, Fault::StoreOther);
    let error = pair.failure().await;
    assert!(error.is_integrity_failure());
    assert!(matches!(error, CopyError::TargetCorrupted { .. }), "{error}");
    assert!(error.to_string().contains("https://b"), "{error}");
    assert!(error.hint().unwrap().contains("purge_images_table"));
    let replica = pair.kept_b.get(&id).await.unwrap();
    assert_eq!(replica.status, Status::Deactivated);
    assert_eq!(replica.attributes.visibility, Visibility::Private);

    let again = pair.failure().await;
    assert!(again.is_integrity_failure());
    assert!(matches!(again, CopyError::ContentDiffers(_)), "{again}");
    assert_eq!(pair.kept_b.get(&id).await.unwrap(), replica);
}

/// A shared image without members is as hidden as a private one. Once the target's digests are
/// known to prove the data, such an image takes only three requests: record, data and proof.
#[tokio::test]
async fn a_shared_image_is_made_as_it_is_to_be() {
    let mut pair = Pair::new();
    pair.replication.policy.transfers = 1;
    let mut ids = Vec::new();
    for number in 1..=3 {
        ids.push(pair.image_for(Visibility::Shared, number, b"the data of an image").await);
    }
    let wrong = format!("/v2/images/{}/file", ids[2]);
    pair.b.inject(Method::PUT, move |path| path == wrong, 1, Fault::StoreOther);
    let outcomes = pair.run().await;
    assert_eq!(outcomes[0].result.as_ref().unwrap(), &Done::Copied);
    assert_eq!(outcomes[1].result.as_ref().unwrap(), &Done::Copied);
    let requests = pair.b.requests();
    let about = |id: &ImageId| -> Vec<&str> {
        let about = requests.iter().filter(|(_, path)| path.contains(&id.to_string()));
        about.map(|(method, _)| method.as_str()).collect()
    };
    assert_eq!(about(&ids[0]), ["PUT", "GET", "PATCH"]);
    assert_eq!(about(&ids[1]), ["PUT", "GET"]);
    for id in &ids[..2] {
        let replica = pair.kept_b.get(id).await.unwrap();
        assert_eq!(replica.attributes.visibility, Visibility::Shared);
    }

    let error = outcomes[2].result.as_ref().unwrap_err();
    assert!(error.to_string().contains("quarantined, private and deactivated"), "{error}");
    let replica = pair.kept_b.get(&ids[2]).await.unwrap();
    assert_eq!(replica.status, Status::Deactivated);
    assert_eq!(replica.attributes.visibility, Visibility::Private);
}

/// A sign-in that returns a different valid token each time.
#[derive(Debug, Default)]
struct Renewable(std::sync::atomic::AtomicUsize);

#[async_trait::async_trait]
impl AuthPlugin for Renewable {
    async fn sign_in(&self, _: &dyn Transport) -> Result<Grant, SignInError> {
        let number = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let proof = AuthHeaders::token("secret-token".into())?;
        let other = http::HeaderName::from_static("x-number");
        Ok(Grant::lasting(proof.with(other, number.to_string().into())?, None))
    }
}

#[tokio::test]
async fn an_upload_with_a_refused_token_is_made_again_with_another_once() {
    let mut pair = Pair::new();
    pair.image(1, b"the data of an image").await;
    // A fixed token cannot be renewed.
    pair.b.inject(Method::PUT, is_file, 1, Fault::Status(401));
    let CopyError::Target(error) = pair.failure().await else { panic!("the target is guilty") };
    assert_eq!(error.kind, StoreErrorKind::Unauthenticated);

    let session = Arc::new(Session::new(pair.b.clone(), Arc::new(Renewable::default())));
    let store = GlanceStore::new("b", pair.b.clone(), "https://b", session);
    pair.replication.target = Arc::new(store);
    pair.b.inject(Method::PUT, is_file, 2, Fault::Status(401));
    let CopyError::Target(error) = pair.failure().await else { panic!("the target is guilty") };
    assert_eq!(error.kind, StoreErrorKind::CredentialsRenewed);

    pair.b.inject(Method::PUT, is_file, 1, Fault::Status(401));
    let outcome = pair.run().await.remove(0);
    assert_eq!(outcome.result.unwrap(), Done::Completed);
    let is_upload = |(method, path): &(Method, String)| *method == Method::PUT && is_file(path);
    assert_eq!(pair.b.requests().iter().filter(|request| is_upload(request)).count(), 1 + 2 + 2);
}

#[tokio::test]
async fn a_failed_image_does_not_stop_the_others_and_is_completed_later() {
    let pair = Pair::new();
    let bad = pair.image(1, b"one").await;
    pair.image(2, b"two").await;
    pair.image(3, b"three").await;
    let path = format!("/v2/images/{bad}/file");
    pair.b.inject(Method::PUT, move |requested| requested == path, 1, Fault::Status(503));
    let outcomes = pair.run().await;
    assert!(matches!(outcomes[0].result, Err(CopyError::Target(_))), "{:?}", outcomes[0]);
    assert_eq!(outcomes[1].result.as_ref().unwrap(), &Done::Copied);
    assert_eq!(outcomes[2].result.as_ref().unwrap(), &Done::Copied);
    pair.completes(&bad, b"one").await;
}

#[tokio::test]
async fn an_upload_that_was_refused_is_not_sent_again() {
    let pair = Pair::new();
    pair.image(1, b"the data of an image").await;
    pair.b.inject(Method::PUT, is_file, 1, Fault::Status(401));
    let error = pair.failure().await;
    assert!(matches!(error, CopyError::Target(_)), "{error}");
    let uploads = pair.b.requests().into_iter().filter(|(method, _)| method == Method::PUT);
    assert_eq!(uploads.count(), 1);
}

#[tokio::test]
async fn a_burned_id_is_explained() {
    let pair = Pair::new();
    let id = pair.image(1, b"abc").await;
    let image = pair.kept_a.get(&id).await.unwrap();
    pair.kept_b.create(&image).await.unwrap();
    pair.kept_b.delete(&id).await.unwrap();
    let error = pair.failure().await;
    assert!(error.hint().unwrap().contains("purge_images_table"), "{error}");
}

#[tokio::test]
async fn the_token_is_in_no_message() {
    let pair = Pair::new();
    pair.image(1, b"abc").await;
    pair.b.inject(Method::POST, |_| true, 1, Fault::Status(409));
    let error = pair.failure().await;
    let said = format!("{error} {error:?} {:?}", pair.replication);
    assert!(!said.contains("secret-token"), "{said}");
}

#[tokio::test]
async fn a_redirect_is_followed_within_the_server_and_nowhere_else() {
    let pair = Pair::new();
    let id = pair.image(1, b"the data of an image").await;
    pair.a.inject(Method::GET, |path| path == "/v2/images", 1, Fault::Redirect("/v2/images"));
    pair.a.inject(Method::GET, is_file, 1, Fault::Redirect("http://a/data?signature"));
    let error = pair.failure().await;
    assert!(error.hint().unwrap().contains("X-Forwarded-Proto"), "{error}");
    let CopyError::Source(error) = &error else { panic!("{error}") };
    assert!(error.reason.starts_with("https://a redirects to http://a,"), "{error}");
    assert!(!error.to_string().contains("signature"), "{error}");
    pair.b.inject(Method::PUT, is_file, 1, Fault::Redirect("/elsewhere"));
    let CopyError::Target(error) = pair.failure().await else { panic!() };
    assert!(error.reason.contains("https://b redirects PUT requests to another path"), "{error}");
    let uploads = pair.b.requests().into_iter().filter(|(method, _)| method == Method::PUT);
    assert_eq!(uploads.count(), 1);
    pair.completes(&id, b"the data of an image").await;
}

#[tokio::test]
async fn changed_records_are_brought_up_to_date() {
    let pair = Pair::new();
    let id = pair.image(1, b"abc").await;
    pair.run().await;
    let image = pair.kept_a.get(&id).await.unwrap();
    let mut wanted = image.attributes.clone();
    wanted.properties.insert("new/key".into(), "value".into());
    pair.kept_a.update(&image, &wanted).await.unwrap();
    let done = pair.run().await.remove(0).result.unwrap();
    assert_eq!(done, Done::Updated(vec!["new/key".to_owned()]));
    assert_eq!(pair.kept_b.get(&id).await.unwrap().attributes, wanted);
}

#[tokio::test]
async fn a_comparison_sees_members() {
    let pair = Pair::new();
    let id = pair.image(1, b"abc").await;
    let image = pair.kept_a.get(&id).await.unwrap();
    let wanted = Attributes { visibility: Visibility::Shared, ..image.attributes.clone() };
    pair.kept_a.update(&image, &wanted).await.unwrap();
    let member = |project: &str, status| Member { project: project.to_owned(), status };
    let (accepted, pending) = (MemberStatus::Accepted, MemberStatus::Pending);
    pair.kept_a.set_members(&id, &[member("p", accepted), member("q", pending)]).await.unwrap();
    pair.run().await;
    let found = async || {
        let mut found = Vec::new();
        let observe = |entry: Entry| found.extend(entry.differences);
        pair.replication.plan(observe).await.unwrap();
        found
    };
    assert_eq!(found().await, []);
    pair.kept_b.set_members(&id, &[member("p", pending), member("r", pending)]).await.unwrap();
    let fields: Vec<_> =
        found().await.into_iter().map(|one| (one.field, one.source, one.target)).collect();
    let expected = [
        ("member p", json!("accepted"), json!("pending")),
        ("member q", json!("pending"), json!(null)),
        ("member r", json!(null), json!("pending")),
    ];
    let expected = expected.map(|(field, source, target)| (field.to_owned(), source, target));
    assert_eq!(fields, expected);
}

/// Field values that records show: the image's id (empty for all images), the field, and its JSON
/// value.
type Fields = &'static [(&'static str, &'static str, &'static str)];

/// Copies an image with `data` from a source whose records show these fields, and returns the
/// result.
async fn copied_as(
    fields: Fields,
    data: &'static [u8],
) -> (Pair, ImageId, Result<Done, CopyError>) {
    let pair = Pair::new();
    let id = pair.image(1, data).await;
    let is_record = |path: &str| path.starts_with("/v2/images") && !is_file(path);
    pair.a.inject(Method::GET, is_record, usize::MAX, Fault::Says(fields));
    let result = pair.run().await.remove(0).result;
    (pair, id, result)
}

/// The fields of a record with neither digest nor size.
const SILENT: Fields = &[
    ("", "size", "null"),
    ("", "checksum", "null"),
    ("", "os_hash_algo", "null"),
    ("", "os_hash_value", "null"),
];

const SAYS_0: Fields = &[
    ("", "size", "0"),
    ("", "checksum", "null"),
    ("", "os_hash_algo", "null"),
    ("", "os_hash_value", "null"),
];

const EMPTY_DIGESTS: Fields =
    &[("", "checksum", "\"\""), ("", "os_hash_algo", "\"\""), ("", "os_hash_value", "\"\"")];

#[tokio::test]
async fn a_record_of_size_0_is_not_believed_before_the_data_has_ended() {
    for fields in [SAYS_0, &[("", "size", "0")]] {
        let (pair, id, result) = copied_as(fields, b"the data of an image").await;
        let CopyError::Data { fault, .. } = result.unwrap_err() else { panic!("{id}") };
        assert_eq!(fault, DataFault::TooLong { size: 0 });
        assert_eq!(pair.kept_b.get(&id).await.unwrap().status, Status::Queued);
        let is_put = |(method, _): &(Method, String)| *method == Method::PUT;
        assert!(!pair.b.requests().iter().any(is_put));
        pair.a.mend();
        pair.completes(&id, b"the data of an image").await;
    }
}

#[tokio::test]
async fn several_targets_do_not_believe_a_record_of_size_0_either() {
    let pair = Pair::new();
    let id = pair.image(1, b"the data of an image").await;
    let fields = SAYS_0;
    pair.a.inject(Method::GET, |path| !is_file(path), 9, Fault::Says(fields));
    let kept_c = Arc::new(MemoryStore::new("c"));
    let (c, target) = glance("https://c", &kept_c);
    let policy = pair.replication.policy.clone();
    let other = Replication { source: Arc::clone(&pair.replication.source), target, policy };
    let one = Replication {
        source: Arc::clone(&other.source),
        target: Arc::clone(&pair.replication.target),
        policy: other.policy.clone(),
    };
    let mut outcomes = Vec::new();
    replicator_engine::run_all(&[one, other], |_, outcome: Outcome| outcomes.push(outcome.result))
        .await;
    assert_eq!(outcomes.len(), 2);
    for result in outcomes {
        assert!(result.unwrap_err().is_integrity_failure());
    }
    for (kept, server) in [(&pair.kept_b, &pair.b), (&kept_c, &c)] {
        assert_eq!(kept.get(&id).await.unwrap().status, Status::Queued);
        assert!(!server.requests().iter().any(|(method, _)| method == Method::PUT));
    }
}

#[tokio::test]
async fn an_empty_image_without_digests_is_copied_once_its_data_has_ended() {
    let (pair, id, result) = copied_as(SAYS_0, b"").await;
    assert_eq!(result.unwrap(), Done::Copied);
    let reads = pair.a.requests();
    assert_eq!(reads.iter().filter(|(_, path)| is_file(path)).count(), 1);
    assert_eq!(pair.kept_b.get(&id).await.unwrap().size, Some(0));
}

#[tokio::test]
async fn what_the_source_does_not_say_is_no_difference() {
    const DATA: &[u8] = b"the data of an image";
    let cases: [Fields; 4] =
        [&[("", "size", "null")], SILENT, EMPTY_DIGESTS, &[("", "created_at", "\"\"")]];
    for fields in cases {
        let (pair, id, result) = copied_as(fields, DATA).await;
        assert_eq!(result.unwrap(), Done::Copied, "{fields:?}");
        let replica = pair.kept_b.get(&id).await.unwrap();
        assert_eq!((replica.status, replica.size), (Status::Active, Some(DATA.len() as u64)));
        let before = pair.b.requests().len();
        assert_eq!(pair.run().await.remove(0).result.unwrap(), Done::InPlace, "{fields:?}");
        let wrote = |(method, _): &(Method, String)| *method != Method::GET;
        assert!(!pair.b.requests()[before..].iter().any(wrote), "{fields:?}");
    }
}

#[tokio::test]
async fn what_the_target_does_not_say_is_no_difference() {
    let pair = Pair::new();
    let id = pair.image(1, b"the data of an image").await;
    let fields = &[("", "size", "null"), ("", "checksum", "\"\"")];
    pair.b.inject(Method::GET, |path| !is_file(path), 99, Fault::Says(fields));
    assert_eq!(pair.run().await.remove(0).result.unwrap(), Done::Copied);
    assert_eq!(pair.kept_b.get(&id).await.unwrap().status, Status::Active);
}

const ID_2: &str = "00000000-0000-4000-8000-000000000002";
const ID_4: &str = "00000000-0000-4000-8000-000000000004";
const ODD_2: Fault = Fault::Says(&[(ID_2, "min_disk", "\"20\"")]);
const ODD_4: Fault = Fault::Says(&[(ID_4, "size", "-1")]);

impl Pair {
    /// Five images that a sync has copied, the last two of which the source then lost. The next
    /// sync removes their replicas.
    async fn with_extras() -> Self {
        let mut pair = Self::new();
        let mut ids = Vec::new();
        for number in 1..=5 {
            ids.push(pair.image(number, b"abc").await);
        }
        pair.replication.policy.stamp = Some("https://a".into());
        assert!(pair.run().await.iter().all(|outcome| outcome.result.is_ok()));
        for id in &ids[3..] {
            pair.kept_a.delete(id).await.unwrap();
        }
        let (how, most) = (Removal::Delete, ErrorLimit::Percent(100));
        pair.replication.policy.prune = Some(Prune { how, most, unprotect: true });
        pair
    }

    /// Runs, and returns the result of the run and of each image, by number.
    async fn ended(&self) -> (Result<(), RunError>, Vec<(u8, Result<Done, CopyError>)>) {
        let mut outcomes = Vec::new();
        let observe = |outcome: Outcome| {
            let number = outcome.image.id.as_str()[34..].parse().unwrap();
            outcomes.push((number, outcome.result));
        };
        let ended = self.replication.run(observe).await;
        outcomes.sort_by_key(|(number, _)| *number);
        (ended, outcomes)
    }

    async fn holds_at_target(&self) -> Vec<u8> {
        let listed = self.kept_b.list(&Selection::everything()).await.unwrap();
        listed.map(|image| image.unwrap().id.as_str()[34..].parse::<u8>().unwrap()).collect().await
    }
}

fn is_record(path: &str) -> bool {
    path.starts_with("/v2/images") && !is_file(path)
}

#[tokio::test]
async fn an_odd_record_at_the_source_fails_alone_and_nothing_is_removed() {
    let pair = Pair::with_extras().await;
    let changed = pair.image(6, b"new").await;
    pair.a.inject(Method::GET, is_record, usize::MAX, ODD_2);
    let (ended, outcomes) = pair.ended().await;
    let Err(RunError::NothingRemoved(why)) = ended else { panic!("{ended:?}") };
    assert_eq!(why, NothingRemoved::Failures { found: 2 });
    let failed: Vec<_> = outcomes.iter().filter(|(_, result)| result.is_err()).collect();
    let [(2, Err(CopyError::Source(error)))] = failed[..] else { panic!("{outcomes:?}") };
    assert!(error.to_string().contains("000000000002: \"min_disk\" is \"20\""), "{error}");
    assert!(!failed[0].1.as_ref().unwrap_err().is_integrity_failure());
    assert_eq!(pair.kept_b.get(&changed).await.unwrap().status, Status::Active);
    assert_eq!(pair.holds_at_target().await, [1, 2, 3, 4, 5, 6]);
    pair.a.mend();
    pair.ended().await.0.unwrap();
    assert_eq!(pair.holds_at_target().await, [1, 2, 3, 6]);
}

#[tokio::test]
async fn an_odd_record_at_the_target_fails_alone_and_nothing_is_removed() {
    let pair = Pair::with_extras().await;
    pair.b.inject(Method::GET, is_record, usize::MAX, ODD_2);
    let (ended, outcomes) = pair.ended().await;
    assert!(matches!(ended, Err(RunError::NothingRemoved(_))), "{ended:?}");
    let failed: Vec<_> = outcomes.iter().filter(|(_, result)| result.is_err()).collect();
    assert!(matches!(failed[..], [(2, Err(CopyError::Target(_)))]), "{outcomes:?}");
    assert_eq!(pair.holds_at_target().await, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn an_odd_record_that_only_the_target_has_is_kept() {
    let pair = Pair::with_extras().await;
    pair.b.inject(Method::GET, is_record, usize::MAX, ODD_4);
    let mut reasons = Vec::new();
    let observe =
        |entry: Entry| reasons.extend(entry.reason.filter(|_| entry.state == State::Extra));
    pair.replication.plan(observe).await.unwrap();
    assert!(reasons[0].starts_with("kept: the record cannot be read: "), "{reasons:?}");
    let (ended, outcomes) = pair.ended().await;
    ended.unwrap();
    assert!(outcomes.iter().all(|(_, result)| result.is_ok()), "{outcomes:?}");
    assert_eq!(pair.holds_at_target().await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_record_without_an_id_at_the_source_removes_nothing() {
    let pair = Pair::with_extras().await;
    pair.image(6, b"new").await;
    let nameless = Fault::Says(&[(ID_2, "id", "null")]);
    pair.a.inject(Method::GET, |path| path == "/v2/images", usize::MAX, nameless);
    let (ended, outcomes) = pair.ended().await;
    let Err(RunError::Listing(error)) = ended else { panic!("{ended:?}") };
    assert!(error.to_string().contains("a record without a readable id"), "{error}");
    let others: Vec<u8> = outcomes.iter().map(|(number, _)| *number).collect();
    assert!(others.contains(&6), "{outcomes:?}");
    assert_eq!(pair.holds_at_target().await, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn an_odd_replica_with_another_id_ends_the_run_before_it_is_made_twice() {
    let mut pair = Pair::new();
    let id = pair.image(1, b"abc").await;
    let image = pair.kept_a.get(&id).await.unwrap();
    pair.kept_b.create(&image).await.unwrap();
    pair.kept_b.delete(&id).await.unwrap();
    pair.replication.policy.on_burned_id = OnBurnedId::New;
    assert!(matches!(pair.run().await.remove(0).result, Ok(Done::CopiedAs(_))));
    pair.b.inject(Method::GET, is_record, usize::MAX, Fault::Says(&[("", "min_ram", "\"x\"")]));
    let mut outcomes = 0;
    let ended = pair.replication.run(|_| outcomes += 1).await;
    assert!(matches!(ended, Err(RunError::Listing(_))) && outcomes == 0, "{ended:?}");
    let listed = pair.kept_b.list(&Selection::everything()).await.unwrap();
    assert_eq!(listed.count().await, 1);
}

#[tokio::test]
async fn what_is_selected_by_name_is_not_bothered_by_another_odd_record() {
    let mut pair = Pair::new();
    pair.image(1, b"abc").await;
    pair.image(2, b"abc").await;
    pair.a.inject(Method::GET, is_record, usize::MAX, ODD_2);
    for (wanted, unwanted, failures) in [
        (&["name=image 1"][..], &[][..], 0),
        (&["name=image 2"], &[], 1),
        (&["min-size=1"], &[], 1),
        (&[], &["name=image 2"], 0),
    ] {
        let parsed =
            |texts: &[&str]| texts.iter().map(|it| it.parse().unwrap()).collect::<Vec<_>>();
        pair.replication.policy.selection = Selection::new(parsed(wanted), parsed(unwanted), []);
        let (ended, outcomes) = pair.ended().await;
        ended.unwrap();
        let failed = outcomes.iter().filter(|(_, result)| result.is_err()).count();
        assert_eq!(failed, failures, "{wanted:?} {unwanted:?}");
    }
}
