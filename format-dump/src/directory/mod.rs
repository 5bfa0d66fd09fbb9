//! A dump of the current format, as a store.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use glance_core::digest::Hashers;
use glance_core::image::{Attributes, Image, ImageId, Member, Status};
use glance_core::store::{Activation, ByteRange, ImageStream, StoreErrorKind};
use glance_core::{Body, ImageStore, Selection, StoreError};
use safe_files::data::{self, Uploads};
use safe_files::dir::{Dir, blocking};
use safe_files::errors::{self, Refusal};
use safe_files::record::{StoredRecord, listing};

use crate::blob::share::Index;
use crate::blob::{self, Blob, READ};
use crate::files::{self, FAILED, Ids, Name, RECORD};
use crate::manifest::unfinish;
use crate::record::{Encoding, Stored, encoding, read_record};

mod upload;

/// A directory with a `manifest.json`.
#[derive(Debug)]
pub(crate) struct Directory {
    dir: Dir,
    hashers: Hashers,
    encoding: Encoding,
    lost: Lost,
    /// Whether an earlier run did not finish.
    lacking: bool,
    uploads: Uploads,
    /// Index of shareable data, built at the first upload. Locked while an upload is being matched,
    /// so that of two concurrent uploads with equal data the second finds the first.
    index: tokio::sync::Mutex<Option<Index>>,
    /// Held from reading a record until replacing it.
    changing: tokio::sync::Mutex<()>,
    /// Locked for reading by changes to files, and for writing while the dump is finished.
    writing: Arc<tokio::sync::RwLock<()>>,
}

/// How to treat an image whose data file is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// As an image without data, which accepts an upload.
    Queued,
    /// As its record says.
    Recorded,
}

impl Directory {
    pub(crate) fn new(dir: Dir) -> Self {
        Self {
            dir,
            hashers: Hashers::default(),
            encoding: Encoding::default(),
            lost: Lost::Queued,
            lacking: false,
            uploads: Uploads::default(),
            index: tokio::sync::Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            writing: Arc::default(),
        }
    }

    pub(crate) fn hashing_with(self, hashers: Hashers) -> Self {
        Self { hashers, ..self }
    }

    pub(crate) fn hashers(&self) -> Hashers {
        self.hashers
    }

    pub(crate) fn encoding(self, encoding: Encoding) -> Self {
        Self { encoding, ..self }
    }

    pub(crate) fn expecting_data(self) -> Self {
        Self { lost: Lost::Recorded, ..self }
    }

    pub(crate) fn lacking(self, lacking: bool) -> Self {
        Self { lacking, ..self }
    }

    pub(crate) fn is_lacking(&self) -> bool {
        self.lacking
    }

    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn blob(&self, id: &ImageId, encoding: Encoding) -> Blob {
        Blob { dir: self.dir.clone(), name: format!("{id}{}", encoding.suffix()) }
    }

    fn error(
        &self,
        kind: StoreErrorKind,
        operation: &'static str,
        id: &ImageId,
        reason: impl Into<String>,
    ) -> StoreError {
        StoreError::new(kind, self, operation, reason).on(id)
    }

    /// Changes the file `name` of an image, after marking the dump as incomplete. The change
    /// completes even if the caller is cancelled, and `finish` waits for it.
    async fn change<T: Send + 'static>(
        &self,
        operation: &'static str,
        id: &ImageId,
        name: &str,
        work: impl FnOnce(&Dir) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (dir, guard) = (self.dir.clone(), Arc::clone(&self.writing).read_owned().await);
        let changed = blocking(move || {
            let _guard = guard;
            Ok(unfinish(&dir, operation).map(|()| work(&dir)))
        });
        let failed = |error| errors::failed(self, operation, &self.dir, name, error).on(id);
        changed.await.map_err(failed)??.map_err(failed)
    }

    /// Runs `work` while no file changes.
    pub(crate) async fn while_nothing_changes<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Dir) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (dir, guard) = (self.dir.clone(), Arc::clone(&self.writing).write_owned().await);
        let done = blocking(move || {
            let _guard = guard;
            Ok(work(&dir))
        });
        done.await.map_err(|error| errors::directory_failed(self, operation, error))?
    }

    /// Writes a record, replacing an earlier one.
    async fn store(
        &self,
        operation: &'static str,
        record: &StoredRecord<Stored>,
    ) -> Result<(), StoreError> {
        let id = &record.image.id;
        let (name, text) = (format!("{id}{RECORD}"), record.to_text());
        let to = name.clone();
        self.change(operation, id, &name, move |dir| dir.replace(&to, text.as_bytes())).await
    }

    /// Reads a record file.
    async fn load(
        &self,
        operation: &'static str,
        id: &ImageId,
    ) -> Result<StoredRecord<Stored>, StoreError> {
        let (dir, file) = (self.dir.clone(), id.clone());
        // Errors of the runtime, and errors of the file or its content.
        let read = blocking(move || Ok(read_record(&dir, operation, &file))).await;
        read.map_err(|error| errors::directory_failed(self, operation, error).on(id))?
    }

    /// Reads a record and adjusts its status: an image without its data is queued.
    async fn record(
        &self,
        operation: &'static str,
        id: &ImageId,
    ) -> Result<StoredRecord<Stored>, StoreError> {
        let mut record = self.load(operation, id).await?;
        let Blob { dir, name } = self.blob(id, encoding(&record));
        let (looked_for, broken) = (name.clone(), format!("{id}{FAILED}"));
        let recorded = self.lost == Lost::Recorded;
        let there = blocking(move || {
            let is_there = |name: String| match dir.find(&name) {
                Ok(found) => Ok(found.is_some()),
                Err(error) => Err((name, error)),
            };
            let look = || Ok((recorded || is_there(looked_for)?) && !is_there(broken)?);
            Ok(look())
        });
        let failed =
            |name: &str, error| errors::failed(self, operation, &self.dir, name, error).on(id);
        let there = there.await.map_err(|error| failed(&name, error))?;
        let whole = there.map_err(|(name, error)| failed(&name, error))?;
        if !record.image.status.has_data() || !whole {
            record.forget_data();
        }
        if self.uploads.contains(id) {
            record.image.status = Status::Saving;
        }
        Ok(record)
    }

    /// Changes the record of an image, and returns the record that results.
    async fn change_record(
        &self,
        operation: &'static str,
        id: &ImageId,
        change: impl FnOnce(&mut StoredRecord<Stored>) -> Result<(), Refusal>,
    ) -> Result<Image, StoreError> {
        let _changing = self.changing.lock().await;
        let mut record = self.record(operation, id).await?;
        let before = record.clone();
        change(&mut record).map_err(|refusal| refusal.error(self, operation, id))?;
        // Skip needless writes: each costs two syncs.
        if record != before {
            self.store(operation, &record).await?;
        }
        Ok(record.image)
    }

    pub(crate) async fn ids(&self, operation: &'static str) -> Result<Ids, StoreError> {
        let dir = self.dir.clone();
        blocking(move || files::ids(&dir, RECORD))
            .await
            .map_err(|error| errors::directory_failed(self, operation, error))
    }

    async fn remove(
        &self,
        operation: &'static str,
        id: &ImageId,
        suffixes: &[&str],
    ) -> Result<(), StoreError> {
        let names: Vec<String> = suffixes.iter().map(|suffix| format!("{id}{suffix}")).collect();
        let removed = self.change(operation, id, RECORD, move |dir| {
            let failure = |name: String| Some((dir.remove(&name).err()?, name));
            Ok(names.into_iter().find_map(failure))
        });
        match removed.await? {
            None => Ok(()),
            Some((error, name)) => {
                Err(errors::failed(self, operation, &self.dir, &name, error).on(id))
            }
        }
    }
}

#[async_trait]
impl ImageStore for Directory {
    async fn list(&self, selection: &Selection) -> Result<ImageStream<'_>, StoreError> {
        let ids = self.ids(LIST).await?.into_iter();
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
        let has_data = record.must_have_data(StoreErrorKind::Conflict);
        has_data.map_err(|refusal| refusal.error(self, READ, id))?;
        let StoredRecord { image, data, .. } = record;
        let stored = data.unwrap_or_default();
        blob::read(self, &image, &stored, &self.blob(id, stored.encoding), range).await
    }

    async fn create(&self, image: &Image) -> Result<Image, StoreError> {
        let _changing = self.changing.lock().await;
        let id = &image.id;
        match self.record(CREATE, id).await {
            Err(error) if error.kind == StoreErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(_) => {
                return Err(self.error(StoreErrorKind::IdTaken, CREATE, id, "the id is taken"));
            }
        }
        // Remove the files left by an earlier image of this id.
        self.remove(CREATE, id, FILES).await?;
        let record = StoredRecord::queued(image);
        self.store(CREATE, &record).await?;
        Ok(record.image)
    }

    async fn upload(&self, id: &ImageId, data: Body) -> Result<Image, StoreError> {
        let outcome = self.receive(id, data).await;
        if outcome.as_ref().is_err_and(|error| error.kind == StoreErrorKind::NotFound) {
            // The image was deleted during the upload; remove the data.
            self.remove(upload::WRITE, id, FILES).await?;
        }
        outcome
    }

    async fn partial_data(&self, id: &ImageId) -> Result<Body, StoreError> {
        let record = match self.record(BEGUN, id).await {
            // The record has not been created yet.
            Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(Body::empty()),
            record => record?,
        };
        if record.image.status != Status::Queued || self.encoding != Encoding::Identity {
            return Ok(Body::empty());
        }
        self.take_up(BEGUN, id).await?;
        let blob = self.blob(id, Encoding::Identity);
        let begun = data::read_begun(&blob.dir, &blob.partial()).await;
        begun.map_err(|error| errors::failed(self, BEGUN, &self.dir, &blob.partial(), error).on(id))
    }

    async fn update(&self, current: &Image, wanted: &Attributes) -> Result<Image, StoreError> {
        self.change_record(UPDATE, &current.id, |record| record.update(current, wanted)).await
    }

    async fn set_activation(&self, id: &ImageId, activation: Activation) -> Result<(), StoreError> {
        let change = |record: &mut StoredRecord<Stored>| record.set_activation(activation);
        self.change_record(ACTIVATE, id, change).await.map(drop)
    }

    async fn delete(&self, id: &ImageId) -> Result<(), StoreError> {
        let _changing = self.changing.lock().await;
        let unprotected = self.record(DELETE, id).await?.must_be_unprotected();
        unprotected.map_err(|refusal| refusal.error(self, DELETE, id))?;
        // Without its record, the rest of an image does not count.
        self.remove(DELETE, id, FILES).await
    }

    async fn members(&self, id: &ImageId) -> Result<Vec<Member>, StoreError> {
        let record = self.record(GET_MEMBERS, id).await?;
        record.must_be_shared().map_err(|refusal| refusal.error(self, GET_MEMBERS, id))?;
        Ok(record.members)
    }

    async fn set_members(&self, id: &ImageId, members: &[Member]) -> Result<(), StoreError> {
        let change = |record: &mut StoredRecord<Stored>| record.set_members(members);
        self.change_record(SET_MEMBERS, id, change).await.map(drop)
    }
}

impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Name(self.path()).fmt(f)
    }
}

/// The suffixes of all files of an image, the record first.
const FILES: &[&str] = &[RECORD, ".img", ".img.partial", ".img.zst", ".img.zst.partial", FAILED];

const LIST: &str = "list the images";
const GET: &str = "read the record";
const CREATE: &str = "create the record";
const BEGUN: &str = "look for the beginning of the data";
const UPDATE: &str = "change the record";
const ACTIVATE: &str = "set the activation";
const DELETE: &str = "delete the record";
const GET_MEMBERS: &str = "read the members";
const SET_MEMBERS: &str = "set the members";
