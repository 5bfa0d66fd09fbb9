//! A dump of the current format, as a store.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use glance_core::digest::Hashers;
use glance_core::image::update::apply;
use glance_core::image::{Attributes, Image, ImageId, Member, Status, Visibility};
use glance_core::store::{Activation, ByteRange, ImageStream, StoreErrorKind};
use glance_core::{Body, ImageStore, Selection, StoreError};
use safe_files::dir::Dir;

use crate::blob::share::Index;
use crate::blob::{self, Blob, PARTIAL, READ, WRITE};
use crate::files::{self, FAILED, Ids, Name, RECORD};
use crate::manifest::unfinish;
use crate::record::{Encoding, Expected, Record, read_record};

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
    /// The images whose data is being uploaded.
    saving: Arc<Mutex<BTreeSet<ImageId>>>,
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
            saving: Arc::default(),
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
        let changed = files::blocking(move || {
            let _guard = guard;
            Ok(unfinish(&dir, operation).map(|()| work(&dir)))
        });
        let failed = |error| files::failed(self, operation, &self.dir, name, error).on(id);
        changed.await.map_err(failed)??.map_err(failed)
    }

    /// Runs `work` while no file changes.
    pub(crate) async fn while_nothing_changes<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Dir) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (dir, guard) = (self.dir.clone(), Arc::clone(&self.writing).write_owned().await);
        let done = files::blocking(move || {
            let _guard = guard;
            Ok(work(&dir))
        });
        done.await.map_err(|error| files::directory_failed(self, operation, error))?
    }

    /// Writes a record, replacing an earlier one.
    async fn store(&self, operation: &'static str, record: &Record) -> Result<(), StoreError> {
        let id = &record.image.id;
        let (name, text) = (format!("{id}{RECORD}"), record.to_text());
        let to = name.clone();
        self.change(operation, id, &name, move |dir| dir.replace(&to, text.as_bytes())).await
    }

    /// Reads a record file.
    async fn load(&self, operation: &'static str, id: &ImageId) -> Result<Record, StoreError> {
        let (dir, file) = (self.dir.clone(), id.clone());
        // Errors of the runtime, and errors of the file or its content.
        let read = files::blocking(move || Ok(read_record(&dir, operation, &file))).await;
        read.map_err(|error| files::directory_failed(self, operation, error).on(id))?
    }

    /// Reads a record and adjusts its status: an image without its data is queued.
    async fn record(&self, operation: &'static str, id: &ImageId) -> Result<Record, StoreError> {
        let mut record = self.load(operation, id).await?;
        let Blob { dir, name } = self.blob(id, record.encoding());
        let (looked_for, broken) = (name.clone(), format!("{id}{FAILED}"));
        let recorded = self.lost == Lost::Recorded;
        let there = files::blocking(move || {
            let is_there = |name: String| match dir.find(&name) {
                Ok(found) => Ok(found.is_some()),
                Err(error) => Err((name, error)),
            };
            let look = || Ok((recorded || is_there(looked_for)?) && !is_there(broken)?);
            Ok(look())
        });
        let failed =
            |name: &str, error| files::failed(self, operation, &self.dir, name, error).on(id);
        let there = there.await.map_err(|error| failed(&name, error))?;
        let whole = there.map_err(|(name, error)| failed(&name, error))?;
        let image = &mut record.image;
        if !image.status.has_data() || !whole {
            image.status = Status::Queued;
            (image.size, image.checksum, image.os_hash_value) = (None, None, None);
            record.data = None;
        }
        if upload::lock(&self.saving).contains(id) {
            image.status = Status::Saving;
        }
        Ok(record)
    }

    /// The record of an image that may have members.
    async fn shared(&self, operation: &'static str, id: &ImageId) -> Result<Record, StoreError> {
        let record = self.record(operation, id).await?;
        match record.image.attributes.visibility {
            Visibility::Shared => Ok(record),
            other => {
                let reason = format!("the image is {other}, not shared");
                Err(self.error(StoreErrorKind::Forbidden, operation, id, reason))
            }
        }
    }

    pub(crate) async fn ids(&self, operation: &'static str) -> Result<Ids, StoreError> {
        let dir = self.dir.clone();
        files::blocking(move || files::ids(&dir, RECORD))
            .await
            .map_err(|error| files::directory_failed(self, operation, error))
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
                Err(files::failed(self, operation, &self.dir, &name, error).on(id))
            }
        }
    }
}

#[async_trait]
impl ImageStore for Directory {
    async fn list(&self, selection: &Selection) -> Result<ImageStream<'_>, StoreError> {
        let ids = self.ids(LIST).await?;
        let admitted = selection.clone();
        let ids = ids.into_iter().filter(move |id| admitted.admits_id(id));
        // An unreadable record affects only its own image.
        let images = stream::iter(ids).then(move |id| async move {
            let unread = |error: StoreError| match error.kind {
                StoreErrorKind::NotFound => error,
                _ => error.of_record(Image::queued(id.clone(), Attributes::default())),
            };
            self.record(LIST, &id).await.map(|record| record.image).map_err(unread)
        });
        // Omit an image deleted in the meantime.
        let selection = selection.clone();
        let listed = move |it: &Result<Image, StoreError>| match it {
            Ok(image) => selection.admits(image),
            Err(error) => error.kind != StoreErrorKind::NotFound,
        };
        Ok(images.filter(move |it| std::future::ready(listed(it))).boxed())
    }

    async fn get(&self, id: &ImageId) -> Result<Image, StoreError> {
        Ok(self.record(GET, id).await?.image)
    }

    async fn read(&self, id: &ImageId, range: ByteRange) -> Result<Body, StoreError> {
        let Record { image, data, .. } = self.record(READ, id).await?;
        if !image.status.has_data() {
            let reason = format!("the image has no data (status {})", image.status);
            return Err(self.error(StoreErrorKind::Conflict, READ, id, reason));
        }
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
        let queued = Image {
            virtual_size: image.virtual_size,
            os_hash_algo: image.os_hash_algo.clone(),
            created_at: image.created_at.clone(),
            updated_at: image.updated_at.clone(),
            ..Image::queued(id.clone(), image.attributes.clone())
        };
        // Remove the files left by an earlier image of this id.
        self.remove(CREATE, id, FILES).await?;
        let expected = image
            .os_hash_value
            .clone()
            .map(|os_hash_value| Expected { os_hash_value, checksum: image.checksum.clone() });
        let record = Record { image: queued, members: Vec::new(), data: None, expected };
        self.store(CREATE, &record).await?;
        Ok(record.image)
    }

    async fn upload(&self, id: &ImageId, data: Body) -> Result<Image, StoreError> {
        let outcome = self.receive(id, data).await;
        if outcome.as_ref().is_err_and(|error| error.kind == StoreErrorKind::NotFound) {
            // The image was deleted during the upload; remove the data.
            self.remove(WRITE, id, FILES).await?;
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
        let begun = blob::partial_data(&blob).await;
        let partial = format!("{}{PARTIAL}", blob.name);
        begun.map_err(|error| files::failed(self, BEGUN, &self.dir, &partial, error).on(id))
    }

    async fn update(&self, current: &Image, wanted: &Attributes) -> Result<Image, StoreError> {
        let id = &current.id;
        let _changing = self.changing.lock().await;
        let mut record = self.record(UPDATE, id).await?;
        let before = record.clone();
        apply(&mut record.image, &current.attributes, wanted)
            .map_err(|reason| self.error(StoreErrorKind::Forbidden, UPDATE, id, reason))?;
        record.image.updated_at = current.updated_at.clone().or(record.image.updated_at);
        // Skip needless writes: each costs two syncs.
        if record != before {
            self.store(UPDATE, &record).await?;
        }
        Ok(record.image)
    }

    async fn set_activation(&self, id: &ImageId, activation: Activation) -> Result<(), StoreError> {
        let _changing = self.changing.lock().await;
        let mut record = self.record(ACTIVATE, id).await?;
        let image = &mut record.image;
        if !image.status.has_data() {
            let reason = format!("the image has no data (status {})", image.status);
            return Err(self.error(StoreErrorKind::Forbidden, ACTIVATE, id, reason));
        }
        let before = std::mem::replace(
            &mut image.status,
            match activation {
                Activation::Active => Status::Active,
                Activation::Deactivated => Status::Deactivated,
            },
        );
        match image.status == before {
            true => Ok(()),
            false => self.store(ACTIVATE, &record).await,
        }
    }

    async fn delete(&self, id: &ImageId) -> Result<(), StoreError> {
        let _changing = self.changing.lock().await;
        if self.record(DELETE, id).await?.image.attributes.protected {
            return Err(self.error(
                StoreErrorKind::Forbidden,
                DELETE,
                id,
                "the image is protected",
            ));
        }
        // Without its record, the rest of an image does not count.
        self.remove(DELETE, id, FILES).await
    }

    async fn members(&self, id: &ImageId) -> Result<Vec<Member>, StoreError> {
        Ok(self.shared(GET_MEMBERS, id).await?.members)
    }

    async fn set_members(&self, id: &ImageId, members: &[Member]) -> Result<(), StoreError> {
        let _changing = self.changing.lock().await;
        let mut record = self.shared(SET_MEMBERS, id).await?;
        // At most one member per project, as in Glance.
        let unique: BTreeMap<&str, &Member> =
            members.iter().map(|member| (member.project.as_str(), member)).collect();
        let members: Vec<Member> = unique.into_values().cloned().collect();
        if members == record.members {
            return Ok(());
        }
        record.members = members;
        self.store(SET_MEMBERS, &record).await
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
