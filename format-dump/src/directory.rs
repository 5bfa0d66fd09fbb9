//! A dump of the current format.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use glance_core::digest::{Algorithm, Hashers};
use glance_core::image::{Attributes, Image, ImageId, Member, Status, Visibility};
use glance_core::store::memory::apply;
use glance_core::store::{Activation, ByteRange, ImageStream, StoreErrorKind};
use glance_core::{Body, ImageStore, Selection, StoreError};

use crate::blob::share::{self, Index};
use crate::blob::{self, Partial, READ, WRITE};
use crate::record::{Encoding, Record, read_record};
use crate::{Name, files};

/// A directory that holds `manifest.json`.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    hashers: Hashers,
    encoding: Encoding,
    /// The images whose data is coming.
    saving: Mutex<BTreeSet<ImageId>>,
    /// Whose data may be shared, once the first data has come. Held while one finds its place, so
    /// that of equal ones that come together the second sees the first.
    index: tokio::sync::Mutex<Option<Index>>,
    /// Held by whoever changes a record, from reading it to replacing it.
    changing: tokio::sync::Mutex<()>,
}

impl Directory {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            hashers: Hashers::default(),
            encoding: Encoding::default(),
            saving: Mutex::default(),
            index: tokio::sync::Mutex::default(),
            changing: tokio::sync::Mutex::default(),
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

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self, id: &ImageId, suffix: &str) -> PathBuf {
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
        let (to, text) = (path.clone(), record.to_text());
        files::blocking(move || files::replace(&to, text.as_bytes()))
            .await
            .map_err(|error| files::failed(self, operation, &path, error).on(id))
    }

    /// Reads a record as its file says.
    async fn load(&self, operation: &'static str, id: &ImageId) -> Result<Record, StoreError> {
        let (dir, file) = (self.path.clone(), id.clone());
        // Errors are told apart by who made them: the file, or what it says.
        let read = files::blocking(move || Ok(read_record(&dir, operation, &file))).await;
        read.map_err(|error| files::failed(self, operation, &self.file(id, RECORD), error))?
    }

    /// Reads a record as it is meant: without its data, an image is queued.
    async fn record(&self, operation: &'static str, id: &ImageId) -> Result<Record, StoreError> {
        let mut record = self.load(operation, id).await?;
        let blob = self.file(id, record.encoding().suffix());
        let (looked_for, broken) = (blob.clone(), self.file(id, FAILED));
        let there =
            files::blocking(move || Ok(looked_for.try_exists()? && !broken.try_exists()?)).await;
        let whole = there.map_err(|error| files::failed(self, operation, &blob, error).on(id))?;
        let image = &mut record.image;
        if !image.status.has_data() || !whole {
            image.status = Status::Queued;
            (image.size, image.checksum, image.os_hash_value) = (None, None, None);
            record.data = None;
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

    /// Replaces the file at `partial` by another name of a file with the same bytes, if the dump has
    /// one. Where that can't be, the image keeps a file of its own.
    async fn share(&self, index: &mut Option<Index>, record: &Record, partial: &Path) {
        if index.is_none() {
            match self.build_index().await {
                Ok(built) => *index = Some(built),
                Err(error) => return tracing::debug!("no data is shared: {error}"),
            }
        }
        let Some(first) = index.as_ref().and_then(|index| index.find(&record.image)) else {
            return;
        };
        match self.record(WRITE, first).await {
            Ok(found) if share::equal(&found, record) => {}
            _ => return,
        }
        let blob = self.file(first, record.encoding().suffix());
        let path = partial.to_owned();
        match files::blocking(move || share::link(&blob, &path)).await {
            Ok(true) => tracing::debug!("{} shares the data of {first}", record.image.id),
            // Other releases of zstd may make other bytes of the same data.
            Ok(false) if record.encoding() == Encoding::Zstd => {}
            Ok(false) => tracing::warn!(
                "the data of {first} in {self} is not what its record says: verify the dump"
            ),
            Err(error) => tracing::debug!("the data of {first} can't be shared: {error}"),
        }
    }

    async fn build_index(&self) -> Result<Index, StoreError> {
        let mut index = Index::default();
        for id in self.ids(WRITE).await? {
            // What can't be read is not shared.
            if let Ok(record) = self.load(WRITE, &id).await {
                index.insert(&record);
            }
        }
        Ok(index)
    }

    pub(crate) async fn ids(&self, operation: &'static str) -> Result<Vec<ImageId>, StoreError> {
        let dir = self.path.clone();
        files::blocking(move || files::ids(&dir, RECORD))
            .await
            .map_err(|error| files::failed(self, operation, &self.path, error))
    }

    async fn remove(
        &self,
        operation: &'static str,
        id: &ImageId,
        suffixes: &[&str],
    ) -> Result<(), StoreError> {
        for suffix in suffixes {
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
        let mut ids = self.ids(LIST).await?;
        ids.retain(|id| selection.admits_id(id));
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
        let Record { image, data, .. } = self.record(READ, id).await?;
        if !image.status.has_data() {
            let reason = format!("the image is {} and has no data", image.status);
            return Err(self.error(StoreErrorKind::Conflict, READ, id, reason));
        }
        let stored = data.unwrap_or_default();
        blob::read(self, &image, &stored, &self.file(id, stored.encoding.suffix()), range).await
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
        self.remove(CREATE, id, FILES).await?;
        let record = Record { image: queued, members: Vec::new(), data: None };
        self.store(CREATE, &record).await?;
        Ok(record.image)
    }

    async fn upload(&self, id: &ImageId, data: Body) -> Result<Image, StoreError> {
        let (_saving, image) = self.begin(id).await?;
        // Digests of an algorithm that is not known here would prove nothing.
        let algorithm = image.os_hash_algo.and_then(|name| name.parse().ok());
        let algorithm = algorithm.filter(|algorithm| self.hashers.offers(*algorithm));
        let algorithm = algorithm.unwrap_or(Algorithm::Sha512);
        let encoding = self.encoding;
        let path = self.file(id, encoding.suffix());
        let (place, hashers) = ((&*path, encoding), self.hashers);
        let partial = Partial::write(self, id, place, data, algorithm, hashers).await?;
        let mut index = self.index.lock().await;
        let mut record = self.load(WRITE, id).await?;
        partial.describe(&mut record);
        self.share(&mut index, &record, partial.path()).await;
        let _changing = self.changing.lock().await;
        // The record may have changed meanwhile, or be gone.
        let mut record = self.record(WRITE, id).await?;
        partial.describe(&mut record);
        let kept = partial.keep(&path).await;
        kept.map_err(|error| files::failed(self, WRITE, &path, error).on(id))?;
        record.image.status = Status::Active;
        self.store(WRITE, &record).await?;
        let others = Encoding::ALL.map(Encoding::suffix).into_iter();
        let others: Vec<_> = others.filter(|other| *other != encoding.suffix()).collect();
        self.remove(WRITE, id, &[others, vec![FAILED]].concat()).await?;
        if let Some(index) = &mut *index {
            index.insert(&record);
        }
        Ok(record.image)
    }

    async fn begun(&self, _id: &ImageId) -> Result<Body, StoreError> {
        Ok(Body::empty())
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
        // Without its record, what is left of an image is nothing.
        self.remove(DELETE, id, FILES).await
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
pub(crate) const RECORD: &str = ".json";
/// Says that the data beside it is not the image's: a stream's writer failed on it.
pub(crate) const FAILED: &str = ".failed";
/// An image's files, the record first.
const FILES: &[&str] = &[RECORD, ".img", ".img.zst", FAILED];

const LIST: &str = "list the images";
const GET: &str = "read the record";
const CREATE: &str = "create the record";
const UPDATE: &str = "change the record";
const ACTIVATE: &str = "set the activation";
const DELETE: &str = "delete the record";
const GET_MEMBERS: &str = "read the members";
const SET_MEMBERS: &str = "set the members";
