//! Many images and many targets: retries, order, and the end of a run.

mod command;
mod ends;
mod resume;
mod retries;
mod targets;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use glance_client::GlanceStore;
use glance_core::image::{Attributes, Image, ImageId, Status, Visibility};
use glance_core::store::memory::MemoryStore;
use glance_core::store::{ByteRange, ImageStore};
use glance_core::transport::backoff::Backoff;
use glance_core::{Body, Transport, TransportError};
use glance_server::GlanceApi;
use http::{Method, Request, Response};
use keystone_auth::Session;
use keystone_auth::auth::NoAuth;
use replicator_engine::{
    CancelMode, CancelReason, CancelToken, CopyError, Done, Outcome, Policy, Replication, Retries,
    RunError, run_all,
};

use crate::support::fault::Faulty;

/// An in-process Glance, behind one transport that injects faults and one that counts.
struct Site {
    kept: Arc<MemoryStore>,
    faulty: Arc<Faulty>,
    counted: Arc<Counted>,
    store: Arc<dyn ImageStore>,
}

impl Site {
    fn new(name: &str) -> Self {
        let kept = Arc::new(MemoryStore::new(name));
        let api = GlanceApi::new(Arc::clone(&kept) as Arc<dyn ImageStore>);
        let faulty = Arc::new(Faulty::new(Arc::new(api)));
        let counted = Arc::new(Counted {
            inner: faulty.clone(),
            read: Arc::default(),
            stop: Mutex::default(),
        });
        let session = Arc::new(Session::new(counted.clone(), Arc::new(NoAuth { endpoint: None })));
        let url = format!("https://{name}");
        let store = Arc::new(GlanceStore::new(url.clone(), counted.clone(), url, session));
        Self { kept, faulty, counted, store }
    }

    /// Creates an image of `size` bytes.
    async fn image(&self, number: u8, size: usize) -> ImageId {
        self.image_with(number, size, &[]).await
    }

    async fn image_with(&self, number: u8, size: usize, properties: &[(&str, &str)]) -> ImageId {
        let properties = properties.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        let attributes = Attributes {
            name: Some(format!("image {number}")),
            visibility: Visibility::Public,
            disk_format: Some("raw".into()),
            container_format: Some("bare".into()),
            properties: properties.collect(),
            ..Attributes::default()
        };
        let id = id(number);
        self.kept.create(&Image::queued(id.clone(), attributes)).await.unwrap();
        self.kept.upload(&id, Body::from(Bytes::from(vec![number; size]))).await.unwrap();
        id
    }

    /// The numbers of the images uploaded to this site, in order.
    fn uploads(&self) -> Vec<u8> {
        let requests = self.faulty.requests();
        let uploads =
            requests.iter().filter(|(method, path)| *method == Method::PUT && is_file(path));
        uploads.map(|(_, path)| number(path.trim_end_matches("/file"))).collect()
    }

    async fn status(&self, number: u8) -> Status {
        self.kept.get(&id(number)).await.unwrap().status
    }

    /// Fails the test unless the image is here and public, with the source's data.
    async fn holds(&self, number: u8, size: usize) {
        let image = self.kept.get(&id(number)).await.unwrap();
        assert_eq!(image.status, Status::Active, "{number}");
        assert_eq!(image.attributes.visibility, Visibility::Public, "{number}");
        let data = self.kept.read(&image.id, ByteRange::ALL).await.unwrap();
        assert_eq!(data.collect(size).await.unwrap(), vec![number; size], "{number}");
    }
}

/// Counts the bytes of data that are read, and stops a run at a given request.
#[derive(Debug)]
struct Counted {
    inner: Arc<Faulty>,
    read: Arc<AtomicU64>,
    stop: Mutex<Option<(usize, CancelToken)>>,
}

impl Counted {
    /// Stops the run just before this request, counted from now.
    fn stop_at(&self, request: usize, stop: &CancelToken) {
        *self.stop.lock().unwrap() = Some((request, stop.clone()));
    }

    fn note_request(&self) {
        if let Some((left, stop)) = &mut *self.stop.lock().unwrap() {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => stop.stop(CancelMode::Abort, CancelReason::Interrupted),
            }
        }
    }
}

#[async_trait]
impl Transport for Counted {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        self.note_request();
        let is_data = request.method() == Method::GET && is_file(request.uri().path());
        let answer = self.inner.send(request).await?;
        let read = Arc::clone(&self.read);
        Ok(answer.map(|body| {
            let size = body.size();
            let count = move |bytes: &Bytes| {
                if is_data {
                    read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                }
            };
            Body::from_stream(body.inspect(move |chunk| chunk.iter().for_each(&count)), size)
        }))
    }
}

/// A source and its targets.
struct Sites {
    source: Site,
    targets: Vec<Site>,
    policy: Policy,
}

/// The result of a run: per target, the result of the run and of each image.
struct Ran {
    ended: Vec<Result<(), RunError>>,
    outcomes: Vec<BTreeMap<u8, Result<Done, CopyError>>>,
}

impl Sites {
    fn new(targets: usize) -> Self {
        let policy = Policy { transfers: 1, retries: AT_ONCE, ..Policy::default() };
        let targets = (1..=targets).map(|number| Site::new(&format!("target{number}"))).collect();
        Self { source: Site::new("source"), targets, policy }
    }

    fn replications(&self) -> Vec<Replication> {
        let replication = |target: &Site| Replication {
            source: Arc::clone(&self.source.store),
            target: Arc::clone(&target.store),
            policy: self.policy.clone(),
        };
        self.targets.iter().map(replication).collect()
    }

    /// Runs the replication. Fails the test if an image has two outcomes at a target.
    async fn run(&self) -> Ran {
        let mut outcomes: Vec<BTreeMap<_, _>> =
            self.targets.iter().map(|_| BTreeMap::new()).collect();
        let observe = |target: usize, outcome: Outcome| {
            let number = number(outcome.image.id.as_str());
            let earlier = outcomes[target].insert(number, outcome.result);
            assert!(earlier.is_none(), "image {number} was {earlier:?} before");
        };
        let ended = run_all(&self.replications(), observe).await;
        Ran { ended, outcomes }
    }
}

impl Ran {
    /// Fails the test unless all images are copied or in place at all targets.
    fn is_good(&self, images: usize) -> &Self {
        for (ended, outcomes) in self.ended.iter().zip(&self.outcomes) {
            assert!(ended.is_ok(), "{ended:?}");
            assert_eq!(outcomes.len(), images, "{outcomes:?}");
            assert!(outcomes.values().all(Result::is_ok), "{outcomes:?}");
        }
        self
    }

    /// The numbers of the images that failed at a target.
    fn failed(&self, target: usize) -> Vec<u8> {
        let failed = self.outcomes[target].iter().filter(|(_, result)| result.is_err());
        failed.map(|(number, _)| *number).collect()
    }
}

/// Retries the run's failed images twice, without a pause, and no image on its own.
const AT_ONCE: Retries = Retries { per_run: 2, pauses: Backoff::NONE, ..Retries::NONE };

fn id(number: u8) -> ImageId {
    format!("00000000-0000-4000-8000-0000000000{number:02}").parse().unwrap()
}

fn number(id: &str) -> u8 {
    id[id.len() - 2..].parse().unwrap()
}

fn is_file(path: &str) -> bool {
    path.ends_with("/file")
}

fn is_data_of(number: u8) -> impl Fn(&str) -> bool + Send {
    move |path| path == format!("/v2/images/{}/file", id(number))
}
