//! A layout in a temporary directory, and a check of layouts that is independent of the crate.
#![allow(dead_code, reason = "not every binary needs all of it")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use format_oci::LayoutStore;
use glance_core::digest::{Algorithm, Hashers, hex};
use glance_core::image::Attributes;
use glance_core::store::ByteRange;
use glance_core::{Body, Image, ImageId, ImageStore};
use serde_json::Value;

/// A layout in a temporary directory.
pub(crate) struct Scratch {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: LayoutStore,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = LayoutStore::create(dir.path()).unwrap();
        Self { dir, store }
    }

    /// Adds an image without data.
    pub(crate) async fn queued(&self, number: u8, name: &str) -> Image {
        let attributes = Attributes {
            name: Some(name.to_owned()),
            disk_format: Some("qcow2".to_owned()),
            container_format: Some("bare".to_owned()),
            ..Attributes::default()
        };
        self.store.create(&Image::queued(id(number), attributes)).await.unwrap()
    }

    /// Adds a complete image.
    pub(crate) async fn image(&self, number: u8, name: &str, data: &[u8]) -> Image {
        let queued = self.queued(number, name).await;
        self.store.upload(&queued.id, body(data)).await.unwrap()
    }

    pub(crate) async fn data(&self, number: u8) -> Bytes {
        let body = self.store.read(&id(number), ByteRange::ALL).await.unwrap();
        body.collect(64 << 20).await.unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn blob(&self, data: &[u8]) -> PathBuf {
        self.path(&format!("blobs/sha256/{}", sha256(data)))
    }

    /// The names of the blobs.
    pub(crate) fn blobs(&self) -> BTreeSet<String> {
        let names = fs::read_dir(self.path("blobs/sha256")).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    pub(crate) fn index(&self) -> Value {
        json(&self.path("index.json"))
    }

    /// Replaces `index.json` by what `change` makes of it.
    pub(crate) fn edit_index(&self, change: impl FnOnce(&mut Value)) {
        let mut index = self.index();
        change(&mut index);
        fs::write(self.path("index.json"), index.to_string()).unwrap();
    }

    /// The manifest with this tag.
    pub(crate) fn manifest(&self, tag: &str) -> Value {
        let index = self.index();
        let mut entries = index["manifests"].as_array().unwrap().iter();
        let entry = entries.find(|entry| entry["annotations"][REF_NAME] == tag).unwrap();
        json(&self.named(&entry["digest"]))
    }

    /// The file of the blob with a digest.
    pub(crate) fn named(&self, digest: &Value) -> PathBuf {
        let hex = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
        self.path(&format!("blobs/sha256/{hex}"))
    }

    /// The tags of the layout with their digests.
    pub(crate) fn tags(&self) -> Vec<String> {
        let index = self.index();
        let entries = index["manifests"].as_array().unwrap().iter();
        let mut tags: Vec<String> = entries
            .map(|entry| entry["annotations"][REF_NAME].as_str().unwrap_or_default().to_owned())
            .collect();
        tags.sort();
        tags
    }

    /// Fails the test unless the layout is valid and has no blobs but those of its manifests.
    pub(crate) fn is_valid(&self) {
        assert_eq!(referenced(self.dir.path()), self.blobs());
    }
}

/// Fails the test unless the layout is valid: every blob has the digest that is its name, and every
/// blob that a manifest names exists with the right size. Returns the names of these blobs.
pub(crate) fn referenced(layout: &Path) -> BTreeSet<String> {
    assert_eq!(json(&layout.join("oci-layout"))["imageLayoutVersion"], "1.0.0");
    let blobs = layout.join("blobs/sha256");
    for entry in fs::read_dir(&blobs).unwrap() {
        let (name, path) = (entry.as_ref().unwrap().file_name(), entry.unwrap().path());
        if name.len() == 64 {
            assert_eq!(*sha256(&fs::read(path).unwrap()), *name.to_str().unwrap());
        }
    }
    let mut names = BTreeSet::new();
    let mut visit = |descriptor: &Value| {
        let name = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let length = fs::metadata(blobs.join(name)).unwrap().len();
        assert_eq!(descriptor["size"], length);
        names.insert(name.to_owned());
        blobs.join(name)
    };
    let index = json(&layout.join("index.json"));
    for entry in index["manifests"].as_array().unwrap() {
        let manifest = json(&visit(entry));
        visit(&manifest["config"]);
        manifest["layers"].as_array().unwrap().iter().for_each(|layer| drop(visit(layer)));
    }
    names
}

pub(crate) fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

pub(crate) fn id(number: u8) -> ImageId {
    format!("00000000-0000-4000-8000-0000000000{number:02}").parse().unwrap()
}

pub(crate) fn body(data: &[u8]) -> Body {
    Body::from(Bytes::copy_from_slice(data))
}

pub(crate) fn sha256(data: &[u8]) -> String {
    digest(Algorithm::Sha256, data)
}

pub(crate) fn digest(algorithm: Algorithm, data: &[u8]) -> String {
    let mut hasher = Hashers::default().begin(algorithm).unwrap();
    hasher.update(data).unwrap();
    hex(&hasher.finish().unwrap())
}

pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
