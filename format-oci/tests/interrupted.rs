//! Interrupted uploads and changes: what they leave, and how the next one goes on.

#![expect(clippy::unwrap_used, reason = "a test may panic; helpers of tests are not seen as such")]

mod support;

use std::fs;

use bytes::Bytes;
use format_oci::LayoutStore;
use futures_util::stream;
use glance_core::image::Status;
use glance_core::store::StoreErrorKind;
use glance_core::{Body, ImageStore};

use support::{Scratch, body, id};

fn data() -> Vec<u8> {
    let mut data: Vec<u8> = (0..=250_u8).cycle().take(1 << 20).collect();
    data[300_000..700_000].fill(0);
    data
}

async fn breaks_off(scratch: &Scratch, data: &[u8]) {
    let parts = [Ok(Bytes::copy_from_slice(data)), Err("the source failed".into())];
    let failing = Body::from_stream(stream::iter(parts), None);
    let error = scratch.store.upload(&id(1), failing).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Data);
}

#[tokio::test]
async fn an_upload_goes_on_in_another_process() {
    let scratch = Scratch::new();
    scratch.queued(1, "one").await;
    breaks_off(&scratch, &data()[..500_000]).await;
    scratch.is_valid();
    let next = LayoutStore::create(scratch.dir.path()).unwrap();
    assert_eq!(next.begun_bytes(&id(1)), 500_000);
    let begun = next.partial_data(&id(1)).await.unwrap().collect(1 << 20).await.unwrap();
    assert_eq!(begun, data()[..500_000]);
    next.upload(&id(1), body(&data())).await.unwrap();
    assert_eq!(scratch.data(1).await, data());
    assert_eq!(next.begun_bytes(&id(1)), 0);
    scratch.is_valid();
}

/// The index cannot be replaced, as on a full disk: the data stays for the next run, and the image
/// stays queued.
#[tokio::test]
async fn data_whose_image_cannot_be_completed_is_kept() {
    let scratch = Scratch::new();
    scratch.queued(1, "one").await;
    let index = fs::read(scratch.path("index.json")).unwrap();
    // A directory in the place of the manifest makes its writing fail.
    let manifests = manifests_of_a_twin().await;
    for manifest in &manifests {
        fs::create_dir(scratch.path(&format!("blobs/sha256/{manifest}"))).unwrap();
    }
    let error = scratch.store.upload(&id(1), body(&data())).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unreadable, "{error}");
    assert_eq!(fs::read(scratch.path("index.json")).unwrap(), index);
    for manifest in &manifests {
        fs::remove_dir(scratch.path(&format!("blobs/sha256/{manifest}"))).unwrap();
    }
    assert_eq!(scratch.store.get(&id(1)).await.unwrap().status, Status::Queued);
    assert_eq!(scratch.store.begun_bytes(&id(1)), 1 << 20);
    scratch.store.upload(&id(1), body(&data())).await.unwrap();
    scratch.is_valid();
}

/// The names of the manifests of the same image in another layout.
async fn manifests_of_a_twin() -> Vec<String> {
    let twin = Scratch::new();
    twin.image(1, "one", &data()).await;
    let index = twin.index();
    let entries = index["manifests"].as_array().unwrap().iter();
    let mut names: Vec<String> = entries
        .map(|entry| entry["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned())
        .collect();
    names.dedup();
    names
}

/// A process that was killed between its files: a later one repairs or ignores what is there.
#[tokio::test]
async fn a_layout_is_created_again_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mark = "{\"imageLayoutVersion\":\"1.0.0\"}";
    fs::write(dir.path().join("oci-layout"), mark).unwrap();
    drop(LayoutStore::create(dir.path()).unwrap());
    fs::remove_file(dir.path().join("index.json")).unwrap();
    drop(LayoutStore::create(dir.path()).unwrap());
    assert!(LayoutStore::open(dir.path()).unwrap().is_complete().await.unwrap());
    // A lost index of a layout with content is not a new layout.
    fs::remove_file(dir.path().join("index.json")).unwrap();
    fs::write(dir.path().join("blobs/sha256").join("0".repeat(64)), "x").unwrap();
    let error = LayoutStore::create(dir.path()).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unreadable);
    assert!(error.reason.contains("no index.json"), "{error}");
}

#[tokio::test]
async fn a_deleted_image_leaves_nothing_of_its_upload() {
    let scratch = Scratch::new();
    scratch.queued(1, "one").await;
    breaks_off(&scratch, &data()[..500_000]).await;
    scratch.store.delete(&id(1)).await.unwrap();
    assert_eq!(scratch.store.begun_bytes(&id(1)), 0);
    assert!(scratch.blobs().is_empty());
}
