//! A run killed after any request and then repeated results in an exact replica under the same id.
//! No unproven image is visible at any time.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use glance_client::GlanceStore;
use glance_core::image::{Image, Member, MemberStatus, Visibility};
use glance_core::store::ImageStore;
use glance_core::store::memory::MemoryStore;
use glance_core::{Body, Transport, TransportError};
use glance_server::GlanceApi;
use http::{Method, Request, Response};
use keystone_auth::Session;
use keystone_auth::auth::FixedToken;
use replicator_engine::{Policy, Replication, Retries};

use super::{attributes, deactivate, essence, id, is_visible, outcomes, policy, put};
use crate::support::fault::{Fault, Faulty};

const DATA: &[u8] = b"the data of an image";

/// A Glance that checks its images after every request.
#[derive(Debug)]
struct Watched {
    api: GlanceApi,
    kept: Arc<MemoryStore>,
    good: Vec<Image>,
    /// The images whose record was read after their data was stored.
    read_back: Mutex<Vec<String>>,
    violations: Mutex<Vec<String>>,
}

impl Watched {
    async fn look(&self, request: &str) {
        for good in &self.good {
            let Ok(replica) = self.kept.get(&good.id).await else { continue };
            let proven = replica.os_hash_value == good.os_hash_value
                && self
                    .read_back
                    .lock()
                    .unwrap()
                    .iter()
                    .any(|path| path.ends_with(good.id.as_str()));
            if is_visible(&self.kept, &replica).await && !proven {
                let violation = format!("{} is visible after {request}", good.id);
                self.violations.lock().unwrap().push(violation);
            }
        }
    }
}

#[async_trait]
impl Transport for Watched {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let answer = self.api.send(request).await;
        if method == Method::GET && answer.is_ok() {
            let mut read_back = self.read_back.lock().unwrap();
            let whole = |path: &String| path.strip_suffix("/file").is_none();
            read_back.extend(Some(path.clone()).filter(whole));
        }
        // A listing reads every record.
        if method == Method::GET && path == "/v2/images" {
            let listed = self.good.iter().map(|image| image.id.to_string());
            self.read_back.lock().unwrap().extend(listed);
        }
        self.look(&format!("{method} {path}")).await;
        answer
    }
}

/// A source whose images have every attribute of an image, and an empty target.
struct Setting {
    kept_b: Arc<MemoryStore>,
    a: Arc<Faulty>,
    b: Arc<Faulty>,
    watched: Arc<Watched>,
    good: Vec<Image>,
    members: Vec<Member>,
    replication: Replication,
}

impl Setting {
    async fn new() -> Self {
        let (kept_a, kept_b) = (Arc::new(MemoryStore::new("a")), Arc::new(MemoryStore::new("b")));
        let members = everything(&kept_a).await;
        let mut good = Vec::new();
        for number in 1..=3 {
            good.push(kept_a.get(&id(number)).await.unwrap());
        }
        let watched = Arc::new(Watched {
            api: api(&kept_b),
            kept: kept_b.clone(),
            good: good.clone(),
            read_back: Mutex::default(),
            violations: Mutex::default(),
        });
        let a = Arc::new(Faulty::new(Arc::new(api(&kept_a))));
        let b = Arc::new(Faulty::new(watched.clone()));
        let retries = Retries::NONE;
        let policy = Policy { queued: true, transfers: 1, retries, ..policy() };
        let replication = Replication {
            source: glance("https://a", &a),
            target: glance("https://b", &b),
            policy,
        };
        Self { kept_b, a, b, watched, good, members, replication }
    }

    /// Runs until the end, or until the injected fault ends the run.
    async fn run(&self) {
        let _ = self.replication.run(drop).await;
    }

    async fn converges(&self, case: &str) {
        self.a.mend();
        self.b.mend();
        for outcome in outcomes(&self.replication).await {
            let id = &outcome.image.id;
            outcome.result.unwrap_or_else(|error| panic!("{case}: {id}: {error:?}"));
        }
        for image in &self.good {
            let replica = self.kept_b.get(&image.id).await.unwrap();
            assert_eq!(essence(replica), essence(image.clone()), "{case}");
        }
        let mut members = self.kept_b.members(&id(1)).await.unwrap();
        members.sort();
        assert_eq!(members, self.members, "{case}");
        self.is_clean(case);
        let before = writes(&self.b);
        outcomes(&self.replication).await;
        assert_eq!(writes(&self.b), before, "{case}: another run writes");
    }

    fn is_clean(&self, case: &str) {
        let violations = self.watched.violations.lock().unwrap();
        assert!(violations.is_empty(), "{case}: {violations:?}");
    }
}

/// A shared, protected, hidden and deactivated image with members, tags, a signature and
/// properties; a public image; and a record without data.
async fn everything(store: &MemoryStore) -> Vec<Member> {
    let mut all = attributes("everything");
    all.visibility = Visibility::Shared;
    all.tags = ["one".to_owned(), "two".to_owned()].into();
    all.properties = ["img_signature", "kernel_id", "odd/name~"]
        .map(|key| (key.to_owned(), id(2).to_string()))
        .into();
    all.os_hidden = true;
    (all.min_disk, all.min_ram) = (3, 4);
    put(store, &id(1), all.clone(), DATA).await;
    let member = |project: &str, status| Member { project: project.to_owned(), status };
    let members = vec![member("p", MemberStatus::Accepted), member("q", MemberStatus::Rejected)];
    store.set_members(&id(1), &members).await.unwrap();
    let image = store.get(&id(1)).await.unwrap();
    all.protected = true;
    store.update(&image, &all).await.unwrap();
    deactivate(store, &id(1)).await;
    put(store, &id(2), attributes("public"), DATA).await;
    store.create(&Image::queued(id(3), attributes("a record"))).await.unwrap();
    members
}

fn api(kept: &Arc<MemoryStore>) -> GlanceApi {
    GlanceApi::new(Arc::clone(kept) as Arc<dyn ImageStore>).with_token("t")
}

fn glance(url: &str, transport: &Arc<Faulty>) -> Arc<dyn ImageStore> {
    let auth = FixedToken { token: "t".to_owned().into(), endpoint: None };
    let session = Arc::new(Session::new(transport.clone(), Arc::new(auth)));
    Arc::new(GlanceStore::new(url, transport.clone(), url, session))
}

fn writes(faulty: &Faulty) -> usize {
    faulty.requests().iter().filter(|(method, _)| *method != Method::GET).count()
}

/// Whether the run ended before the injected fault.
fn is_over(faulty: &Faulty, requests: usize) -> bool {
    faulty.requests().len() <= requests
}

/// Ends a run after each possible number of requests at one side. Returns the number of requests of
/// an undisturbed run.
async fn sweep(at_target: bool, fault: Fault) -> usize {
    for requests in 0.. {
        let setting = Setting::new().await;
        let faulty = if at_target { &setting.b } else { &setting.a };
        faulty.end_after(requests, fault);
        setting.run().await;
        let case = format!("{fault:?} after {requests} requests");
        setting.is_clean(&case);
        let over = is_over(faulty, requests);
        setting.converges(&case).await;
        if over {
            return requests;
        }
    }
    unreachable!()
}

#[tokio::test]
async fn killed_at_any_request_to_the_target() {
    for fault in [Fault::Lost, Fault::AnswerLost, Fault::CutUpload { after: 7 }] {
        let requests = sweep(true, fault).await;
        assert!(requests > 15, "only {requests} requests: what was swept?");
    }
}

#[tokio::test]
async fn killed_at_any_request_to_the_source() {
    for fault in [Fault::Lost, Fault::AnswerLost, Fault::CutDownload { after: 7 }] {
        let requests = sweep(false, fault).await;
        assert!(requests > 4, "only {requests} requests: what was swept?");
    }
}

/// Data that the target stored wrongly is never visible, wherever the run ends.
#[tokio::test]
async fn what_is_stored_wrongly_is_never_visible() {
    for requests in 0.. {
        let setting = Setting::new().await;
        let is_upload = |path: &str| path.ends_with("/file");
        setting.b.inject(Method::PUT, is_upload, 9, Fault::StoreOther);
        setting.b.end_after(requests, Fault::AnswerLost);
        setting.run().await;
        let case = format!("after {requests} requests");
        let over = is_over(&setting.b, requests);
        setting.b.mend();
        setting.b.inject(Method::PUT, is_upload, 9, Fault::StoreOther);
        let mut failed = 0;
        setting
            .replication
            .run(|outcome| failed += u32::from(outcome.result.is_err()))
            .await
            .unwrap();
        // The fault that ends the run replaces the other fault, so that upload is stored correctly.
        let mut wrong = 0;
        for image in &setting.good[..2] {
            let replica = setting.kept_b.get(&image.id).await.unwrap();
            wrong += u32::from(replica.os_hash_value != image.os_hash_value);
        }
        assert_eq!(failed, wrong, "{case}");
        assert!(wrong > 0, "{case}");
        setting.is_clean(&case);
        if over {
            return;
        }
    }
}
