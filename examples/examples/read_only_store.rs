//! A store that cannot be written: the image files of a folder.
//!
//! `cargo run -p examples --example read_only_store [FOLDER]`

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use glance_core::content_format::{HEAD, detect};
use glance_core::digest::{Algorithm, Hashers};
use glance_core::image::{Attributes, Image, ImageId};
use glance_core::store::{ImageSource, ReadOnly};
use glance_core::{Body, conformance};

/// The files of a folder. Each is an image whose id is derived from the name of the file.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn files(&self) -> io::Result<Vec<(ImageId, PathBuf)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let path = entry?.path();
            if path.is_file() {
                let url = format!("file://{}", path.display());
                files.push((ImageId::derived_from(&url), path));
            }
        }
        Ok(files)
    }

    fn path(&self, id: &ImageId) -> io::Result<Option<PathBuf>> {
        Ok(self.files()?.into_iter().find(|(found, _)| found == id).map(|(_, path)| path))
    }
}

#[async_trait]
impl ImageSource for Folder {
    async fn list(&self) -> io::Result<Vec<ImageId>> {
        Ok(self.files()?.into_iter().map(|(id, _)| id).collect())
    }

    async fn get(&self, id: &ImageId) -> io::Result<Option<Image>> {
        let Some(path) = self.path(id)? else { return Ok(None) };
        let mut file = File::open(&path)?;
        let size = file.metadata()?.len();
        let mut head = Vec::new();
        file.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
        file.rewind()?;
        // A store with many images would keep the digests.
        let data = Body::from_reader(file, Some(size));
        let sha512 = data.digest(Hashers::default(), Algorithm::Sha512).await?;
        let attributes = Attributes {
            name: path.file_stem().map(|name| name.to_string_lossy().into_owned()),
            disk_format: Some(detect(&head).name().to_owned()),
            container_format: Some("bare".to_owned()),
            ..Attributes::default()
        };
        let record = Image::queued(id.clone(), attributes);
        let digest = Some((Algorithm::Sha512, sha512));
        Ok(Some(record.with_data(size, digest)))
    }

    async fn read(&self, image: &Image, range: Range<u64>) -> io::Result<Body> {
        let path = self.path(&image.id)?.ok_or(io::ErrorKind::NotFound)?;
        Body::part_of(File::open(path)?, range)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let samples = tempfile::tempdir()?;
    fs::write(samples.path().join("small.img"), vec![7; 100_000])?;
    fs::write(samples.path().join("large.img"), vec![0; 3_000_000])?;
    let folder = std::env::args_os().nth(1).map_or(samples.path().to_owned(), PathBuf::from);
    let store = Arc::new(ReadOnly::new("the folder", Folder(folder)));
    let report = conformance::read_only_store(store).await;
    println!("{report}");
    report.passed().then_some(()).ok_or_else(|| "the store does not conform".into())
}
