//! The directory as a store.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use glance_core::body::BodyError;
use glance_core::digest::{Algorithm, Digests, Hashing};
use glance_core::image::{Attributes, Member, Status, Visibility};
use glance_core::store::memory;
use glance_core::store::{Activation, ByteRange, ImageStream, StoreErrorKind};
use glance_core::{Body, Image, ImageId, ImageStore, StoreError};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::directory;
use crate::record::Record;
use crate::v1;

/// Images in a directory. Deleted ids are free again here, unlike in a Glance.
#[derive(Debug)]
pub struct DumpStore {
    path: PathBuf,
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// Ours, which can be written too.
    V2,
    /// The old tool's.
    V1,
}

impl DumpStore {
    /// Opens a directory for writing, and makes it where there is none.
    ///
    /// # Errors
    /// When it holds something else than a dump of ours, or can't be written.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let store = Self { path: path.into(), format: Format::V2 };
        let operation = "open the directory";
        let failed = |error| store.io_error(operation, &error);
        directory::make(&store.path).map_err(failed)?;
        if store.manifest().exists() {
            return Ok(store);
        }
        if fs::read_dir(&store.path).map_err(failed)?.next().is_some() {
            let reason = "it holds files, but no dump that could be added to";
            let error = StoreError::new(StoreErrorKind::Invalid, &store, operation, reason);
            return Err(error.hint("name an empty or a new directory"));
        }
        let manifest = json!({
            "format": "glance-dump", "version": 2,
            "tool": concat!("glance-replicator ", env!("CARGO_PKG_VERSION")),
        });
        directory::write(&store.manifest(), format!("{manifest:#}\n").as_bytes())
            .map_err(failed)?;
        Ok(store)
    }

    /// Opens a dump for reading: ours, or one of the old tool.
    ///
    /// # Errors
    /// When there is no dump.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let mut store = Self { path: path.into(), format: Format::V2 };
        if store.manifest().exists() {
            return Ok(store);
        }
        store.format = Format::V1;
        let operation = "open the directory";
        let ids = store.ids().map_err(|error| store.io_error(operation, &error))?;
        if ids.is_empty() {
            let reason = "it holds no dump";
            return Err(StoreError::new(StoreErrorKind::NotFound, &store, operation, reason));
        }
        Ok(store)
    }

    fn manifest(&self) -> PathBuf {
        self.path.join("manifest.json")
    }

    fn data_path(&self, id: &ImageId) -> PathBuf {
        self.path.join(format!("{id}.img"))
    }

    fn record_path(&self, id: &ImageId) -> PathBuf {
        match self.format {
            Format::V2 => self.path.join(format!("{id}.json")),
            Format::V1 => self.path.join(id.as_str()),
        }
    }

    fn ids(&self) -> io::Result<Vec<ImageId>> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let stem = match self.format {
                Format::V2 => name.strip_suffix(".json"),
                Format::V1 => Some(name.as_str()),
            };
            ids.extend(stem.and_then(|stem| stem.parse::<ImageId>().ok()));
        }
        ids.sort();
        Ok(ids)
    }

    /// Reads a record. None for one that the old tool marked as deleted.
    fn record(&self, operation: &'static str, id: &ImageId) -> Result<Option<Record>, StoreError> {
        let text = match fs::read(self.record_path(id)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(self.error(StoreErrorKind::NotFound, operation, id, "it is not there"));
            }
            Err(error) => return Err(self.io_error(operation, &error).on(id)),
        };
        let unreadable = |error: BodyError| {
            let reason = format!("{} is no image record", self.record_path(id).display());
            self.error(StoreErrorKind::Unreadable, operation, id, reason).caused_by(error)
        };
        let value: Value =
            serde_json::from_slice(&text).map_err(|error| unreadable(error.into()))?;
        match (self.format, value) {
            (Format::V2, value) => {
                let mut record =
                    Record::from_json(value).map_err(|error| unreadable(error.into()))?;
                // The upload under way when the writing ended never came to its end.
                if record.image.status == Status::Saving {
                    record.image.status = Status::Queued;
                }
                Ok(Some(record))
            }
            (Format::V1, Value::Object(value)) if v1::is_record(&value) => {
                Ok(v1::image(id, &value).map(|image| Record { image, members: Vec::new() }))
            }
            (Format::V1, _) => Err(unreadable("it is no record of the v1 API".into())),
        }
    }

    fn known(&self, operation: &'static str, id: &ImageId) -> Result<Record, StoreError> {
        let record = self.record(operation, id)?;
        record.ok_or_else(|| self.error(StoreErrorKind::NotFound, operation, id, "it was deleted"))
    }

    fn write_record(&self, operation: &'static str, record: &Record) -> Result<(), StoreError> {
        self.writable(operation)?;
        let text = format!("{:#}\n", record.to_json());
        directory::write(&self.record_path(&record.image.id), text.as_bytes())
            .map_err(|error| self.io_error(operation, &error).on(&record.image.id))
    }

    fn writable(&self, operation: &'static str) -> Result<(), StoreError> {
        match self.format {
            Format::V2 => Ok(()),
            Format::V1 => {
                let reason = "a dump of the old tool can only be read";
                Err(StoreError::new(StoreErrorKind::Forbidden, self, operation, reason))
            }
        }
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

    fn io_error(&self, operation: &'static str, error: &io::Error) -> StoreError {
        let (kind, hint) = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                (StoreErrorKind::LimitReached, Some("make room and run again"))
            }
            io::ErrorKind::NotFound => (StoreErrorKind::NotFound, None),
            io::ErrorKind::PermissionDenied => (StoreErrorKind::Forbidden, None),
            _ => (StoreErrorKind::Server, None),
        };
        let mut failure = StoreError::new(kind, self, operation, error.to_string());
        failure.hint = hint.map(str::to_owned);
        failure
    }

    /// Opens the data of a complete image and checks that it is there as a whole.
    fn open_data(&self, image: &Image) -> Result<(File, u64), StoreError> {
        let operation = "read the data";
        let path = self.data_path(&image.id);
        let unreadable = |reason: String| {
            self.error(StoreErrorKind::Unreadable, operation, &image.id, reason)
                .hint("dump the image again")
        };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(unreadable(format!("{} is missing", path.display())));
            }
            Err(error) => return Err(self.io_error(operation, &error).on(&image.id)),
        };
        let length = file.metadata().map_err(|error| self.io_error(operation, &error))?.len();
        match image.size {
            Some(size) if size != length => Err(unreadable(format!(
                "the dump is truncated: {} has {length} of {size} bytes",
                path.display()
            ))),
            _ => Ok((file, length)),
        }
    }

    /// Writes the chunks to the partial file and makes it the whole one.
    async fn write_data(
        &self,
        id: &ImageId,
        mut data: Body,
        mut hashing: Hashing,
    ) -> Result<(u64, Digests), StoreError> {
        let operation = "store the data";
        let failed = |error| self.io_error(operation, &error).on(id);
        let path = self.data_path(id);
        let promised = data.size();
        let mut file = directory::create_partial(&path).map_err(failed)?;
        let mut written = 0;
        while let Some(chunk) = data.next().await {
            let chunk = chunk.map_err(|error| {
                let reason = "the data did not come";
                self.error(StoreErrorKind::Data, operation, id, reason).caused_by(error)
            })?;
            hashing.update(&chunk).await;
            written += chunk.len() as u64;
            let work = move || file.write_all(&chunk).map(|()| file);
            file = blocking(work).await.map_err(failed)?;
        }
        if promised.is_some_and(|promised| promised != written) {
            let reason = format!("it ended after {written} bytes");
            return Err(self.error(StoreErrorKind::Data, operation, id, reason));
        }
        let digests = hashing.finish().await.map_err(|error| failed(io::Error::other(error)))?;
        blocking(move || directory::commit(&file, &path)).await.map_err(failed)?;
        Ok((written, digests))
    }
}

impl fmt::Display for DumpStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dir:{}", self.path.display())
    }
}

#[async_trait]
impl ImageStore for DumpStore {
    async fn list(&self) -> Result<ImageStream<'_>, StoreError> {
        let operation = "list the images";
        let ids = self.ids().map_err(|error| self.io_error(operation, &error))?;
        let images = ids.into_iter().filter_map(move |id| {
            self.record(operation, &id).map(|record| Some(record?.image)).transpose()
        });
        Ok(stream::iter(images).boxed())
    }

    async fn get(&self, id: &ImageId) -> Result<Image, StoreError> {
        self.known("read the record", id).map(|record| record.image)
    }

    async fn read(&self, id: &ImageId, range: ByteRange) -> Result<Body, StoreError> {
        let operation = "read the data";
        let image = self.known(operation, id)?.image;
        if !image.status.has_data() {
            let reason = format!("it has none, its status is {}", image.status);
            return Err(self.error(StoreErrorKind::Conflict, operation, id, reason));
        }
        let (mut file, size) = self.open_data(&image)?;
        if range.offset > 0 && range.offset >= size {
            let reason = format!("it has {size} bytes");
            return Err(self.error(StoreErrorKind::Range, operation, id, reason));
        }
        let rest = size - range.offset;
        let length = range.length.map_or(rest, |length| length.min(rest));
        file.seek(SeekFrom::Start(range.offset))
            .map_err(|error| self.io_error(operation, &error))?;
        let chunks = stream::try_unfold((file, length), |(mut file, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            blocking(move || {
                let wanted = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
                let mut chunk = vec![0; wanted];
                file.read_exact(&mut chunk)?;
                Ok(Some((Bytes::from(chunk), (file, left - wanted as u64))))
            })
            .await
            .map_err(BodyError::from)
        });
        Ok(Body::from_stream(chunks, Some(length)))
    }

    async fn create(&self, image: &Image) -> Result<Image, StoreError> {
        let operation = "create the record";
        if self.record_path(&image.id).exists() {
            let reason = "the id is in use";
            return Err(self.error(StoreErrorKind::IdTaken, operation, &image.id, reason));
        }
        let mut queued = Image::queued(image.id.clone(), image.attributes.clone());
        queued.created_at.clone_from(&image.created_at);
        queued.updated_at.clone_from(&image.updated_at);
        queued.os_hash_algo.clone_from(&image.os_hash_algo);
        self.write_record(operation, &Record { image: queued.clone(), members: Vec::new() })?;
        Ok(queued)
    }

    async fn upload(&self, id: &ImageId, data: Body) -> Result<Image, StoreError> {
        let operation = "store the data";
        self.writable(operation)?;
        let mut record = self.known(operation, id)?;
        if record.image.status != Status::Queued {
            let reason = format!("its status is {}", record.image.status);
            return Err(self.error(StoreErrorKind::Conflict, operation, id, reason));
        }
        let algorithm = record.image.os_hash_algo.as_deref();
        let algorithm = algorithm.and_then(|name| name.parse().ok()).unwrap_or(Algorithm::Sha512);
        let algorithms = std::collections::BTreeSet::from([Algorithm::Md5, algorithm]);
        let (size, digests) = self.write_data(id, data, Hashing::start(algorithms)).await?;
        record.image.status = Status::Active;
        record.image.size = Some(size);
        record.image.checksum = digests.get(&Algorithm::Md5).cloned();
        record.image.os_hash_algo = Some(algorithm.to_string());
        record.image.os_hash_value = digests.get(&algorithm).cloned();
        self.write_record(operation, &record)?;
        Ok(record.image)
    }

    async fn update(&self, current: &Image, wanted: &Attributes) -> Result<Image, StoreError> {
        let operation = "change the record";
        let mut record = self.known(operation, &current.id)?;
        let present = record.image.clone();
        memory::apply(&mut record.image, &current.attributes, wanted).map_err(|reason| {
            self.error(StoreErrorKind::Forbidden, operation, &current.id, reason)
        })?;
        if record.image != present {
            self.write_record(operation, &record)?;
        }
        Ok(record.image)
    }

    async fn set_activation(&self, id: &ImageId, activation: Activation) -> Result<(), StoreError> {
        let operation = "change the activation";
        let mut record = self.known(operation, id)?;
        if !record.image.status.has_data() {
            let reason = format!("its status is {}", record.image.status);
            return Err(self.error(StoreErrorKind::Forbidden, operation, id, reason));
        }
        record.image.status = match activation {
            Activation::Active => Status::Active,
            Activation::Deactivated => Status::Deactivated,
        };
        self.write_record(operation, &record)
    }

    async fn delete(&self, id: &ImageId) -> Result<(), StoreError> {
        let operation = "delete the record";
        self.writable(operation)?;
        if self.known(operation, id)?.image.attributes.protected {
            return Err(self.error(StoreErrorKind::Forbidden, operation, id, "it is protected"));
        }
        let remove = |path: &Path| match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        let removed = remove(&self.record_path(id)).and_then(|()| remove(&self.data_path(id)));
        removed.map_err(|error| self.io_error(operation, &error).on(id))
    }

    async fn members(&self, id: &ImageId) -> Result<Vec<Member>, StoreError> {
        let operation = "list the members";
        let record = self.known(operation, id)?;
        self.shared(operation, &record)?;
        Ok(record.members)
    }

    async fn set_members(&self, id: &ImageId, members: &[Member]) -> Result<(), StoreError> {
        let operation = "set the members";
        let mut record = self.known(operation, id)?;
        self.shared(operation, &record)?;
        // One entry for each project.
        let unique: BTreeMap<_, _> =
            members.iter().map(|member| (member.project.clone(), member.clone())).collect();
        record.members = unique.into_values().collect();
        self.write_record(operation, &record)
    }
}

impl DumpStore {
    fn shared(&self, operation: &'static str, record: &Record) -> Result<(), StoreError> {
        match record.image.attributes.visibility {
            Visibility::Shared => Ok(()),
            other => {
                let reason = format!("the image is {other}, not shared");
                Err(self.error(StoreErrorKind::Forbidden, operation, &record.image.id, reason))
            }
        }
    }
}

/// Disk work, off the threads that carry the network.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;
