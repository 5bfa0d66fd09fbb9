//! Tests without a server: a transport that follows a script, and one that records the requests.
//!
//! `cargo run -p examples --example test_without_server`

use std::sync::Arc;

use glance_client::GlanceStore;
use glance_core::store::StoreErrorKind;
use glance_core::testing::{RecordingTransport, ScriptedTransport, answer, failure};
use glance_core::transport::{RetryPolicy, Retrying, TransportErrorKind};
use glance_core::{ImageId, ImageStore, Transport};
use keystone_auth::{Session, auth::NoAuth};
use serde_json::json;

/// A Glance that gives these answers to a client that retries.
fn glance(script: &ScriptedTransport) -> (GlanceStore, RecordingTransport) {
    let recording = RecordingTransport::new(Arc::new(script.clone()));
    let retrying = Retrying::new(Arc::new(recording.clone()), RetryPolicy::default());
    let wire: Arc<dyn Transport> = Arc::new(retrying);
    let session = Arc::new(Session::new(Arc::clone(&wire), Arc::new(NoAuth::default())));
    (GlanceStore::new("glance", wire, "https://glance.example", session), recording)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let id = ImageId::derived_from("a test");
    let record = json!({ "id": id.as_str(), "status": "queued", "visibility": "private" });

    // A lost connection and a server in maintenance are overcome.
    let script = ScriptedTransport::new([
        failure(TransportErrorKind::Interrupted, "the connection was reset"),
        answer(503, "maintenance"),
        answer(200, record.to_string()),
    ]);
    let (store, recording) = glance(&script);
    assert_eq!(store.get(&id).await?.id, id);
    for exchange in recording.exchanges() {
        println!("{exchange:?}");
        assert_eq!(exchange.uri.path(), format!("/v2/images/{id}"));
    }
    assert_eq!((recording.exchanges().len(), script.remaining()), (3, 0));

    // A missing image is not asked for again.
    let script = ScriptedTransport::new([answer(404, "No image found")]);
    let (store, recording) = glance(&script);
    let error = store.delete(&id).await.unwrap_err();
    println!("{error}");
    assert_eq!((error.kind, recording.exchanges().len()), (StoreErrorKind::NotFound, 1));
    Ok(())
}
