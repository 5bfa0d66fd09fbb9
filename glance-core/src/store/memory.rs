//! Images in memory, with a Glance's manners: burned ids, states, quarantined fields.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt};

use crate::body::Body;
use crate::digest::{Algorithm, Hashing};
use crate::image::{Attributes, Image, ImageId, Member, Status, Visibility};
use crate::store::{Activation, ByteRange, ImageStore, ImageStream, StoreError, StoreErrorKind};

/// Images in memory.
#[derive(Debug)]
pub struct MemoryStore {
    name: String,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    images: BTreeMap<ImageId, Entry>,
    burned: BTreeSet<ImageId>,
}

#[derive(Debug)]
struct Entry {
    image: Image,
    data: Bytes,
    members: Vec<Member>,
}

impl MemoryStore {
    /// An empty store that messages call `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Does something with an entry, if there is one.
    fn with<T>(
        &self,
        operation: &'static str,
        id: &ImageId,
        work: impl FnOnce(&mut Entry) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.state().images.get_mut(id) {
            Some(entry) => work(entry),
            None => Err(self.error(StoreErrorKind::NotFound, operation, id, "there is no such image")),
        }
    }

    fn shared(&self, operation: &'static str, entry: &Entry) -> Result<(), StoreError> {
        match entry.image.attributes.visibility {
            Visibility::Shared => Ok(()),
            other => {
                let reason = format!("the image is {other}, not shared");
                Err(self.error(StoreErrorKind::Forbidden, operation, &entry.image.id, reason))
            }
        }
    }
}

impl fmt::Display for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[async_trait]
impl ImageStore for MemoryStore {
    async fn list(&self) -> Result<ImageStream<'_>, StoreError> {
        let images: Vec<_> =
            self.state().images.values().map(|entry| Ok(entry.image.clone())).collect();
        Ok(stream::iter(images).boxed())
    }

    async fn get(&self, id: &ImageId) -> Result<Image, StoreError> {
        self.with("read the record", id, |entry| Ok(entry.image.clone()))
    }

    async fn read(&self, id: &ImageId, range: ByteRange) -> Result<Body, StoreError> {
        let operation = "read the data";
        self.with(operation, id, |entry| {
            let error = |kind, reason: String| self.error(kind, operation, id, reason);
            if !entry.image.status.has_data() {
                let reason = format!("it has none, its status is {}", entry.image.status);
                return Err(error(StoreErrorKind::Conflict, reason));
            }
            let size = entry.data.len() as u64;
            if range.offset > 0 && range.offset >= size {
                return Err(error(StoreErrorKind::Range, format!("it has {size} bytes")));
            }
            let end = range.length.map_or(size, |length| range.offset.saturating_add(length).min(size));
            let index = |position: u64| usize::try_from(position).unwrap_or(usize::MAX);
            Ok(Body::from(entry.data.slice(index(range.offset)..index(end))))
        })
    }

    async fn create(&self, image: &Image) -> Result<Image, StoreError> {
        let mut state = self.state();
        if state.images.contains_key(&image.id) || state.burned.contains(&image.id) {
            let reason = "the id is in use, or was used before";
            let operation = "create the record";
            return Err(self.error(StoreErrorKind::IdTaken, operation, &image.id, reason));
        }
        let mut record = Image::queued(image.id.clone(), image.attributes.clone());
        record.attributes.owner.get_or_insert_with(|| OWNER.to_owned());
        record.created_at = Some(now());
        record.updated_at.clone_from(&record.created_at);
        let entry = Entry { image: record.clone(), data: Bytes::new(), members: Vec::new() };
        state.images.insert(image.id.clone(), entry);
        Ok(record)
    }

    async fn upload(&self, id: &ImageId, mut data: Body) -> Result<Image, StoreError> {
        let operation = "store the data";
        self.with(operation, id, |entry| match entry.image.status {
            Status::Queued => {
                entry.image.status = Status::Saving;
                Ok(())
            }
            other => {
                let reason = format!("its status is {other}");
                Err(self.error(StoreErrorKind::Conflict, operation, id, reason))
            }
        })?;
        // Back to queued, unless the upload comes to its end.
        let mut unfinished = Unfinished { state: Arc::clone(&self.state), id: Some(id.clone()) };
        let promised = data.size();
        let mut hashing = Hashing::start([Algorithm::Md5, Algorithm::Sha512]);
        let mut stored = BytesMut::new();
        while let Some(chunk) = data.next().await {
            let chunk = chunk.map_err(|error| {
                self.error(StoreErrorKind::Data, operation, id, "the data did not come")
                    .caused_by(error)
            })?;
            hashing.update(&chunk).await;
            stored.extend_from_slice(&chunk);
        }
        if promised.is_some_and(|promised| promised != stored.len() as u64) {
            let reason = format!("{} bytes came of {promised:?}", stored.len());
            return Err(self.error(StoreErrorKind::Data, operation, id, reason));
        }
        let digests = hashing.finish().await.map_err(|error| {
            self.error(StoreErrorKind::Server, operation, id, "hashing ended").caused_by(error)
        })?;
        unfinished.id = None;
        self.with(operation, id, |entry| {
            entry.image.status = Status::Active;
            entry.image.size = Some(stored.len() as u64);
            entry.image.checksum = digests.get(&Algorithm::Md5).cloned();
            entry.image.os_hash_algo = Some(Algorithm::Sha512.to_string());
            entry.image.os_hash_value = digests.get(&Algorithm::Sha512).cloned();
            entry.image.updated_at = Some(now());
            entry.data = stored.freeze();
            Ok(entry.image.clone())
        })
    }

    async fn update(&self, current: &Image, wanted: &Attributes) -> Result<Image, StoreError> {
        let operation = "change the record";
        self.with(operation, &current.id, |entry| {
            let present = &entry.image.attributes;
            let moved = |field: fn(&Attributes) -> &Option<String>| {
                field(wanted).is_some() && field(wanted) != field(present)
            };
            let formats = moved(|a| &a.disk_format) || moved(|a| &a.container_format);
            if formats && entry.image.status != Status::Queued {
                let reason = "formats are fixed once there is data";
                return Err(self.error(StoreErrorKind::Forbidden, operation, &current.id, reason));
            }
            let mut changed = wanted.clone();
            changed.owner = wanted.owner.clone().or_else(|| present.owner.clone());
            changed.disk_format = wanted.disk_format.clone().or_else(|| present.disk_format.clone());
            changed.container_format =
                wanted.container_format.clone().or_else(|| present.container_format.clone());
            entry.image.attributes = changed;
            entry.image.updated_at = Some(now());
            Ok(entry.image.clone())
        })
    }

    async fn set_activation(
        &self,
        id: &ImageId,
        activation: Activation,
    ) -> Result<(), StoreError> {
        let operation = "change the activation";
        self.with(operation, id, |entry| {
            if !entry.image.status.has_data() {
                let reason = format!("its status is {}", entry.image.status);
                return Err(self.error(StoreErrorKind::Forbidden, operation, id, reason));
            }
            entry.image.status = match activation {
                Activation::Active => Status::Active,
                Activation::Deactivated => Status::Deactivated,
            };
            Ok(())
        })
    }

    async fn delete(&self, id: &ImageId) -> Result<(), StoreError> {
        let operation = "delete the record";
        self.with(operation, id, |entry| match entry.image.attributes.protected {
            true => Err(self.error(StoreErrorKind::Forbidden, operation, id, "it is protected")),
            false => Ok(()),
        })?;
        let mut state = self.state();
        state.images.remove(id);
        state.burned.insert(id.clone());
        Ok(())
    }

    async fn members(&self, id: &ImageId) -> Result<Vec<Member>, StoreError> {
        let operation = "list the members";
        self.with(operation, id, |entry| {
            self.shared(operation, entry)?;
            Ok(entry.members.clone())
        })
    }

    async fn set_members(&self, id: &ImageId, members: &[Member]) -> Result<(), StoreError> {
        let operation = "set the members";
        self.with(operation, id, |entry| {
            self.shared(operation, entry)?;
            entry.members = members.to_vec();
            Ok(())
        })
    }
}

/// An upload under way: its record goes back to queued when it is dropped before its end.
struct Unfinished {
    state: Arc<Mutex<State>>,
    id: Option<ImageId>,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = state.images.get_mut(&id) {
            entry.image.status = Status::Queued;
        }
    }
}

/// The time as Glance writes it.
fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The project of whoever creates an image without naming an owner.
const OWNER: &str = "owner";
