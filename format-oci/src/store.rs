//! A layout as a store.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use glance_core::digest::{Algorithm, Hashers};
use glance_core::error::BodyError;
use glance_core::image::{Attributes, Image, ImageId, Member, Status};
use glance_core::project::Project;
use glance_core::store::{Activation, ByteRange, ImageStream, StoreErrorKind};
use glance_core::verified_body::{DataFault, Expected, checked};
use glance_core::{Body, ImageStore, Selection, StoreError};
use safe_files::data::{self, Incoming};
use safe_files::dir::blocking;
use safe_files::errors;
use safe_files::file_lock::{Holder, Lock};
use safe_files::record::{StoredRecord, WantedDigests, listing};

use crate::artifact::{Artifact, Layer};
use crate::blobs::{Blobs, path};
use crate::index::Index;
use crate::layout::{Layout, Lost};
use crate::mark::{CREATE_LAYOUT, is_layout, make, writable};
use crate::names::{Name, UPLOADS};

/// Machine images in an OCI image layout.
///
/// The store keeps the timestamps of images and the digest algorithm of their records. The digest
/// is that of the bytes written; the checksum of the incoming record is kept if that digest matches
/// the record's. The SHA-256 of the data names its blob, and is verified when the data is read
/// completely. The bytes received before an interruption are kept. The id of a deleted image can be
/// reused.
#[derive(Debug)]
pub struct LayoutStore {
    layout: Arc<Layout>,
    /// Whether an earlier run did not finish.
    lacking: bool,
}

impl LayoutStore {
    /// Opens the layout in `dir` for writing, or creates one if the directory is empty or missing.
    /// A layout becomes unfinished with the first write; [`finish`](Self::finish) ends that.
    ///
    /// Only one process may write to a layout at a time: take the [`lock`](Self::lock) first.
    pub fn create(dir: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let dir = writable(&dir.into())?;
        dir.warn_if_shared();
        let blobs = Blobs { layout: dir, hashers: Hashers::default() };
        make(&blobs)?;
        let layout = Layout::new(blobs, Lost::Queued);
        let lacking = layout.with_index(CREATE_LAYOUT, |index| Ok(index.is_unfinished()))?;
        Ok(Self { layout: Arc::new(layout), lacking })
    }

    /// Locks the layout in `dir`, or the directory of a layout yet to be created, against other
    /// processes of this tool until the returned lock is dropped. `holder` is this process, as other
    /// processes will name it.
    pub fn lock(dir: &Path, holder: &Holder) -> Result<Lock, StoreError> {
        Lock::of_store(&Name(dir), &writable(dir)?, holder)
    }

    /// Opens the layout in `dir` for reading.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = dir.into();
        let refuse = |reason: &str| {
            StoreError::new(StoreErrorKind::NotFound, &Name(&path), OPEN, reason)
                .hint("name a directory with an OCI image layout, as `dump` writes to oci:DIR")
        };
        let Some(dir) = errors::existing(&Name(&path), OPEN, &path)? else {
            return Err(refuse("there is no such directory"));
        };
        dir.warn_if_shared();
        if !is_layout(&dir, OPEN)? {
            return Err(refuse("the directory holds no OCI image layout"));
        }
        let blobs = Blobs { layout: dir, hashers: Hashers::default() };
        Ok(Self { layout: Arc::new(Layout::new(blobs, Lost::Queued)), lacking: false })
    }

    /// Sets the implementation of the digests. It must offer SHA-256. If it lacks MD5, the store
    /// computes no `checksum` for new records.
    #[must_use]
    pub fn hashing_with(self, hashers: Hashers) -> Self {
        let blobs = Blobs { hashers, ..self.layout.blobs.clone() };
        Self { layout: Arc::new(Layout::new(blobs, self.layout.lost)), ..self }
    }

    /// Configures the layout for reading: an image whose data is missing is still listed with data,
    /// as its record says, and reading the data fails. By default, such an image counts as one
    /// without data, so that it accepts an upload.
    #[must_use]
    pub fn expecting_data(self) -> Self {
        let layout = Layout::new(self.layout.blobs.clone(), Lost::Recorded);
        Self { layout: Arc::new(layout), ..self }
    }

    /// Whether the last run that wrote to the layout finished. Always true for a layout that other
    /// tools wrote, which keep no such information.
    pub async fn is_complete(&self) -> Result<bool, StoreError> {
        self.run(OPEN, |_, index| Ok(!index.is_unfinished())).await
    }

    /// Removes temporary files, and marks the layout as finished.
    pub async fn finish(&self) -> Result<(), StoreError> {
        self.run(FINISH, |layout, index| {
            let blobs = &layout.blobs;
            let directories = [blobs.layout.clone(), blobs.make_dir(FINISH)?];
            for dir in directories {
                let swept = dir.sweep("");
                swept.map_err(|error| errors::directory_failed(&blobs.store(), FINISH, error))?;
            }
            let emptied = blobs.layout.remove_subdirectory(UPLOADS);
            emptied.map_err(|error| blobs.failed(FINISH, UPLOADS, error))?;
            if !index.is_unfinished() {
                return Ok(());
            }
            index.set_unfinished(false);
            index.write(blobs, FINISH)
        })
        .await
    }

    /// [Finishes](Self::finish) the layout, unless it was unfinished when it was opened for writing:
    /// whatever it lacked then is still missing.
    pub async fn finish_as_found(&self) -> Result<(), StoreError> {
        match self.lacking {
            true => Ok(()),
            false => self.finish().await,
        }
    }

    /// Stores, with each image, those of the projects that own or share it. Replaces the projects
    /// stored before.
    pub async fn write_projects(&self, projects: &[Project]) -> Result<(), StoreError> {
        let projects = projects.to_owned();
        self.run(WRITE_PROJECTS, move |layout, index| {
            let mut dropped = Vec::new();
            for id in index.ids()? {
                // The copy of an image that cannot be read has reported the error.
                let Ok(before) = layout.image(index, WRITE_PROJECTS, &id) else { continue };
                let belongs = |project: &&Project| belongs_to(&before.record, &project.id);
                let projects: Vec<Project> = projects.iter().filter(belongs).cloned().collect();
                if projects != before.projects {
                    let after = Artifact { projects, ..before.clone() };
                    dropped.extend(layout.stage(index, WRITE_PROJECTS, &after, Some(&before))?);
                }
            }
            match index.is_changed() {
                true => layout.commit(index, WRITE_PROJECTS, dropped),
                false => Ok(()),
            }
        })
        .await
    }

    /// The projects that own images or share them, as far as the images name them.
    pub async fn projects(&self) -> Result<Vec<Project>, StoreError> {
        self.run(READ_PROJECTS, |layout, index| {
            let mut projects: Vec<Project> = Vec::new();
            for id in index.ids()? {
                // The listing reports an image that cannot be read.
                let Ok(image) = layout.image(index, READ_PROJECTS, &id) else { continue };
                projects.extend(image.projects);
            }
            projects.sort_by(|one, other| one.id.cmp(&other.id));
            projects.dedup_by(|one, other| one.id == other.id);
            Ok(projects)
        })
        .await
    }

    /// The bytes available to unprivileged users on the layout's filesystem; `None` if unknown.
    pub fn free_space(&self) -> Option<u64> {
        self.layout.blobs.layout.free_space()
    }

    /// The number of bytes from which an upload of this image's data would resume, as far as they
    /// can be determined; 0 if there are none.
    pub fn begun_bytes(&self, id: &ImageId) -> u64 {
        let uploads = self.layout.blobs.layout.subdirectory(UPLOADS).ok();
        let found = uploads.and_then(|uploads| uploads.find(id.as_str()).ok().flatten());
        found.map_or(0, |found| found.length)
    }

    /// Runs `work` on a thread that may block, while no other operation uses the index.
    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Layout, &mut Index) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let layout = Arc::clone(&self.layout);
        let done = blocking(move || Ok(layout.with_index(operation, |index| work(&layout, index))));
        done.await.map_err(|error| errors::directory_failed(self, operation, error))?
    }

    /// Reads the record of an image.
    async fn record(
        &self,
        operation: &'static str,
        id: &ImageId,
    ) -> Result<StoredRecord<Layer>, StoreError> {
        let id = id.clone();
        let image = self.run(operation, move |layout, index| layout.image(index, operation, &id));
        Ok(image.await?.record)
    }

    /// Opens the blob of an image's data, and checks its length.
    async fn open_data(&self, id: &ImageId, layer: &Layer) -> Result<tokio::fs::File, StoreError> {
        let (blobs, name) = (self.layout.blobs.clone(), layer.sha256.clone());
        let opened = blocking(move || Ok(blobs.dir(READ).map(|dir| (dir.open_file(&name), dir))));
        let opened = opened.await;
        let (file, dir) =
            opened.map_err(|error| errors::directory_failed(self, READ, error).on(id))??;
        let path = path(&layer.sha256);
        let unreadable = |reason: String| {
            let error = StoreError::new(StoreErrorKind::Unreadable, self, READ, reason).on(id);
            error.hint("copy the image to the layout again")
        };
        let file = match file {
            Err(missing) if missing.kind() == ErrorKind::NotFound => {
                return Err(unreadable(format!("there is no {path}")));
            }
            file => file.map_err(|error| errors::failed(self, READ, &dir, &path, error).on(id))?,
        };
        let found = file.metadata();
        let found = found.map_err(|error| errors::failed(self, READ, &dir, &path, error).on(id))?;
        let (length, size) = (found.len(), layer.size);
        if length != size {
            return Err(unreadable(format!("{path} has {length} bytes, the record says {size}")));
        }
        Ok(tokio::fs::File::from_std(file))
    }

    async fn receive(&self, id: &ImageId, data: Body) -> Result<Image, StoreError> {
        let asked = id.clone();
        let (guard, dir, record) = self
            .run(UPLOAD, move |layout, index| {
                let dir = layout.uploads_dir(UPLOAD)?;
                let (guard, record) = layout.begin(index, UPLOAD, &asked)?;
                Ok((Arc::new(guard), dir, record))
            })
            .await?;
        let hashers = self.layout.blobs.hashers;
        let wanted = WantedDigests::of(&record, hashers);
        let algorithms = wanted.algorithms().into_iter().chain([Algorithm::Sha256]).collect();
        let incoming = Incoming {
            store: self,
            id,
            operation: UPLOAD,
            dir: &dir,
            name: id.to_string(),
            algorithms,
            hashers,
        };
        let file = incoming.receive(data, Arc::clone(&guard)).await?;
        let asked = id.clone();
        let image = self.run(UPLOAD, move |layout, index| {
            let _guard = guard;
            layout.complete(index, UPLOAD, &asked, &wanted, file)
        });
        Ok(image.await?.record.image)
    }

    /// Removes the data that has arrived for an image.
    async fn forget_upload(&self, operation: &'static str, id: &ImageId) -> Result<(), StoreError> {
        let name = id.to_string();
        self.run(operation, move |layout, _| remove_upload(layout, operation, &name)).await
    }
}

fn remove_upload(layout: &Layout, operation: &'static str, name: &str) -> Result<(), StoreError> {
    let dir = layout.uploads_dir(operation)?;
    let failed = |error| errors::failed(&layout.blobs.store(), operation, &dir, name, error);
    dir.remove(name).map_err(failed)
}

/// Whether a project owns the image or shares it.
fn belongs_to(record: &StoredRecord<Layer>, project: &str) -> bool {
    record.image.attributes.owner.project() == Some(project)
        || record.members.iter().any(|member| member.project == project)
}

/// Verifies complete data while it is read: the last bytes follow only if the digest agrees.
fn verified(data: Body, layer: &Layer, hashers: Hashers) -> Body {
    let expected = Expected {
        size: Some(layer.size),
        digest: Some((Algorithm::Sha256, layer.sha256.clone())),
        also: [].into(),
    };
    let size = layer.size;
    let (data, _) = checked(data, expected, hashers);
    let digests = data.digests().cloned();
    let path = path(&layer.sha256);
    let damage = move |error: BodyError| match error.downcast_ref::<DataFault>() {
        Some(DataFault::Digest { got, .. }) => {
            let reason = format!("{path} has the sha256 {got}");
            DataFault::Damaged { got: size, reason }.into()
        }
        _ => error,
    };
    Body::from_stream(data.map_err(damage), Some(size)).carrying(digests)
}

#[async_trait]
impl ImageStore for LayoutStore {
    async fn list(&self, selection: &Selection) -> Result<ImageStream<'_>, StoreError> {
        let ids = self.run(LIST, |_, index| index.ids()).await?.into_iter();
        let load = move |id| async move {
            let record = self.record(LIST, &id).await;
            record.map(|record| record.image)
        };
        Ok(listing(ids, selection, load))
    }

    async fn get(&self, id: &ImageId) -> Result<Image, StoreError> {
        Ok(self.record(GET, id).await?.image)
    }

    async fn read(&self, id: &ImageId, range: ByteRange) -> Result<Body, StoreError> {
        let record = self.record(READ, id).await?;
        let refused = record.must_have_data(StoreErrorKind::Conflict);
        refused.map_err(|refusal| refusal.error(self, READ, id))?;
        let Some(layer) = record.data else {
            let reason = "the record names no data";
            return Err(StoreError::new(StoreErrorKind::Unreadable, self, READ, reason).on(id));
        };
        let length = data::length_of(range, layer.size);
        let length = length.map_err(|refusal| refusal.error(self, READ, id))?;
        let file = self.open_data(id, &layer).await?;
        let path = path(&layer.sha256);
        let body = data::read(file, &path, range.offset, length).await;
        let body = body.map_err(|error| self.layout.blobs.failed(READ, &path, error).on(id))?;
        Ok(match length == layer.size {
            true => verified(body, &layer, self.layout.blobs.hashers),
            false => body,
        })
    }

    async fn create(&self, image: &Image) -> Result<Image, StoreError> {
        let artifact = Artifact { record: StoredRecord::queued(image), projects: Vec::new() };
        self.run(CREATE, move |layout, index| {
            let id = artifact.record.image.id.clone();
            let store = layout.blobs.store();
            let refuse = |kind, reason: &str| StoreError::new(kind, &store, CREATE, reason).on(&id);
            if index.find(&layout.blobs, CREATE, &id)?.is_some() {
                return Err(refuse(StoreErrorKind::IdTaken, "the id is taken"));
            }
            if index.count() >= MOST_IMAGES {
                let reason = format!("a layout holds {MOST_IMAGES} images at most");
                return Err(refuse(StoreErrorKind::LimitReached, &reason)
                    .hint("divide the images among several layouts"));
            }
            // Remove what an earlier image of this id left.
            remove_upload(layout, CREATE, id.as_str())?;
            layout.put(index, CREATE, &artifact, None)?;
            Ok(artifact.record.image)
        })
        .await
    }

    async fn upload(&self, id: &ImageId, data: Body) -> Result<Image, StoreError> {
        let outcome = self.receive(id, data).await;
        if outcome.as_ref().is_err_and(|error| error.kind == StoreErrorKind::NotFound) {
            // The image was deleted during the upload.
            self.forget_upload(UPLOAD, id).await?;
        }
        outcome
    }

    async fn partial_data(&self, id: &ImageId) -> Result<Body, StoreError> {
        let record = match self.record(BEGUN, id).await {
            // The record has not been created yet.
            Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(Body::empty()),
            record => record?,
        };
        if record.image.status != Status::Queued {
            return Ok(Body::empty());
        }
        let dir = match self.layout.blobs.layout.subdirectory(UPLOADS) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Body::empty()),
            dir => dir.map_err(|error| self.layout.blobs.failed(BEGUN, UPLOADS, error).on(id))?,
        };
        let begun = data::read_begun(&dir, id.as_str()).await;
        begun.map_err(|error| errors::failed(self, BEGUN, &dir, id.as_str(), error).on(id))
    }

    async fn update(&self, current: &Image, wanted: &Attributes) -> Result<Image, StoreError> {
        let (current, wanted) = (current.clone(), wanted.clone());
        self.run(UPDATE, move |layout, index| {
            let change = |record: &mut StoredRecord<Layer>| record.update(&current, &wanted);
            Ok(layout.change(index, UPDATE, &current.id, change)?.record.image)
        })
        .await
    }

    async fn set_activation(&self, id: &ImageId, activation: Activation) -> Result<(), StoreError> {
        let id = id.clone();
        self.run(ACTIVATE, move |layout, index| {
            let change = |record: &mut StoredRecord<Layer>| record.set_activation(activation);
            layout.change(index, ACTIVATE, &id, change).map(drop)
        })
        .await
    }

    async fn delete(&self, id: &ImageId) -> Result<(), StoreError> {
        let id = id.clone();
        self.run(DELETE, move |layout, index| {
            let unprotected = layout.image(index, DELETE, &id)?.record.must_be_unprotected();
            unprotected.map_err(|refusal| refusal.error(&layout.blobs.store(), DELETE, &id))?;
            let dropped = index.remove(&id);
            layout.commit(index, DELETE, dropped)?;
            remove_upload(layout, DELETE, id.as_str())
        })
        .await
    }

    async fn members(&self, id: &ImageId) -> Result<Vec<Member>, StoreError> {
        let record = self.record(GET_MEMBERS, id).await?;
        record.must_be_shared().map_err(|refusal| refusal.error(self, GET_MEMBERS, id))?;
        Ok(record.members)
    }

    async fn set_members(&self, id: &ImageId, members: &[Member]) -> Result<(), StoreError> {
        let (id, members) = (id.clone(), members.to_owned());
        self.run(SET_MEMBERS, move |layout, index| {
            let change = |record: &mut StoredRecord<Layer>| record.set_members(&members);
            layout.change(index, SET_MEMBERS, &id, change).map(drop)
        })
        .await
    }
}

impl fmt::Display for LayoutStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.layout.blobs.store().fmt(f)
    }
}

/// The maximum number of images. Each change of an image writes the whole index.
const MOST_IMAGES: usize = 10_000;
const OPEN: &str = "open the layout";
const FINISH: &str = "finish the layout";
const WRITE_PROJECTS: &str = "write the projects";
const READ_PROJECTS: &str = "read the projects";
const LIST: &str = "list the images";
const GET: &str = "read the record";
const READ: &str = "read the data";
const CREATE: &str = "create the record";
const UPLOAD: &str = "store the data";
const BEGUN: &str = "look for the beginning of the data";
const UPDATE: &str = "change the record";
const ACTIVATE: &str = "set the activation";
const DELETE: &str = "delete the record";
const GET_MEMBERS: &str = "read the members";
const SET_MEMBERS: &str = "set the members";
