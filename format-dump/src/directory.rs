//! A dump of the current format.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use glance_core::digest::Algorithm;
use glance_core::image::{Attributes, Image, ImageId, Member, Status, Visibility};
use glance_core::store::memory::apply;
use glance_core::store::{Activation, ByteRange, ImageStream, StoreErrorKind};
use glance_core::{Body, ImageStore, StoreError};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::blob::{self, Partial, WRITE};
use crate::{Name, files};

/// A directory that holds `manifest.json`.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// The images whose data is coming.
    saving: Mutex<BTreeSet<ImageId>>,
    /// Held by whoever changes a record, from reading it to replacing it.
    changing: tokio::sync::Mutex<()>,
}

impl Directory {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, saving: Mutex::default(), changing: tokio::sync::Mutex::default() }
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

    /// Reads a file of JSON, if it is there.
    async fn load<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        id: &ImageId,
        suffix: &str,
    ) -> Result<Option<T>, StoreError> {
        let path = self.file(id, suffix);
        let text = match tokio::fs::read(&path).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|e| files::failed(self, operation, &path, e).on(id))?,
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| {
            let reason = format!("{id}{suffix} can't be understood");
            self.error(StoreErrorKind::Unreadable, operation, id, reason).caused_by(error)
        })
    }

    async fn store(
        &self,
        operation: &'static str,
        id: &ImageId,
        suffix: &str,
        value: &Value,
    ) -> Result<(), StoreError> {
        let path = self.file(id, suffix);
        let (to, text) = (path.clone(), format!("{value:#}\n"));
        files::blocking(move || files::replace(&to, text.as_bytes()))
            .await
            .map_err(|error| files::failed(self, operation, &path, error).on(id))
    }

    async fn store_record(&self, operation: &'static str, image: &Image) -> Result<(), StoreError> {
        self.store(operation, &image.id, RECORD, &Value::Object(image.to_json())).await
    }

    async fn record(&self, operation: &'static str, id: &ImageId) -> Result<Image, StoreError> {
        let image: Option<Image> = self.load(operation, id, RECORD).await?;
        let mut image = image.ok_or_else(|| {
            self.error(StoreErrorKind::NotFound, operation, id, "there is no such image")
        })?;
        if image.id != *id {
            let reason = format!("{id}{RECORD} is the record of {}", image.id);
            return Err(self.error(StoreErrorKind::Unreadable, operation, id, reason));
        }
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
        Ok(image)
    }

    async fn shared(&self, operation: &'static str, id: &ImageId) -> Result<(), StoreError> {
        match self.record(operation, id).await?.attributes.visibility {
            Visibility::Shared => Ok(()),
            other => {
                let reason = format!("the image is {other}, not shared");
                Err(self.error(StoreErrorKind::Forbidden, operation, id, reason))
            }
        }
    }

    /// Begins an upload to a queued record.
    async fn begin<'a>(&'a self, id: &'a ImageId) -> Result<(Saving<'a>, Image), StoreError> {
        let _changing = self.changing.lock().await;
        let image = self.record(WRITE, id).await?;
        if image.status != Status::Queued {
            let reason = format!("the image is {}, not queued", image.status);
            return Err(self.error(StoreErrorKind::Conflict, WRITE, id, reason));
        }
        self.saving().insert(id.clone());
        Ok((Saving { directory: self, id }, image))
    }

    async fn remove(&self, operation: &'static str, id: &ImageId) -> Result<(), StoreError> {
        // Without its record, what is left of an image is nothing.
        for suffix in [RECORD, MEMBERS, BLOB] {
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
    async fn list(&self) -> Result<ImageStream<'_>, StoreError> {
        let dir = self.path.clone();
        let ids = files::blocking(move || files::ids(&dir, RECORD))
            .await
            .map_err(|error| files::failed(self, LIST, &self.path, error))?;
        let images = stream::iter(ids).then(move |id| async move { self.record(LIST, &id).await });
        // An image deleted since is missing.
        let gone = |it: &Result<Image, StoreError>| matches!(it, Err(error) if error.kind == StoreErrorKind::NotFound);
        Ok(images.filter(move |it| std::future::ready(!gone(it))).boxed())
    }

    async fn get(&self, id: &ImageId) -> Result<Image, StoreError> {
        self.record(GET, id).await
    }

    async fn read(&self, id: &ImageId, range: ByteRange) -> Result<Body, StoreError> {
        let image = self.record(READ, id).await?;
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
        self.store_record(CREATE, &queued).await?;
        Ok(queued)
    }

    async fn upload(&self, id: &ImageId, data: Body) -> Result<Image, StoreError> {
        let (_saving, image) = self.begin(id).await?;
        // Digests of an algorithm that is not known here would prove nothing.
        let algorithm = image.os_hash_algo.and_then(|name| name.parse().ok());
        let algorithm = algorithm.unwrap_or(Algorithm::Sha512);
        let path = self.file(id, BLOB);
        let partial = Partial::write(self, id, &path, data, algorithm).await?;
        let _changing = self.changing.lock().await;
        // The record may have changed meanwhile, or be gone.
        let mut image = self.record(WRITE, id).await?;
        let kept = partial.keep(&path, algorithm, &mut image).await;
        kept.map_err(|error| files::failed(self, WRITE, &path, error).on(id))?;
        image.status = Status::Active;
        self.store_record(WRITE, &image).await?;
        Ok(image)
    }

    async fn update(&self, current: &Image, wanted: &Attributes) -> Result<Image, StoreError> {
        let id = &current.id;
        let _changing = self.changing.lock().await;
        let mut image = self.record(UPDATE, id).await?;
        apply(&mut image, &current.attributes, wanted)
            .map_err(|reason| self.error(StoreErrorKind::Forbidden, UPDATE, id, reason))?;
        self.store_record(UPDATE, &image).await?;
        Ok(image)
    }

    async fn set_activation(&self, id: &ImageId, activation: Activation) -> Result<(), StoreError> {
        let _changing = self.changing.lock().await;
        let mut image = self.record(ACTIVATE, id).await?;
        if !image.status.has_data() {
            let reason = format!("the image is {} and has no data", image.status);
            return Err(self.error(StoreErrorKind::Forbidden, ACTIVATE, id, reason));
        }
        image.status = match activation {
            Activation::Active => Status::Active,
            Activation::Deactivated => Status::Deactivated,
        };
        self.store_record(ACTIVATE, &image).await
    }

    async fn delete(&self, id: &ImageId) -> Result<(), StoreError> {
        let _changing = self.changing.lock().await;
        if self.record(DELETE, id).await?.attributes.protected {
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
        self.shared(GET_MEMBERS, id).await?;
        let records: Option<Vec<MemberRecord>> = self.load(GET_MEMBERS, id, MEMBERS).await?;
        let member = |it: MemberRecord| {
            let status = it.status.parse().map_err(|error| {
                let reason = format!("{id}{MEMBERS} can't be understood");
                self.error(StoreErrorKind::Unreadable, GET_MEMBERS, id, reason).caused_by(error)
            })?;
            Ok(Member { project: it.member_id, status })
        };
        records.unwrap_or_default().into_iter().map(member).collect()
    }

    async fn set_members(&self, id: &ImageId, members: &[Member]) -> Result<(), StoreError> {
        let _changing = self.changing.lock().await;
        self.shared(SET_MEMBERS, id).await?;
        let record = |it: &Member| json!({"member_id": it.project, "status": it.status.as_str()});
        let records: Vec<Value> = members.iter().map(record).collect();
        self.store(SET_MEMBERS, id, MEMBERS, &records.into()).await
    }
}

/// A member as the Images v2 API shows it.
#[derive(serde::Deserialize)]
struct MemberRecord {
    member_id: String,
    status: String,
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
const MEMBERS: &str = ".members.json";
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
