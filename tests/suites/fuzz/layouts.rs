//! OCI image layouts: the index, manifests and records.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use bytes::Bytes;
use format_oci::LayoutStore;
use futures_util::{StreamExt, TryStreamExt};
use glance_core::digest::{Algorithm, Hashers, hex};
use glance_core::image::{Attributes, Image, ImageId};
use glance_core::store::ByteRange;
use glance_core::{Body, ImageStore, Selection};
use proptest::prelude::*;
use serde_json::Value;

use super::{bounded_async, config, input, memory};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn marks(bytes in input::json(vec![LAYOUT.mark.clone()], WORDS)) {
        let directory = tempfile::tempdir().unwrap();
        LAYOUT.write(directory.path());
        fs::write(directory.path().join("oci-layout"), &bytes).unwrap();
        read(directory.path(), bytes.len());
    }

    #[test]
    fn indexes(bytes in input::json(vec![LAYOUT.index.clone()], WORDS)) {
        let directory = tempfile::tempdir().unwrap();
        LAYOUT.write(directory.path());
        fs::write(directory.path().join("index.json"), &bytes).unwrap();
        read(directory.path(), bytes.len());
    }

    #[test]
    fn manifests(bytes in input::json(vec![LAYOUT.manifest.clone()], WORDS)) {
        with_manifest(&bytes);
    }

    #[test]
    fn records(bytes in input::json(vec![LAYOUT.config.clone()], WORDS)) {
        with_config(&bytes);
    }
}

#[test]
fn nesting_and_repetition_are_bounded() {
    memory::alone();
    for bomb in [
        "[".repeat(1_000_000),
        "{\"manifests\":".repeat(200_000),
        format!("{{\"manifests\": [{}]}}", "{},".repeat(100_000)),
        format!("{{\"manifests\": [{}0]}}", format!("{},", LAYOUT.entry).repeat(5_000)),
        format!("{{{}}}", "\"a\":0,".repeat(100_000)),
        "\"".to_owned() + &"\\u0000".repeat(100_000),
    ] {
        let directory = tempfile::tempdir().unwrap();
        LAYOUT.write(directory.path());
        fs::write(directory.path().join("index.json"), &bomb).unwrap();
        read(directory.path(), bomb.len());
        with_manifest(bomb.as_bytes());
        with_config(bomb.as_bytes());
    }
}

/// Reads a layout with this manifest, and a descriptor that fits.
fn with_manifest(manifest: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    LAYOUT.write(directory.path());
    list(directory.path(), manifest);
    read(directory.path(), manifest.len());
}

/// Reads a layout with this config blob, and a manifest that fits.
fn with_config(config: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    LAYOUT.write(directory.path());
    let mut manifest: Value = serde_json::from_slice(&LAYOUT.manifest).unwrap();
    manifest["config"]["digest"] = put(directory.path(), config).into();
    manifest["config"]["size"] = config.len().into();
    list(directory.path(), manifest.to_string().as_bytes());
    read(directory.path(), config.len());
}

/// Lists only this manifest in the index.
fn list(layout: &Path, manifest: &[u8]) {
    let mut index: Value = serde_json::from_slice(&LAYOUT.index).unwrap();
    let entries = index["manifests"].as_array_mut().unwrap();
    entries.truncate(1);
    entries[0]["digest"] = put(layout, manifest).into();
    entries[0]["size"] = manifest.len().into();
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
}

/// Writes a blob, and returns its digest.
fn put(layout: &Path, blob: &[u8]) -> String {
    let mut hasher = Hashers::default().begin(Algorithm::Sha256).unwrap();
    hasher.update(blob).unwrap();
    let name = hex(&hasher.finish().unwrap());
    fs::write(layout.join("blobs/sha256").join(&name), blob).unwrap();
    format!("sha256:{name}")
}

/// Reads everything that a layout contains.
fn read(directory: &Path, length: usize) {
    bounded_async(length + (64 << 10), async {
        let Ok(layout) = LayoutStore::open(directory) else { return };
        let layout = layout.expecting_data();
        let _ = layout.is_complete().await;
        let _ = layout.projects().await;
        let id: ImageId = ID.parse().unwrap();
        let _ = layout.members(&id).await;
        if let Ok(body) = layout.read(&id, ByteRange::ALL).await {
            let _ = body.try_for_each(|_| async { Ok(()) }).await;
        }
        if let Ok(listing) = layout.list(&Selection::everything()).await {
            listing.for_each(|_| async {}).await;
        }
    });
}

/// A layout with one image.
struct Layout {
    mark: Vec<u8>,
    index: Vec<u8>,
    entry: String,
    manifest: Vec<u8>,
    config: Vec<u8>,
    blobs: Vec<Vec<u8>>,
}

impl Layout {
    fn write(&self, directory: &Path) {
        fs::create_dir_all(directory.join("blobs/sha256")).unwrap();
        fs::write(directory.join("oci-layout"), &self.mark).unwrap();
        fs::write(directory.join("index.json"), &self.index).unwrap();
        self.blobs.iter().for_each(|blob| drop(put(directory, blob)));
    }
}

static LAYOUT: LazyLock<Layout> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let layout = LayoutStore::create(directory.path()).unwrap();
        let attributes = Attributes { name: Some("one".to_owned()), ..Attributes::default() };
        let image = Image::queued(ID.parse().unwrap(), attributes);
        layout.create(&image).await.unwrap();
        layout.upload(&image.id, Body::from(Bytes::from_static(b"the data"))).await.unwrap();
    });
    let file = |name: &str| fs::read(directory.path().join(name)).unwrap();
    let (mark, index) = (file("oci-layout"), file("index.json"));
    let blob = |digest: &Value| {
        let name = digest.as_str().unwrap().trim_start_matches("sha256:");
        file(&format!("blobs/sha256/{name}"))
    };
    let listed: Value = serde_json::from_slice(&index).unwrap();
    let entry = &listed["manifests"][0];
    let manifest = blob(&entry["digest"]);
    let parsed: Value = serde_json::from_slice(&manifest).unwrap();
    let config = blob(&parsed["config"]["digest"]);
    let data = blob(&parsed["layers"][0]["digest"]);
    let blobs = vec![manifest.clone(), config.clone(), data];
    Layout { mark, index, entry: entry.to_string(), manifest, config, blobs }
});

const ID: &str = "6d55dd55-053a-4765-b7bc-b30df0ea3861";

const WORDS: &[&str] = &[
    "\"sha256:\"",
    "\"layers\"",
    "\"config\"",
    "\"manifests\"",
    "\"annotations\"",
    "18446744073709551615",
    "\"application/vnd.oci.image.index.v1+json\"",
];
