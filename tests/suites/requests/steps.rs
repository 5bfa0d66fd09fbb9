//! Each request of a copy fails once, with each fault that may be temporary.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use glance_client::GlanceStore;
use glance_core::Body;
use glance_core::image::{Attributes, Image, ImageId, Member, MemberStatus, Status, Visibility};
use glance_core::store::memory::MemoryStore;
use glance_core::store::{ByteRange, ImageStore};
use glance_core::transport::backoff::Backoff;
use glance_core::transport::{RetryPolicy, Retrying};
use glance_server::GlanceApi;
use http::Method;
use keystone_auth::Session;
use keystone_auth::auth::NoAuth;
use replicator_engine::{Done, Policy, Replication, Retries};

use crate::support::fault::{Fault, Faulty};

const DATA: &[u8] = b"the data of an image";
const ID: &str = "00000000-0000-4000-8000-000000000001";

/// An in-process Glance with injected faults, and a client that retries requests.
struct Site {
    faulty: Arc<Faulty>,
    kept: Arc<MemoryStore>,
    store: Arc<GlanceStore>,
}

impl Site {
    fn new(url: &str) -> Self {
        let kept = Arc::new(MemoryStore::new(url));
        let api = GlanceApi::new(Arc::clone(&kept) as Arc<dyn ImageStore>);
        let faulty = Arc::new(Faulty::new(Arc::new(api)));
        let persistence = RetryPolicy { pauses: Backoff::NONE, ..RetryPolicy::default() };
        let persistent = Arc::new(Retrying::new(faulty.clone(), persistence));
        let session = Arc::new(Session::new(persistent.clone(), Arc::new(NoAuth::default())));
        let store = Arc::new(GlanceStore::new(url, persistent, url, session));
        Self { faulty, kept, store }
    }

    fn count(&self) -> usize {
        self.faulty.requests().len()
    }
}

/// Two Glances, and an image at the first. The engine does not retry.
struct Pair {
    sides: [Site; 2],
    id: ImageId,
}

impl Pair {
    async fn new() -> Self {
        let sides = ["https://a", "https://b"].map(Site::new);
        let id: ImageId = ID.parse().unwrap();
        let attributes = Attributes {
            visibility: Visibility::Shared,
            disk_format: Some("raw".into()),
            container_format: Some("bare".into()),
            ..Attributes::default()
        };
        let source = &sides[0].kept;
        source.create(&Image::queued(id.clone(), attributes)).await.unwrap();
        source.upload(&id, Body::from(Bytes::from_static(DATA))).await.unwrap();
        source.set_members(&id, &[member("one"), member("two")]).await.unwrap();
        Self { sides, id }
    }

    /// Runs the copy. Returns whether it succeeded.
    async fn copies(&self) -> bool {
        let [source, target] =
            [0, 1].map(|side| Arc::<GlanceStore>::clone(&self.sides[side].store) as Arc<_>);
        let policy = Policy { retries: Retries::NONE, ..Policy::default() };
        let mut done = None;
        let run = Replication { source, target, policy };
        let ended =
            run.run(|outcome| done = Some(outcome.result.as_ref().is_ok_and(is_copied))).await;
        ended.is_ok() && done == Some(true)
    }

    async fn is_whole(&self) -> bool {
        let (kept, id) = (&self.sides[1].kept, &self.id);
        let replica = kept.get(id).await.unwrap();
        let data = kept.read(id, ByteRange::ALL).await.unwrap().collect(1024).await.unwrap();
        replica.status == Status::Active
            && replica.attributes.visibility == Visibility::Shared
            && kept.members(id).await.unwrap().len() == 2
            && data == DATA
    }
}

fn is_copied(done: &Done) -> bool {
    *done == Done::Copied
}

fn member(project: &str) -> Member {
    Member { project: project.to_owned(), status: MemberStatus::Accepted }
}

fn is_upload(method: &Method, path: &str) -> bool {
    method == Method::PUT && path.ends_with("/file")
}

/// Whether a retry may succeed and does no harm. After a stored upload, the engine reads the record
/// instead.
fn is_survived(fault: Fault, method: &Method, path: &str) -> bool {
    if is_upload(method, path) {
        return matches!(fault, Fault::AnswerLost | Fault::Answer(_));
    }
    let done_nothing = matches!(fault, Fault::Busy(..) | Fault::Status(429));
    done_nothing || [Method::GET, Method::PUT].contains(method)
}

#[tokio::test]
async fn every_request_of_a_copy_is_repeated_where_that_does_no_harm() {
    let clean = Pair::new().await;
    assert!(clean.copies().await && clean.is_whole().await);
    let mut cases = Vec::new();
    for (side, faults) in [(0, FAULTS), (1, FAULTS)] {
        let asked: BTreeSet<(String, String)> = clean.sides[side]
            .faulty
            .requests()
            .iter()
            .map(|(method, path)| (method.to_string(), path.clone()))
            .collect();
        for (method, path) in asked {
            for fault in faults {
                let case = (side, method.parse().unwrap(), path.clone(), *fault);
                cases.push(one(&clean, case));
            }
        }
    }
    assert!(cases.len() >= 100, "{}", cases.len());
    join_all(cases).await;
}

/// The first request with this method and path fails once.
async fn one(clean: &Pair, (side, method, path, fault): (usize, Method, String, Fault)) {
    let what = format!("side {side}: {method} {path}: {fault:?}");
    let pair = Pair::new().await;
    let wanted = path.clone();
    let faulty = &pair.sides[side].faulty;
    faulty.inject(method.clone(), move |path| path == wanted, 1, fault);
    let begin = Instant::now();
    let copied = pair.copies().await;
    assert_eq!(faulty.pending(), 0, "{what}");
    assert_eq!(copied, is_survived(fault, &method, &path), "{what}");
    let requests = faulty.requests();
    let uploads = requests.iter().filter(|(method, path)| is_upload(method, path)).count();
    assert!(uploads <= 1, "{what}");
    if copied {
        assert!(pair.is_whole().await, "{what}");
        for (now, before) in pair.sides.iter().zip(&clean.sides) {
            let repeated = Arc::ptr_eq(&now.faulty, faulty) && !is_upload(&method, &path);
            let extra = usize::from(repeated);
            assert_eq!(now.count(), before.count() + extra, "{what}");
        }
        if let Fault::Busy(..) = fault {
            assert!(begin.elapsed() >= Duration::from_secs(1), "{what}");
        }
    }
}

const FAULTS: &[Fault] = &[
    Fault::Busy(503, "1"),
    Fault::Status(429),
    Fault::Status(408),
    Fault::Status(425),
    Fault::Status(500),
    Fault::Status(502),
    Fault::Status(504),
    Fault::Lost,
    Fault::AnswerLost,
    Fault::Answer(504),
];

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_again() {
    for (side, path) in [
        (0, "/v2/images".to_owned()),
        (1, "/v2/images".to_owned()),
        (0, format!("/v2/images/{ID}/members")),
        (1, format!("/v2/images/{ID}/members")),
    ] {
        for (times, copied) in [(3, true), (4, false)] {
            let pair = Pair::new().await;
            let wanted = path.clone();
            let faulty = &pair.sides[side].faulty;
            let cut = Fault::CutDownload { after: 3 };
            faulty.inject(Method::GET, move |path| path == wanted, times, cut);
            assert_eq!(pair.copies().await, copied, "{side} {path} {times}");
            assert_eq!(faulty.pending(), 0);
        }
    }
}

#[tokio::test]
async fn what_is_gone_at_the_second_attempt_was_deleted_by_the_first() {
    let site = Site::new("https://b");
    let id: ImageId = ID.parse().unwrap();
    let shared = Attributes { visibility: Visibility::Shared, ..Attributes::default() };
    site.kept.create(&Image::queued(id.clone(), shared)).await.unwrap();
    site.kept.set_members(&id, &[member("one"), member("two")]).await.unwrap();
    site.faulty.inject(Method::DELETE, |_| true, 1, Fault::AnswerLost);
    site.store.set_members(&id, &[member("one")]).await.unwrap();
    assert_eq!(site.kept.members(&id).await.unwrap(), [member("one")]);
    site.faulty.inject(Method::DELETE, |_| true, 1, Fault::Answer(504));
    site.store.delete(&id).await.unwrap();
    // Deleting an image that never existed is an error.
    assert!(site.store.delete(&id).await.is_err());
}

#[tokio::test]
async fn a_refusal_says_how_often_it_was_asked() {
    let site = Site::new("https://a");
    site.faulty.inject(Method::GET, |_| true, 100, Fault::Status(500));
    let error = site.store.get(&ID.parse().unwrap()).await.unwrap_err();
    assert!(error.to_string().ends_with("(tried 11 times)"), "{error}");
    assert_eq!(site.count(), 11);
}

#[tokio::test]
async fn data_is_sent_once_even_if_the_source_could_repeat_it() {
    for fault in [Fault::Busy(503, "0"), Fault::Lost, Fault::AnswerLost] {
        let site = Site::new("https://b");
        let id: ImageId = ID.parse().unwrap();
        let attributes = Attributes { disk_format: Some("raw".into()), ..Attributes::default() };
        site.kept.create(&Image::queued(id.clone(), attributes)).await.unwrap();
        site.faulty.inject(Method::PUT, |_| true, 100, fault);
        site.store.upload(&id, Bytes::from_static(DATA).into()).await.unwrap_err();
        assert_eq!(site.count(), 1, "{fault:?}");
    }
}
