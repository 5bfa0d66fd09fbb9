//! Runs side by side, with the binary and servers over HTTPS: claims on images and on stores.

mod alone;
mod kills;
mod together;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use glance_core::image::provenance;
use glance_core::image::{Attributes, Image, ImageId, Status, Visibility};
use glance_core::store::ImageStore;
use glance_core::{Body, Transport, TransportError};
use http::{Method, Request, Response};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::support::common::{Run, replicator_with, start_heard, with_options};
use crate::support::fault::Faulty;
use crate::support::site::{Site, TOKEN};
use crate::support::stack::Stack;

/// A source whose data can be held back, two targets, and a state directory.
struct World {
    a: Site,
    gate: Arc<Gate>,
    b: Site,
    c: Site,
    stack: Arc<Stack>,
    directory: TempDir,
}

/// A source that holds back the data of some images, so that a run has them in work for as long as
/// a test needs.
#[derive(Debug)]
struct Gate {
    inner: Arc<Faulty>,
    closed: watch::Sender<BTreeSet<ImageId>>,
    /// The number of requests for the data of each image that were held back.
    waiting: watch::Sender<BTreeMap<ImageId, usize>>,
}

#[async_trait]
impl Transport for Gate {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let path = request.uri().path();
        let id = path.strip_suffix("/file").and_then(|path| path.rsplit('/').next());
        let id = id.filter(|_| request.method() == Method::GET).and_then(|id| id.parse().ok());
        if let Some(id) = id {
            let mut closed = self.closed.subscribe();
            if closed.borrow_and_update().contains(&id) {
                self.waiting.send_modify(|waiting| *waiting.entry(id.clone()).or_default() += 1);
                closed.wait_for(|closed| !closed.contains(&id)).await.unwrap();
            }
        }
        self.inner.send(request).await
    }
}

impl Gate {
    /// Holds back the data of these images.
    fn close(&self, numbers: impl IntoIterator<Item = u8>) {
        self.closed.send_replace(numbers.into_iter().map(id).collect());
    }

    /// Waits until a run reads the data of this image, which is held back.
    async fn is_reached(&self, number: u8) {
        self.is_reached_by(number, 1).await;
    }

    /// Waits until so many runs read the data of this image.
    async fn is_reached_by(&self, number: u8, runs: usize) {
        let mut waiting = self.waiting.subscribe();
        let reached = waiting.wait_for(|waiting| waiting.get(&id(number)) >= Some(&runs));
        tokio::time::timeout(Duration::from_secs(60), reached).await.unwrap().unwrap();
    }

    fn open(&self) {
        self.close([]);
    }
}

impl World {
    /// A world whose source has images with these numbers.
    async fn with(images: impl IntoIterator<Item = u8>) -> Self {
        let (stacks, ca) = Stack::all_and_ca();
        let stack = Arc::clone(&stacks[0]);
        let mut gate = None;
        let a = Site::open_behind(&stack, &[], |inner| {
            let (closed, waiting) = (watch::Sender::default(), watch::Sender::default());
            gate.insert(Arc::new(Gate { inner, closed, waiting })).clone()
        });
        let a = a.await;
        for number in images {
            let image = Image::queued(id(number), attributes(number));
            a.kept.create(&image).await.unwrap();
            a.kept.upload(&id(number), data(number).into()).await.unwrap();
        }
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), ca).unwrap();
        std::fs::write(directory.path().join("token"), TOKEN).unwrap();
        let (b, c) = (Site::open(&stack, &[]).await, Site::open(&stack, &[]).await);
        Self { a, gate: gate.unwrap(), b, c, stack, directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn line(&self, words: &[&str]) -> Vec<String> {
        let file = |name: &str| self.path(name).to_str().unwrap().to_owned();
        let (ca, token, state) = (file("ca.pem"), file("token"), file("state"));
        // No Keystone is available to compare the projects of both sides.
        let more = [
            ["--tls", self.stack.name],
            ["--cacert", &ca],
            ["--token-file", &token],
            ["--owner", "caller"],
            ["--state-dir", &state],
        ];
        with_options(words, &more).iter().map(ToString::to_string).collect()
    }

    /// Starts a command from A to B.
    fn start(&self, words: &[&str]) -> Running {
        let line = [&words[..1], &[&self.a.url, &self.b.url], &words[1..]].concat();
        Running(start_heard(&self.line(&line), &[]))
    }

    /// Runs a command from A to B.
    async fn run(&self, words: &[&str]) -> Run {
        self.start(words).ends().await
    }

    /// Runs any command.
    async fn other(&self, words: &[&str]) -> Run {
        let line = self.line(words);
        let run = tokio::task::spawn_blocking(move || {
            let line: Vec<&str> = line.iter().map(String::as_str).collect();
            replicator_with(&line, &[])
        });
        run.await.unwrap()
    }

    /// The files in a directory below the state directory.
    fn files(&self, name: &str, end: &str) -> Vec<String> {
        let mut all = vec![self.path("state").join(name)];
        let mut files = Vec::new();
        while let Some(directory) = all.pop() {
            for entry in std::fs::read_dir(directory).into_iter().flatten() {
                let path = entry.unwrap().path();
                let text = path.display().to_string();
                if path.is_dir() {
                    all.push(path);
                } else if text.ends_with(end) {
                    files.push(text);
                }
            }
        }
        files
    }
}

/// A process that runs in the background.
struct Running(Child);

impl Running {
    fn pid(&self) -> u32 {
        self.0.id()
    }

    /// What other runs say of this process.
    fn named(&self) -> String {
        format!("process {} since 2", self.pid())
    }

    async fn ends(self) -> Run {
        let output = tokio::task::spawn_blocking(move || self.0.wait_with_output().unwrap());
        // A run that should have been refused waits at the gate, until the panic closes the servers.
        let output = tokio::time::timeout(Duration::from_secs(100), output).await;
        let run = Run::of(output.expect("the run does not end").unwrap());
        run.says_none_of([TOKEN, "panicked at"]);
        run
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Site {
    /// Fails the test unless the image is here and public, with the source's data.
    async fn holds(&self, source: &Self, number: u8) {
        let mut differences = self.differences(source, &id(number)).await;
        differences.retain(|field| !provenance::ALL.contains(&field.as_str()));
        assert_eq!(differences, [""; 0], "image {number}");
        let image = self.kept.get(&id(number)).await.unwrap();
        assert_eq!(image.status, Status::Active);
    }

    /// The number of uploads of an image.
    fn uploads(&self, number: u8) -> usize {
        let path = format!("/v2/images/{}/file", id(number));
        let requests = self.faulty.requests();
        requests.iter().filter(|(method, asked)| *method == Method::PUT && *asked == path).count()
    }
}

fn has(run: &Run, words: &[&str]) {
    for word in words {
        let is_said = run.stdout.contains(word) || run.stderr.contains(word);
        assert!(is_said, "no {word:?} in\n{}\n{}", run.stdout, run.stderr);
    }
}

fn id(number: u8) -> ImageId {
    format!("00000000-0000-4000-8000-0000000000{number:02}").parse().unwrap()
}

fn attributes(number: u8) -> Attributes {
    Attributes {
        name: Some(format!("image {number}")),
        visibility: Visibility::Public,
        disk_format: Some("raw".into()),
        container_format: Some("bare".into()),
        ..Attributes::default()
    }
}

fn data(number: u8) -> Bytes {
    Bytes::from(vec![number; 200_000])
}
