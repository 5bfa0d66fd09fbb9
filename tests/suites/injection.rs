//! The fault injection itself, which many suites rely on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use glance_core::body::Body;
use glance_core::error::BodyError;
use glance_core::store::memory::MemoryStore;
use glance_core::transport::Transport;
use glance_server::GlanceApi;
use http::{Method, Request};
use serde_json::{Value, json};

use crate::support::fault::{Fault, Faulty};

const ID: &str = "6d55dd55-053a-4765-b7bc-b30df0ea3861";
const IMAGE: &str = "/v2/images/6d55dd55-053a-4765-b7bc-b30df0ea3861";
const FILE: &str = "/v2/images/6d55dd55-053a-4765-b7bc-b30df0ea3861/file";

struct Got {
    status: u16,
    body: Result<Bytes, BodyError>,
}

impl Got {
    fn bytes(&self) -> &[u8] {
        self.body.as_ref().unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(self.bytes()).unwrap()
    }
}

async fn send(
    api: &dyn Transport,
    method: Method,
    path: &str,
    media_type: &str,
    body: Body,
) -> Got {
    let request = Request::builder().method(method).uri(format!("https://glance.example{path}"));
    let request = request.header("content-type", media_type).body(body).unwrap();
    let (parts, body) = api.send(request).await.unwrap().into_parts();
    Got { status: parts.status.as_u16(), body: body.collect(1 << 20).await }
}

async fn create(api: &dyn Transport) {
    let record = json!({"id": ID, "disk_format": "raw", "container_format": "bare"});
    let body = Bytes::from(record.to_string()).into();
    let got = send(api, Method::POST, "/v2/images", "application/json", body).await;
    assert_eq!(got.status, 201);
}

async fn put(api: &dyn Transport, data: &'static [u8]) -> Got {
    send(api, Method::PUT, FILE, "application/octet-stream", Bytes::from_static(data).into()).await
}

async fn get(api: &dyn Transport, path: &str) -> Got {
    send(api, Method::GET, path, "application/json", Body::empty()).await
}

#[tokio::test]
async fn injected_faults_happen_as_often_as_told() {
    let faulty = Faulty::new(Arc::new(GlanceApi::new(Arc::new(MemoryStore::new("memory")))));
    create(&faulty).await;
    let is_file = |path: &str| path.ends_with("/file");
    faulty.inject(Method::PUT, is_file, 1, Fault::Status(503));
    assert_eq!(put(&faulty, b"abcdef").await.status, 503);
    faulty.inject(Method::PUT, is_file, 1, Fault::StoreOther);
    assert_eq!(put(&faulty, b"abcdef").await.status, 204);
    assert_eq!(get(&faulty, FILE).await.bytes(), b"abcdeg");

    faulty.inject(Method::GET, is_file, 1, Fault::CutDownload { after: 2 });
    assert!(get(&faulty, FILE).await.body.is_err());
    faulty.inject(Method::GET, is_file, 1, Fault::StallDownload { after: 2 });
    let stalled = get(&faulty, FILE);
    assert!(tokio::time::timeout(Duration::from_millis(50), stalled).await.is_err());
    faulty.inject(Method::GET, is_file, 1, Fault::CorruptDownload { at: 1 });
    assert_eq!(get(&faulty, FILE).await.bytes(), b"accdeg");
    let honest = get(&faulty, IMAGE).await.json();
    faulty.inject(Method::GET, |path| path == IMAGE, 1, Fault::WrongDigest);
    let lie = get(&faulty, IMAGE).await.json();
    assert_ne!(lie["os_hash_value"], honest["os_hash_value"]);
    assert_eq!(get(&faulty, IMAGE).await.json(), honest);
    assert_eq!(faulty.pending(), 0);

    let puts = faulty.requests().into_iter().filter(|(method, _)| method == Method::PUT).count();
    assert_eq!(puts, 2);
}
