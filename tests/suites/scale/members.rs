//! The members of shared images: requests of their own, many at once at both sides.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use glance_client::GlanceStore;
use glance_core::image::{Attributes, Image, Member, MemberStatus, Visibility};
use glance_core::store::memory::MemoryStore;
use glance_core::{Body, ImageStore, Transport, TransportError};
use glance_server::GlanceApi;
use http::{Request, Response};
use keystone_auth::Session;
use keystone_auth::auth::NoAuth;
use replicator_engine::{Done, Members, Outcome, Policy, Replication, State, run_all};
use tokio::time::{Instant, sleep};

use super::{id, run};

/// Number of shared images on each side.
const IMAGES: u32 = 320;

/// The time that each Glance takes to answer a request for members.
const ANSWER: Duration = Duration::from_millis(100);

/// A Glance that counts requests for members.
struct Side {
    kept: Arc<MemoryStore>,
    slow: Arc<SlowMembers>,
    store: Arc<dyn ImageStore>,
}

#[derive(Debug)]
struct SlowMembers {
    inner: GlanceApi,
    now: AtomicUsize,
    most: AtomicUsize,
    all: AtomicUsize,
}

impl Side {
    async fn with_images(name: &str) -> Self {
        let side = Self::empty(name);
        for number in 1..=IMAGES {
            side.put(number).await;
        }
        side
    }

    fn empty(name: &str) -> Self {
        let kept = Arc::new(MemoryStore::new(name));
        let slow = Arc::new(SlowMembers {
            inner: GlanceApi::new(Arc::clone(&kept) as Arc<dyn ImageStore>),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            all: AtomicUsize::new(0),
        });
        let session = Arc::new(Session::new(slow.clone(), Arc::new(NoAuth { endpoint: None })));
        let url = format!("https://{name}");
        let store = Arc::new(GlanceStore::new(url.clone(), slow.clone(), url, session));
        Self { kept, slow, store }
    }

    /// Adds a shared image with one member.
    async fn put(&self, number: u32) {
        let attributes = Attributes {
            visibility: Visibility::Shared,
            disk_format: Some("raw".to_owned()),
            container_format: Some("bare".to_owned()),
            ..Attributes::default()
        };
        self.kept.create(&Image::queued(id(number), attributes)).await.unwrap();
        self.kept.upload(&id(number), Body::from(Bytes::from_static(b"x"))).await.unwrap();
        self.share(number, "p1").await;
    }

    async fn share(&self, number: u32, project: &str) {
        let member = Member { project: project.to_owned(), status: MemberStatus::Accepted };
        self.kept.set_members(&id(number), &[member]).await.unwrap();
    }

    async fn member_of(&self, number: u32) -> String {
        self.kept.members(&id(number)).await.unwrap().remove(0).project
    }

    /// The number of requests so far, and the largest number at once; both begin again at 0.
    fn requests(&self) -> (usize, usize) {
        (self.slow.all.swap(0, Ordering::SeqCst), self.slow.most.swap(0, Ordering::SeqCst))
    }
}

#[async_trait]
impl Transport for SlowMembers {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        if request.uri().path().ends_with("/members") {
            self.all.fetch_add(1, Ordering::SeqCst);
            self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(ANSWER).await;
            self.now.fetch_sub(1, Ordering::SeqCst);
        }
        self.inner.send(request).await
    }
}

fn replication(source: &Side, target: &Side, policy: &Policy) -> Replication {
    let (source, target) = (Arc::clone(&source.store), Arc::clone(&target.store));
    Replication { source, target, policy: policy.clone() }
}

/// The time for all requests of one side, 16 at once, and a tenth more.
fn at_full_use() -> Duration {
    ANSWER * (IMAGES / 16) * 11 / 10
}

#[tokio::test(start_paused = true)]
async fn both_sides_are_asked_at_once_for_the_members_of_16_images() {
    let (a, b) = (Side::with_images("a").await, Side::with_images("b").await);
    b.share(7, "p2").await;
    let replication = replication(&a, &b, &Policy::default());
    let (begin, mut states) = (Instant::now(), Vec::new());
    replication.plan(|entry| states.push((entry.image.id, entry.state))).await.unwrap();
    assert!(begin.elapsed() <= at_full_use(), "{:?}", begin.elapsed());
    let expected = (1..=IMAGES).map(|number| match number {
        7 => (id(7), State::Members),
        number => (id(number), State::Same),
    });
    assert_eq!(states, expected.collect::<Vec<_>>());
    assert_eq!((a.requests(), b.requests()), ((320, 16), (320, 16)));
    // A run asks in the same way.
    let (begin, mut results) = (Instant::now(), Vec::new());
    replication.run(|outcome| results.push(outcome.result.unwrap())).await.unwrap();
    assert!(begin.elapsed() <= at_full_use() + ANSWER * 10, "{:?}", begin.elapsed());
    assert_eq!(results.iter().filter(|done| **done == Done::InPlace).count(), 319);
    assert_eq!((a.requests(), b.member_of(7).await), ((320, 16), "p1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn several_targets_cost_one_request_per_image_at_the_source() {
    let (a, b) = (Side::with_images("a").await, Side::with_images("b").await);
    let (c, policy) = (Side::with_images("c").await, Policy::default());
    let both = [replication(&a, &b, &policy), replication(&a, &c, &policy)];
    let begin = Instant::now();
    let observe = |_, outcome: Outcome| assert_eq!(outcome.result.unwrap(), Done::InPlace);
    assert!(run_all(&both, observe).await.iter().all(Result::is_ok));
    assert!(begin.elapsed() <= at_full_use(), "{:?}", begin.elapsed());
    for side in [a, b, c] {
        assert_eq!(side.requests(), (320, 16));
    }
}

#[tokio::test(start_paused = true)]
async fn members_that_are_skipped_are_not_requested_and_the_result_says_so() {
    let (a, b) = (Side::with_images("a").await, Side::with_images("b").await);
    b.share(7, "p2").await;
    a.put(999).await;
    let policy = Policy { members: Members::CheckNew, ..Policy::default() };
    let replication = replication(&a, &b, &policy);
    let mut states = Vec::new();
    let observe =
        |entry: replicator_engine::Entry| states.push((entry.state, entry.members_skipped));
    replication.plan(observe).await.unwrap();
    let expected = [vec![(State::Same, true); 320], vec![(State::Missing, true)]].concat();
    assert_eq!((states, a.requests().0, b.requests().0), (expected, 0, 0));
    // A new copy gets its members; those of the replica in place stay.
    let mut skipped = Vec::new();
    let observe =
        |outcome: Outcome| skipped.push((outcome.result.unwrap(), outcome.members_skipped));
    replication.run(observe).await.unwrap();
    assert_eq!(skipped.iter().filter(|it| **it == (Done::InPlace, true)).count(), 320);
    assert!(skipped.contains(&(Done::Copied, false)));
    assert_eq!(
        (a.requests().0, b.member_of(7).await, b.member_of(999).await),
        (1, "p2".to_owned(), "p1".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_says_which_members_were_not_looked_at() {
    let site = async |numbers: &[u32]| {
        let site = super::Site::open().await;
        for number in numbers {
            site.put(*number, &[]).await;
            let kept = site.kept.get(&id(*number)).await.unwrap();
            let shared = Attributes { visibility: Visibility::Shared, ..kept.attributes.clone() };
            site.kept.update(&kept, &shared).await.unwrap();
        }
        site
    };
    let (a, b) = (site(&[1, 2, 3]).await, site(&[1, 2]).await);
    let said = "the members of 3 shared images were not looked at; leave out --members skip";
    for command in ["compare", "plan", "sync"] {
        let line = [command, &a.url, &b.url, "--members", "skip"];
        let line = [&line[..], if command == "sync" { &["-n"] } else { &[] }].concat();
        let text = run(&line).await.exits(1).stdout;
        assert!(text.contains(said), "{command}: {text}");
        let json = super::json(&run(&[&line[..], &["--output", "json"]].concat()).await.stdout);
        assert_eq!(json["summary"]["members_skipped"], 3, "{command}");
    }
    let line = ["livecopy", &a.url, &b.url, "--members", "skip"];
    let text = run(&line).await.exits(0).stdout;
    assert!(text.contains(&said.replace('3', "2")), "{text}");
    let text = run(&["compare", &a.url, &b.url]).await.exits(0).stdout;
    assert!(!text.contains("not looked at"), "{text}");
    run(&["ls", &a.url, "--members", "skip"]).await.exits(2);
}
