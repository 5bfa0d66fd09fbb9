//! Two Glances over HTTPS, and runs between them.

use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use glance_core::image::{Attributes, Image, ImageId, Status, Visibility};
use glance_core::store::memory::MemoryStore;
use glance_core::store::{ByteRange, ImageStore};
use glance_core::{Body, Transport, TransportError};
use glance_server::GlanceApi;
use http::{Method, Request, Response};
use tempfile::TempDir;
use tests::pki::{Authority, Leaf};
use tokio::net::TcpListener;
use tokio::time::sleep;
use transport_hyper::TlsAcceptor;

use crate::support::common::{Run, replicator_with, start, with_options};
use crate::support::fault::{Fault, Faulty};
use crate::support::stack::acceptor;

pub(crate) const TOKEN: &str = "a-token-that-stays-secret";

/// Bytes of an image's data: more than the buffers between two processes hold.
const LENGTH: usize = 3 << 20;

/// A Glance over HTTPS.
pub(crate) struct Site {
    pub(crate) url: String,
    pub(crate) kept: Arc<MemoryStore>,
    pub(crate) faulty: Arc<Faulty>,
}

/// Two Glances, and a directory for all other files.
pub(crate) struct Pair {
    pub(crate) a: Site,
    pub(crate) b: Site,
    pub(crate) directory: TempDir,
    acceptor: Arc<dyn TlsAcceptor>,
    stack: &'static str,
}

pub(crate) fn id(number: u8) -> ImageId {
    format!("00000000-0000-4000-8000-0000000000{number:02}").parse().unwrap()
}

pub(crate) fn attributes(number: u8) -> Attributes {
    Attributes {
        name: Some(format!("image {number}")),
        visibility: Visibility::Public,
        disk_format: Some("raw".into()),
        container_format: Some("bare".into()),
        ..Attributes::default()
    }
}

impl Site {
    async fn open(name: &str, acceptor: Arc<dyn TlsAcceptor>) -> Self {
        let kept = Arc::new(MemoryStore::new(name));
        let api = Arc::new(GlanceApi::new(kept.clone()).with_token(TOKEN));
        Self::of(kept, api, acceptor).await
    }

    /// A Glance that reads the first upload slowly.
    async fn slow(name: &str, acceptor: Arc<dyn TlsAcceptor>) -> Self {
        let kept = Arc::new(MemoryStore::new(name));
        let api = GlanceApi::new(kept.clone()).with_token(TOKEN);
        Self::of(kept, Arc::new(SlowOnce { api, is_slow: true.into() }), acceptor).await
    }

    async fn of(
        kept: Arc<MemoryStore>,
        api: Arc<dyn Transport>,
        acceptor: Arc<dyn TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let faulty = Arc::new(Faulty::new(api));
        let served = Arc::clone(&faulty);
        tokio::spawn(glance_server::serve(
            listener,
            Some(acceptor),
            served,
            std::future::pending(),
        ));
        Self { url, kept, faulty }
    }

    pub(crate) async fn put(&self, number: u8) {
        self.kept.create(&Image::queued(id(number), attributes(number))).await.unwrap();
        self.kept.upload(&id(number), data(number)).await.unwrap();
    }

    pub(crate) async fn status(&self, number: u8) -> Option<Status> {
        self.kept.get(&id(number)).await.ok().map(|image| image.status)
    }

    pub(crate) async fn becomes(&self, number: u8, status: Status) {
        for _ in 0..3000 {
            if self.status(number).await == Some(status) {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("image {number} is {:?}, and does not become {status}", self.status(number).await);
    }

    pub(crate) async fn holds(&self, number: u8) {
        let image = self.kept.get(&id(number)).await.unwrap();
        assert_eq!(
            (image.status, image.attributes.visibility),
            (Status::Active, Visibility::Public)
        );
        let stored = self.kept.read(&id(number), ByteRange::ALL).await.unwrap();
        let stored = stored.collect(2 * LENGTH).await.unwrap();
        assert!(stored == data(number).collect(2 * LENGTH).await.unwrap(), "image {number}");
    }
}

impl Pair {
    pub(crate) async fn new(stack: &'static str) -> Self {
        let root = Authority::root("the CA of the tests").unwrap();
        let server = root.issue(&Leaf::new("server", &["127.0.0.1"])).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), root.pem()).unwrap();
        std::fs::write(directory.path().join("token"), TOKEN).unwrap();
        let acceptor = acceptor(stack, server.chain_pem.as_bytes(), server.key_pem.as_bytes());
        let a = Site::open("a", Arc::clone(&acceptor)).await;
        let b = Site::open("b", Arc::clone(&acceptor)).await;
        Self { a, b, directory, acceptor, stack }
    }

    /// A further Glance, which reads the first upload slowly.
    pub(crate) async fn slow(&self, name: &str) -> Site {
        Site::slow(name, Arc::clone(&self.acceptor)).await
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// A command line without a token.
    pub(crate) fn bare_line(&self, words: &[&str]) -> Vec<String> {
        let (ca, state) = (self.file("ca.pem"), self.file("state"));
        // No Keystone is available to compare the projects of both sides.
        let mut more = vec![["--tls", self.stack], ["--cacert", &ca], ["--owner", "caller"]];
        let is_there = words.iter().any(|word| word.contains("state"));
        if !is_there {
            more.push(["--state-dir", &state]);
        }
        with_options(words, &more).iter().map(ToString::to_string).collect()
    }

    pub(crate) fn line(&self, words: &[&str]) -> Vec<String> {
        let token = self.file("token");
        self.bare_line(&with_options(words, &[["--token-file", &token]]))
    }

    pub(crate) async fn run(&self, words: &[&str]) -> Run {
        run(self.line(words)).await
    }

    /// Runs a command with A as source and B as target.
    pub(crate) async fn between(&self, words: &[&str]) -> Run {
        self.run(&[words, &[&self.a.url, &self.b.url]].concat()).await
    }

    /// Starts a run whose source stalls in the middle of this image.
    pub(crate) fn stalled(&self, number: u8, line: &[String]) -> Child {
        let path = format!("/v2/images/{}/file", id(number));
        let is_it = move |asked: &str| asked == path;
        let stall = Fault::StallDownload { after: 2 << 20 };
        self.a.faulty.inject(Method::GET, is_it, 1, stall);
        start(line)
    }

    /// Kills a run in the middle of this image, and waits until the target has noticed. The run
    /// copies one image at a time.
    pub(crate) async fn killed(&self, number: u8, words: &[&str]) {
        let words = [words, &[&self.a.url, &self.b.url, "--transfers", "1"]].concat();
        let mut child = self.stalled(number, &self.line(&words));
        self.b.becomes(number, Status::Saving).await;
        child.kill().unwrap();
        child.wait().unwrap();
        self.b.becomes(number, Status::Queued).await;
        self.a.faulty.mend();
    }
}

/// A Glance that reads the data of one upload slowly.
#[derive(Debug)]
struct SlowOnce {
    api: GlanceApi,
    is_slow: AtomicBool,
}

#[async_trait]
impl Transport for SlowOnce {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let is_upload = request.method() == Method::PUT && request.uri().path().ends_with("/file");
        if !is_upload || !self.is_slow.swap(false, Ordering::Relaxed) {
            return self.api.send(request).await;
        }
        let slowly = |data: Body| {
            let size = data.size();
            let chunks = data.and_then(|chunk| async {
                sleep(SLOW * u32::try_from(chunk.len()).unwrap()).await;
                Ok(chunk)
            });
            Body::from_stream(chunks, size)
        };
        self.api.send(request.map(slowly)).await
    }
}

/// Time per byte: 0.3 MB/s.
const SLOW: Duration = Duration::from_nanos(3333);

pub(crate) async fn run(line: Vec<String>) -> Run {
    let run = tokio::task::spawn_blocking(move || {
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        replicator_with(&line, &[])
    });
    let run = run.await.unwrap();
    run.says_none_of([TOKEN]);
    run
}

pub(crate) fn data(number: u8) -> Body {
    Bytes::from(vec![number; LENGTH]).into()
}
