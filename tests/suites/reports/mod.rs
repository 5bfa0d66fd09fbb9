//! Reports: every command in every format of output, report files, and every exit code.

mod exits;
mod files;
mod page;
mod schema;
mod verbs;

use std::future::pending;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use format_dump::DumpStore;
use glance_core::image::{Attributes, Image, ImageId};
use glance_core::store::memory::MemoryStore;
use glance_core::{Body, ImageStore};
use glance_server::GlanceApi;
use http::Method;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::support::common::{Run, replicator_with, with_options};
use crate::support::fault::{Fault, Faulty};

fn id(number: u8) -> ImageId {
    format!("00000000-0000-4000-8000-{number:012}").parse().unwrap()
}

/// A Glance over plain HTTP that can inject faults.
struct Site {
    url: String,
    kept: Arc<MemoryStore>,
    faulty: Arc<Faulty>,
}

impl Site {
    async fn open() -> Self {
        let kept = Arc::new(MemoryStore::new("kept"));
        let api = GlanceApi::new(Arc::clone(&kept) as Arc<dyn ImageStore>);
        let faulty = Arc::new(Faulty::new(Arc::new(api)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(glance_server::serve(listener, None, faulty.clone(), pending()));
        Self { url, kept, faulty }
    }

    async fn with(numbers: impl IntoIterator<Item = u8>) -> Self {
        let site = Self::open().await;
        for number in numbers {
            put(&*site.kept, number).await;
        }
        site
    }

    /// Applies a fault to requests for image data.
    fn fault(&self, method: Method, times: usize, fault: Fault) {
        self.faulty.inject(method, |path| path.ends_with("/file"), times, fault);
    }
}

/// Creates an image of 100 bytes.
async fn put(store: &dyn ImageStore, number: u8) {
    let attributes = Attributes {
        name: Some(format!("image {number}, \"<b>\" | *x*")),
        disk_format: Some("raw".into()),
        container_format: Some("bare".into()),
        ..Attributes::default()
    };
    store.create(&Image::queued(id(number), attributes)).await.unwrap();
    store.upload(&id(number), Body::from(Bytes::from(vec![number; 100]))).await.unwrap();
}

/// A finished dump of these images.
async fn dump(path: &Path, numbers: impl IntoIterator<Item = u8>) {
    let store = DumpStore::create(path).unwrap();
    for number in numbers {
        put(&store, number).await;
    }
    store.finish().await.unwrap();
}

/// A directory for the files of a test.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }
}

/// Runs the tool with a token that these servers ignore, and with owners that they accept.
async fn run(line: &[&str], state: &str) -> Run {
    let options = [
        ["-t", "none"],
        ["--owner", "caller"],
        ["--state-dir", state],
        ["--low-level-retries", "1"],
    ];
    let line = with_options(line, &options);
    let line: Vec<String> = line.iter().map(ToString::to_string).collect();
    let run = tokio::task::spawn_blocking(move || {
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        replicator_with(&line, &[])
    });
    run.await.unwrap()
}

#[track_caller]
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
