//! Dumps of this tool's predecessor: `<id>` holds a record of the v1 API, `<id>.img` the data.

use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use glance_core::digest::Hashers;
use glance_core::image::{Attributes, Image, ImageId, Member};
use glance_core::store::{Activation, ByteRange, ImageStream, StoreErrorKind};
use glance_core::{Body, ImageStore, Selection, StoreError};
use safe_files::dir::{Dir, blocking};
use safe_files::{errors, json};

use crate::blob::Blob;
use crate::files::{Ids, Name};
use crate::limits::LONGEST;
use crate::record::Stored;
use crate::{blob, files};

mod record;

/// Whether `dir` was written by the old tool.
pub(crate) fn is_old_dump(dir: &Dir, operation: &'static str) -> Result<bool, StoreError> {
    files::ids(dir, "")
        .map(|ids| !ids.is_empty())
        .map_err(|error| errors::directory_failed(&Name::of(dir), operation, error))
}

/// A read-only store over an old dump.
#[derive(Debug)]
pub(crate) struct OldDump {
    dir: Dir,
    hashers: Hashers,
}

impl OldDump {
    pub(crate) fn new(dir: Dir) -> Self {
        Self { dir, hashers: Hashers::default() }
    }

    pub(crate) fn hashing_with(self, hashers: Hashers) -> Self {
        Self { hashers, ..self }
    }

    pub(crate) fn hashers(&self) -> Hashers {
        self.hashers
    }

    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn blob(&self, id: &ImageId) -> Blob {
        Blob { dir: self.dir.clone(), name: format!("{id}.img") }
    }

    pub(crate) async fn ids(&self, operation: &'static str) -> Result<Ids, StoreError> {
        let dir = self.dir.clone();
        blocking(move || files::ids(&dir, ""))
            .await
            .map_err(|error| errors::directory_failed(self, operation, error))
    }

    /// The error for every operation that writes.
    pub(crate) fn read_only(&self, operation: &'static str) -> StoreError {
        let reason = "a dump of the old tool is read-only";
        StoreError::new(StoreErrorKind::Forbidden, self, operation, reason).hint(HINT)
    }

    fn not_found(&self, operation: &'static str, id: &ImageId) -> StoreError {
        StoreError::new(StoreErrorKind::NotFound, self, operation, "there is no such image").on(id)
    }

    /// The image of a record; `None` if it was deleted before it was dumped.
    pub(crate) async fn record(
        &self,
        operation: &'static str,
        id: &ImageId,
    ) -> Result<Option<Image>, StoreError> {
        let (dir, name) = (self.dir.clone(), id.to_string());
        let text = blocking(move || json::read(&dir, &name, LONGEST)).await;
        let failed = |error| errors::failed(self, operation, &self.dir, id.as_str(), error).on(id);
        let text = text.map_err(failed)?.ok_or_else(|| self.not_found(operation, id))?;
        record::read(id, &text).map_err(|error| {
            let reason = format!("the file {id} is not a record of the old tool");
            StoreError::new(StoreErrorKind::Unreadable, self, operation, reason)
                .on(id)
                .caused_by(error)
        })
    }
}

#[async_trait]
impl ImageStore for OldDump {
    async fn list(&self, selection: &Selection) -> Result<ImageStream<'_>, StoreError> {
        let ids = self.ids(LIST).await?;
        let admitted = selection.clone();
        let images = stream::iter(ids.into_iter().filter(move |id| admitted.admits_id(id)))
            .then(move |id| async move { self.record(LIST, &id).await.transpose() })
            .filter_map(std::future::ready);
        let selection = selection.clone();
        Ok(images.try_filter(move |image| std::future::ready(selection.admits(image))).boxed())
    }

    async fn get(&self, id: &ImageId) -> Result<Image, StoreError> {
        self.record(GET, id).await?.ok_or_else(|| self.not_found(GET, id))
    }

    async fn read(&self, id: &ImageId, range: ByteRange) -> Result<Body, StoreError> {
        let image = self.record(READ, id).await?.ok_or_else(|| self.not_found(READ, id))?;
        if !image.status.has_data() {
            let reason = format!("the image was dumped as {}, without data", image.status);
            return Err(StoreError::new(StoreErrorKind::Conflict, self, READ, reason).on(id));
        }
        let stored = Stored::default();
        blob::read(self, &image, &stored, &self.blob(id), range).await
    }

    async fn create(&self, image: &Image) -> Result<Image, StoreError> {
        Err(self.read_only("create the record").on(&image.id))
    }

    async fn upload(&self, id: &ImageId, _data: Body) -> Result<Image, StoreError> {
        Err(self.read_only("store the data").on(id))
    }

    async fn partial_data(&self, _id: &ImageId) -> Result<Body, StoreError> {
        Ok(Body::empty())
    }

    async fn update(&self, current: &Image, _wanted: &Attributes) -> Result<Image, StoreError> {
        Err(self.read_only("change the record").on(&current.id))
    }

    async fn set_activation(&self, id: &ImageId, _to: Activation) -> Result<(), StoreError> {
        Err(self.read_only("set the activation").on(id))
    }

    async fn delete(&self, id: &ImageId) -> Result<(), StoreError> {
        Err(self.read_only("delete the record").on(id))
    }

    async fn members(&self, id: &ImageId) -> Result<Vec<Member>, StoreError> {
        let visibility = self.get(id).await?.attributes.visibility;
        let reason = format!("the image is {visibility}; the old tool dumped no members");
        Err(StoreError::new(StoreErrorKind::Forbidden, self, "read the members", reason).on(id))
    }

    async fn set_members(&self, id: &ImageId, _members: &[Member]) -> Result<(), StoreError> {
        Err(self.read_only("set the members").on(id))
    }
}

impl fmt::Display for OldDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Name(self.path()).fmt(f)
    }
}

/// The hint for a refused write.
pub(crate) const HINT: &str = "name an empty or a new directory and dump the images into it";

const LIST: &str = "list the images";
const GET: &str = "read the record";
const READ: &str = "read the data";
