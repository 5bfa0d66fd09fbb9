//! A dump of the current format.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use glance_core::body::BodyError;
use glance_core::digest::{Algorithm, Hashers};
use glance_core::image::{Attributes, Image, ImageId, Member, Status, Visibility};
use glance_core::store::memory::apply;
use glance_core::store::{Activation, ByteRange, ImageStream, StoreErrorKind};
use glance_core::{Body, ImageStore, Selection, StoreError};

use crate::blob::{self, Partial, WRITE};
use crate::record::Record;
use crate::{Name, files};

/// A directory that holds `manifest.json`.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    hashers: Hashers,
    /// The images whose data is coming.
    saving: Mutex<BTreeSet<ImageId>>,
    /// Held by whoever changes a record, from reading it to replacing it.
    changing: tokio::sync::Mutex<()>,
}

impl Directory {
    pub(crate) fn new(path: PathBuf) -> Self {
        let (saving, changing) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { path, hashers: Hashers::default(), saving, changing }
    }

    pub(crate) fn hashing_with(self, hashers: Hashers) -> Self {
        Self { hashers, ..self }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, id: &ImageId, suffix: &str) -> PathBuf {
        self.path.join(format!("{id}{suffix}"))
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

    fn saving(&self) -> MutexGuard<'_, BTreeSet<ImageId>> {
        // A set of ids is whole between any two operations.
        self.saving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces a record.
    async fn store(&self, operation: &'static str, record: &Record) -> Result<(), StoreError> {
        let id = &record.image.id;
        let path = self.file(id, RECORD);
        let (to, text) = (path.clone(), format!("{:#}\n", record.to_json()));
        files::blocking(move || files::replace(&to, text.as_bytes()))
            .await
            .map_err(|error| files::failed(self, operation, &path, error).on(id))
    }

    /// Reads a record as its file says.
    async fn load(&self, operation: &'static str, id: &ImageId) -> Result<Record, StoreError> {
        let path = self.file(id, RECORD);
        let text = match tokio::fs::read(&path).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(self.not_found(operation, id));
            }
            other => other.map_err(|e| files::failed(self, operation, &path, e).on(id))?,
        };
        let unreadable = |error: BodyError| {
            let reason = format!("{id}{RECORD} is no image's record");
            self.error(StoreErrorKind::Unreadable, operation, id, reason).caused_by(error)
        };
        let value = serde_json::from_slice(&text).map_err(|error| unreadable(error.into()))?;
        let record = Record::from_json(value).map_err(|error| unreadable(error.into()))?;
        if record.image.id == *id {
            Ok(record)
        } else {
            Err(unreadable(format!("it is the record of {}", record.image.id).into()))
        }
    }

    fn not_found(&self, operation: &'static str, id: &ImageId) -> StoreError {
        self.error(StoreErrorKind::NotFound, operation, id, "there is no such image")
    }

    /// Reads a record as it is meant: without its data, an image is queued.
    async fn record(&self, operation: &'static str, id: &ImageId) -> Result<Record, StoreError> {
        let mut record = self.load(operation, id).await?;
        let image = &mut record.image;
        let blob = self.file(id, BLOB);
        let whole = image.status.has_data()
            && tokio::fs::try_exists(&blob)
                .await
                .map_err(|error| files::failed(self, operation, &blob, error).on(id))?;
        if !whole {
            image.status = Status::Queued;
            (image.size, image.checksum, image.os_hash_value) = (None, None, None);
        }
        if self.saving().contains(id) {
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

    /// Begins an upload to a queued record.
    async fn begin<'a>(&'a self, id: &'a ImageId) -> Result<(Saving<'a>, Image), StoreError> {
        let _changing = self.changing.lock().await;
        let image = self.record(WRITE, id).await?.image;
        if image.status != Status::Queued {
            let reason = format!("the image is {}, not queued", image.status);
            return Err(self.error(StoreErrorKind::Conflict, WRITE, id, reason));
        }
        self.saving().insert(id.clone());
        Ok((Saving { directory: self, id }, image))
    }

    async fn remove(&self, operation: &'static str, id: &ImageId) -> Result<(), StoreError> {
        // Without its record, what is left of an image is nothing.
        for suffix in [RECORD, BLOB] {
            let path = self.file(id, suffix);
            let gone = path.clone();
            files::blocking(move || files::remove(&gone))
                .await
                .map_err(|error| files::failed(self, operation, &path, error).on(id))?;
        }
        Ok(())
    }
}

#[async_trait]
impl ImageStore for Directory {
    async fn list(&self, selection: &Selection) -> Result<ImageStream<'_>, StoreError> {
        let dir = self.path.clone();
        let mut ids = files::blocking(move || files::ids(&dir, RECORD))
            .await
            .map_err(|error| files::failed(self, LIST, &self.path, error))?;
        ids.retain(|id| selection.ids().is_none_or(|wanted| wanted.contains(id)));
        let images = stream::iter(ids)
            .then(move |id| async move { Ok(self.record(LIST, &id).await?.image) });
        // An image deleted since is missing.
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
        let image = self.record(READ, id).await?.image;
        if !image.status.has_data() {
            let reason = format!("the image is {} and has no data", image.status);
            return Err(self.error(StoreErrorKind::Conflict, READ, id, reason));
        }
        blob::read(self, &image, &self.file(id, BLOB), range).await
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
        // What an earlier image of this id left behind is none of the new one's.
        self.remove(CREATE, id).await?;
        let record = Record { image: queued, members: Vec::new() };
        self.store(CREATE, &record).await?;
        Ok(record.image)
    }

    async fn upload(&self, id: &ImageId, data: Body) -> Result<Image, StoreError> {
        let (_saving, image) = self.begin(id).await?;
        // Digests of an algorithm that is not known here would prove nothing.
        let algorithm = image.os_hash_algo.and_then(|name| name.parse().ok());
        let algorithm = algorithm.filter(|algorithm| self.hashers.offers(*algorithm));
        let algorithm = algorithm.unwrap_or(Algorithm::Sha512);
        let path = self.file(id, BLOB);
        let partial = Partial::write(self, id, &path, data, algorithm, self.hashers).await?;
        let _changing = self.changing.lock().await;
        // The record may have changed meanwhile, or be gone.
        let mut record = self.record(WRITE, id).await?;
        let kept = partial.keep(&path, algorithm, &mut record.image).await;
        kept.map_err(|error| files::failed(self, WRITE, &path, error).on(id))?;
        record.image.status = Status::Active;
        self.store(WRITE, &record).await?;
        Ok(record.image)
    }

    async fn update(&self, current: &Image, wanted: &Attributes) -> Result<Image, StoreError> {
        let id = &current.id;
        let _changing = self.changing.lock().await;
        let mut record = self.record(UPDATE, id).await?;
        apply(&mut record.image, &current.attributes, wanted)
            .map_err(|reason| self.error(StoreErrorKind::Forbidden, UPDATE, id, reason))?;
        self.store(UPDATE, &record).await?;
        Ok(record.image)
    }

    async fn set_activation(&self, id: &ImageId, activation: Activation) -> Result<(), StoreError> {
        let _changing = self.changing.lock().await;
        let mut record = self.record(ACTIVATE, id).await?;
        let image = &mut record.image;
        if !image.status.has_data() {
            let reason = format!("the image is {} and has no data", image.status);
            return Err(self.error(StoreErrorKind::Forbidden, ACTIVATE, id, reason));
        }
        image.status = match activation {
            Activation::Active => Status::Active,
            Activation::Deactivated => Status::Deactivated,
        };
        self.store(ACTIVATE, &record).await
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
        self.remove(DELETE, id).await
    }

    async fn members(&self, id: &ImageId) -> Result<Vec<Member>, StoreError> {
        Ok(self.shared(GET_MEMBERS, id).await?.members)
    }

    async fn set_members(&self, id: &ImageId, members: &[Member]) -> Result<(), StoreError> {
        let _changing = self.changing.lock().await;
        let mut record = self.shared(SET_MEMBERS, id).await?;
        // One for each project, as in a Glance.
        let unique: BTreeMap<&str, &Member> =
            members.iter().map(|member| (member.project.as_str(), member)).collect();
        record.members = unique.into_values().cloned().collect();
        self.store(SET_MEMBERS, &record).await
    }
}

/// An upload under way, until it is dropped.
struct Saving<'a> {
    directory: &'a Directory,
    id: &'a ImageId,
}

impl Drop for Saving<'_> {
    fn drop(&mut self) {
        self.directory.saving().remove(self.id);
    }
}

impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Name(&self.path).fmt(f)
    }
}

/// What follows the id in the names of an image's files.
const RECORD: &str = ".json";
const BLOB: &str = ".img";

const LIST: &str = "list the images";
const GET: &str = "read the record";
const READ: &str = "read the data";
const CREATE: &str = "create the record";
const UPDATE: &str = "change the record";
const ACTIVATE: &str = "set the activation";
const DELETE: &str = "delete the record";
const GET_MEMBERS: &str = "read the members";
const SET_MEMBERS: &str = "set the members";
