//! A store that can be written: a folder with a record, data and members for each image.
//!
//! `cargo run -p examples --example writable_store`

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use glance_core::digest::Hashers;
use glance_core::image::{Image, ImageId, Member};
use glance_core::store::{ImageSource, ImageStorage, Writable};
use glance_core::{Body, ImageStore, conformance};
use serde::{Serialize, de::DeserializeOwned};
use tempfile::NamedTempFile;

#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn path(&self, id: &ImageId, kind: &str) -> PathBuf {
        self.0.join(format!("{id}.{kind}"))
    }

    /// The content of a file; `None` if it does not exist.
    fn content<T: DeserializeOwned>(&self, id: &ImageId, kind: &str) -> io::Result<Option<T>> {
        match fs::read(self.path(id, kind)) {
            Ok(json) => Ok(Some(serde_json::from_slice(&json)?)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a file in one step: a reader finds the old content or the new content.
    fn replace(&self, id: &ImageId, kind: &str, content: &impl Serialize) -> io::Result<()> {
        let mut new = NamedTempFile::new_in(&self.0)?;
        serde_json::to_writer(&mut new, content)?;
        Ok(new.persist(self.path(id, kind)).map(|_| ())?)
    }
}

#[async_trait]
impl ImageSource for Folder {
    async fn list(&self) -> io::Result<Vec<ImageId>> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            ids.extend(name.strip_suffix(".json").and_then(|id| id.parse().ok()));
        }
        Ok(ids)
    }

    async fn get(&self, id: &ImageId) -> io::Result<Option<Image>> {
        self.content(id, "json")
    }

    async fn read(&self, image: &Image, range: Range<u64>) -> io::Result<Body> {
        Body::part_of(File::open(self.path(&image.id, "data"))?, range)
    }
}

#[async_trait]
impl ImageStorage for Folder {
    async fn put(&self, image: &Image) -> io::Result<()> {
        self.replace(&image.id, "json", image)
    }

    async fn write(&self, id: &ImageId, data: Body) -> io::Result<()> {
        let new = data.write_to(NamedTempFile::new_in(&self.0)?).await?;
        new.persist(self.path(id, "data"))?.sync_all()
    }

    async fn remove(&self, id: &ImageId) -> io::Result<()> {
        let paths = ["json", "data", "members"].map(|kind| self.path(id, kind));
        paths.iter().filter(|path| path.exists()).try_for_each(fs::remove_file)
    }

    async fn members(&self, id: &ImageId) -> io::Result<Vec<Member>> {
        Ok(self.content(id, "members")?.unwrap_or_default())
    }

    async fn put_members(&self, id: &ImageId, members: &[Member]) -> io::Result<()> {
        self.replace(id, "members", &members)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let images = Folder(folder.path().to_owned());
    let store = Writable::new("the folder", images, Hashers::default());
    let store: Arc<dyn ImageStore> = Arc::new(store);
    let report = conformance::image_store(&|| Arc::clone(&store)).await;
    println!("{report}");
    report.passed().then_some(()).ok_or_else(|| "the store does not conform".into())
}
