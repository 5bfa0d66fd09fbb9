//! A Glance over HTTPS that counts the data it sends, and triggers events at any byte.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use glance_core::body::Body;
use glance_core::error::BodyError;
use glance_core::image::{Attributes, Image, ImageId};
use glance_core::store::ImageStore;
use glance_core::store::memory::MemoryStore;
use glance_core::{Transport, TransportError};
use glance_server::GlanceApi;
use http::{Method, Request, Response};
use tests::pki::{Authority, Leaf};
use tokio::net::TcpListener;

use crate::support::common::{Run, replicator_with, with_options};
use crate::support::fault::Faulty;
use crate::support::stack::acceptor;

/// A Glance, and the files that clients need to reach it with one of the TLS stacks.
pub(super) struct Site {
    pub(super) url: String,
    pub(super) kept: Arc<MemoryStore>,
    pub(super) faulty: Arc<Faulty>,
    pub(super) watch: Arc<Watch>,
    pub(super) directory: tempfile::TempDir,
    stack: &'static str,
}

impl Site {
    pub(super) async fn open(stack: &'static str) -> Self {
        let root = Authority::root("the CA of the tests").unwrap();
        let server = root.issue(&Leaf::new("server", &["127.0.0.1"])).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), root.pem()).unwrap();
        std::fs::write(directory.path().join("token"), "a token").unwrap();
        std::fs::write(directory.path().join("server.pem"), &server.chain_pem).unwrap();
        std::fs::write(directory.path().join("server.key"), &server.key_pem).unwrap();
        let acceptor = acceptor(stack, server.chain_pem.as_bytes(), server.key_pem.as_bytes());
        let kept = Arc::new(MemoryStore::new("the site"));
        let api = GlanceApi::new(Arc::clone(&kept) as Arc<dyn ImageStore>).with_token("a token");
        let faulty = Arc::new(Faulty::new(Arc::new(api)));
        let watch = Arc::new(Watch::new(Arc::clone(&faulty) as Arc<dyn Transport>));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let watched = Arc::clone(&watch);
        tokio::spawn(glance_server::serve(
            listener,
            Some(acceptor),
            watched,
            std::future::pending(),
        ));
        Self { url, kept, faulty, watch, directory, stack }
    }

    /// Creates an image of `length` bytes other than zero.
    pub(super) async fn image(&self, number: u8, length: usize) -> ImageId {
        put(&*self.kept, number, length).await
    }

    /// A command line with the options to reach the Glance.
    pub(super) fn line(&self, words: &[&str]) -> Vec<String> {
        let file = |name: &str| self.directory.path().join(name).to_str().unwrap().to_owned();
        let (ca, token) = (file("ca.pem"), file("token"));
        let more = [["--tls", self.stack], ["--cacert", &ca], ["--token-file", &token]];
        with_options(words, &more).iter().map(ToString::to_string).collect()
    }

    pub(super) async fn run(&self, words: &[&str]) -> Run {
        let line = self.line(words);
        let run = tokio::task::spawn_blocking(move || {
            let line: Vec<&str> = line.iter().map(String::as_str).collect();
            replicator_with(&line, &[])
        });
        run.await.unwrap()
    }

    pub(super) async fn dump(&self, dump: &Path) -> Run {
        // One image at a time, in the order of ids.
        self.run(&["dump", &self.url, dump.to_str().unwrap(), "--transfers", "1"]).await
    }

    /// Fails the test unless the dump is finished and contains exactly the Glance's data.
    pub(super) async fn is_dumped(&self, dump: &Path) {
        let dump = dump.to_str().unwrap();
        self.run(&["verify", dump]).await.exits(0);
        self.run(&["verify", &self.url, dump]).await.exits(0);
        self.run(&["compare", &self.url, dump]).await.exits(0);
        assert!(format_dump::DumpStore::open(dump).unwrap().is_complete().unwrap());
    }
}

/// Creates an image of `length` bytes other than zero.
pub(super) async fn put(store: &dyn ImageStore, number: u8, length: usize) -> ImageId {
    let attributes = Attributes {
        name: Some(format!("image {number}")),
        disk_format: Some("raw".to_owned()),
        container_format: Some("bare".to_owned()),
        ..Attributes::default()
    };
    let image = Image::queued(id(number), attributes);
    store.create(&image).await.unwrap();
    let data: Vec<u8> = (1..=251_u8).cycle().skip(number.into()).take(length).collect();
    store.upload(&image.id, Bytes::from(data).into()).await.unwrap();
    image.id
}

pub(super) fn id(number: u8) -> ImageId {
    format!("00000000-0000-4000-8000-0000000000{number:02}").parse().unwrap()
}

/// An action that runs when this many bytes of an image's data have passed, in either direction.
type Event = (ImageId, u64, Box<dyn FnOnce() -> Then + Send>);

/// What the transport does after an event.
pub(super) enum Then {
    GoOn,
    /// No further data passes.
    Stall,
}

/// A transport that counts data and triggers events.
pub(super) struct Watch {
    inner: Arc<dyn Transport>,
    given: Arc<AtomicU64>,
    events: Mutex<Vec<Event>>,
}

impl Watch {
    fn new(inner: Arc<dyn Transport>) -> Self {
        Self { inner, given: Arc::default(), events: Mutex::default() }
    }

    /// Runs an action when `bytes` bytes of an image's data have passed in one answer or request.
    pub(super) fn at(
        &self,
        image: &ImageId,
        bytes: u64,
        event: impl FnOnce() -> Then + Send + 'static,
    ) {
        self.events.lock().unwrap().push((image.clone(), bytes, Box::new(event)));
    }

    /// The bytes of data that were sent since the last call.
    pub(super) fn given(&self) -> u64 {
        self.given.swap(0, Ordering::SeqCst)
    }

    /// The next event for the data at `path`.
    fn event(&self, path: &str) -> Option<Event> {
        let mut events = self.events.lock().unwrap();
        let next = events.iter().position(|(id, ..)| path == format!("/v2/images/{id}/file"))?;
        Some(events.remove(next))
    }

    fn watched(data: Body, event: Option<Event>, count: Arc<AtomicU64>) -> Body {
        let size = data.size();
        let passing = (data, event, count, 0_u64);
        let chunks =
            stream::try_unfold(passing, |(mut data, mut event, count, passed)| async move {
                if event.as_ref().is_some_and(|(_, at, _)| *at <= passed) {
                    if let Some((_, _, happen)) = event.take() {
                        if let Then::Stall = happen() {
                            std::future::pending::<()>().await;
                        }
                    }
                }
                let Some(chunk) = data.try_next().await? else { return Ok::<_, BodyError>(None) };
                count.fetch_add(chunk.len() as u64, Ordering::SeqCst);
                let passed = passed + chunk.len() as u64;
                Ok(Some((chunk, (data, event, count, passed))))
            });
        // Small chunks, so that events happen close to their byte.
        Body::from_stream(chunks.boxed(), size)
    }
}

#[async_trait]
impl Transport for Watch {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let path = request.uri().path().to_owned();
        let event = path.ends_with("/file").then(|| self.event(&path)).flatten();
        match *request.method() {
            Method::GET if path.ends_with("/file") => {
                let answer = self.inner.send(request).await?;
                let count = Arc::clone(&self.given);
                Ok(answer.map(|data| Self::watched(data, event, count)))
            }
            _ => {
                let uncounted = Arc::default();
                self.inner.send(request.map(|data| Self::watched(data, event, uncounted))).await
            }
        }
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("given", &self.given).finish_non_exhaustive()
    }
}
