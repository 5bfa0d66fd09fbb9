//! The least store that the API's tests need.

#![allow(clippy::unwrap_used, clippy::result_large_err)] // the error is that of the trait

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use glance_core::body::Body;
use glance_core::digest::{Algorithm, Hashing};
use glance_core::image::{Attributes, Image, ImageId, Member, Status};
use glance_core::store::{
    Activation, ByteRange, ImageStore, ImageStream, StoreError, StoreErrorKind,
};

/// Images in memory.
#[derive(Debug)]
pub(crate) struct MemoryStore {
    name: &'static str,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    images: BTreeMap<ImageId, Entry>,
    burned: BTreeSet<ImageId>,
    clock: u32,
}

#[derive(Debug)]
struct Entry {
    image: Image,
    data: Bytes,
    members: Vec<Member>,
}

impl MemoryStore {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, state: Mutex::default() }
    }

    fn with<T>(
        &self,
        id: &ImageId,
        operation: &'static str,
        work: impl FnOnce(&mut Entry) -> Result<T, StoreErrorKind>,
    ) -> Result<T, StoreError> {
        let mut state = self.state.lock().unwrap();
        let entry = state.images.get_mut(id).ok_or(StoreErrorKind::NotFound);
        entry
            .and_then(work)
            .map_err(|kind| StoreError::new(kind, self, operation, format!("{kind:?}")).on(id))
    }
}

impl fmt::Display for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[async_trait]
impl ImageStore for MemoryStore {
    async fn list(&self) -> Result<ImageStream<'_>, StoreError> {
        let state = self.state.lock().unwrap();
        let images: Vec<_> = state.images.values().map(|entry| Ok(entry.image.clone())).collect();
        Ok(stream::iter(images).boxed())
    }

    async fn get(&self, id: &ImageId) -> Result<Image, StoreError> {
        self.with(id, "get", |entry| Ok(entry.image.clone()))
    }

    async fn read(&self, id: &ImageId, range: ByteRange) -> Result<Body, StoreError> {
        self.with(id, "read", |entry| {
            let first = usize::try_from(range.offset).unwrap();
            let mut data = entry.data.slice(first..);
            if let Some(length) = range.length {
                data.truncate(usize::try_from(length).unwrap());
            }
            Ok(data.into())
        })
    }

    async fn create(&self, image: &Image) -> Result<Image, StoreError> {
        let mut state = self.state.lock().unwrap();
        if !state.burned.insert(image.id.clone()) {
            return Err(StoreError::new(StoreErrorKind::IdTaken, self, "create", "taken"));
        }
        state.clock += 1;
        let mut image = Image::queued(image.id.clone(), image.attributes.clone());
        image.created_at = Some(format!("2026-01-01T00:00:{:02}Z", state.clock % 60));
        let entry = Entry { image: image.clone(), data: Bytes::new(), members: Vec::new() };
        state.images.insert(image.id.clone(), entry);
        Ok(image)
    }

    async fn upload(&self, id: &ImageId, mut data: Body) -> Result<Image, StoreError> {
        let mut hashing = Hashing::start([Algorithm::Md5, Algorithm::Sha512]);
        let mut whole = Vec::new();
        while let Some(chunk) = data.next().await {
            let chunk = chunk.map_err(|error| {
                StoreError::new(StoreErrorKind::Data, self, "upload", "the data failed")
                    .caused_by(error)
            })?;
            hashing.update(&chunk).await;
            whole.extend_from_slice(&chunk);
        }
        let digests = hashing.finish().await.unwrap();
        self.with(id, "upload", |entry| {
            if entry.image.status != Status::Queued {
                return Err(StoreErrorKind::Conflict);
            }
            entry.image.status = Status::Active;
            entry.image.size = Some(whole.len() as u64);
            entry.image.checksum = digests.get(&Algorithm::Md5).cloned();
            entry.image.os_hash_algo = Some("sha512".into());
            entry.image.os_hash_value = digests.get(&Algorithm::Sha512).cloned();
            entry.data = whole.into();
            Ok(entry.image.clone())
        })
    }

    async fn update(&self, current: &Image, wanted: &Attributes) -> Result<Image, StoreError> {
        self.with(&current.id, "update", |entry| {
            entry.image.attributes = wanted.clone();
            Ok(entry.image.clone())
        })
    }

    async fn set_activation(&self, id: &ImageId, activation: Activation) -> Result<(), StoreError> {
        self.with(id, "activate", |entry| {
            entry.image.status = match activation {
                Activation::Active => Status::Active,
                Activation::Deactivated => Status::Deactivated,
            };
            Ok(())
        })
    }

    async fn delete(&self, id: &ImageId) -> Result<(), StoreError> {
        self.state.lock().unwrap().images.remove(id);
        Ok(())
    }

    async fn members(&self, id: &ImageId) -> Result<Vec<Member>, StoreError> {
        self.with(id, "members", |entry| Ok(entry.members.clone()))
    }

    async fn set_members(&self, id: &ImageId, members: &[Member]) -> Result<(), StoreError> {
        self.with(id, "members", |entry| {
            entry.members = members.to_vec();
            Ok(())
        })
    }
}
