//! An image store in memory that behaves like Glance: for tests, demos and dry runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};

use super::rules::{
    READ_DATA, READ_MEMBERS, READ_RECORD, Refusal, UPLOAD, must_be_shared, needs, no_such_image,
};
use super::{Activation, ByteRange, ImageStore, ImageStream, StoreError, StoreErrorKind};
use crate::body::Body;
use crate::clock::now;
use crate::digest::{Algorithm, Digests, Hashers};
use crate::error::BodyError;
use crate::image::update::apply;
use crate::image::{Attributes, Image, ImageId, Member, Owner, Status};
use crate::selection::Selection;

/// An image store in memory. Clones share the same images.
///
/// The store behaves as Glance does for an administrator: a deleted id stays taken, formats cannot
/// change once an image has data, and only shared images have members.
#[derive(Clone)]
pub struct MemoryStore {
    name: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    images: BTreeMap<ImageId, Stored>,
    burned: BTreeSet<ImageId>,
}

struct Stored {
    image: Image,
    data: Bytes,
    members: Vec<Member>,
}

impl MemoryStore {
    /// An empty store. `name` is its name in messages.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics in the middle of a change, so a poisoned state is still consistent.
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

    /// Runs `work` on the stored image.
    fn with<T>(
        &self,
        operation: &'static str,
        id: &ImageId,
        work: impl FnOnce(&mut Stored) -> Result<T, Refusal>,
    ) -> Result<T, StoreError> {
        match self.state().images.get_mut(id) {
            None => Err(no_such_image()),
            Some(stored) => work(stored),
        }
        .map_err(|refusal| refusal.at(self, operation, id))
    }

    /// Reads `data` to its end and returns the bytes with their digests.
    async fn receive(&self, id: &ImageId, mut data: Body) -> Result<(Bytes, Digests), StoreError> {
        let failed = |reason: &str| self.error(StoreErrorKind::Data, UPLOAD, id, reason);
        let promised = data.size();
        let mut hashing = Hashers::default().start([Algorithm::Md5, Algorithm::Sha512]);
        let mut whole = Vec::new();
        while let Some(chunk) = data.next().await {
            let chunk = chunk.map_err(|error| failed("the data failed").caused_by(error))?;
            hashing.update(&chunk).await;
            whole.extend_from_slice(&chunk);
        }
        let received = whole.len() as u64;
        if let Some(promised) = promised.filter(|promised| *promised != received) {
            return Err(failed("the data does not have the announced length")
                .caused_by(format!("received {received} of {promised} bytes")));
        }
        let digests = hashing.finish().await.map_err(|error| {
            self.error(StoreErrorKind::Server, UPLOAD, id, "hashing was stopped").caused_by(error)
        })?;
        Ok((whole.into(), digests))
    }
}

#[async_trait]
impl ImageStore for MemoryStore {
    async fn list(&self, selection: &Selection) -> Result<ImageStream<'_>, StoreError> {
        let state = self.state();
        let images = state.images.values().map(|stored| &stored.image);
        let admitted: Vec<_> =
            images.filter(|image| selection.admits(image)).cloned().map(Ok).collect();
        Ok(stream::iter(admitted).boxed())
    }

    async fn get(&self, id: &ImageId) -> Result<Image, StoreError> {
        self.with(READ_RECORD, id, |stored| Ok(stored.image.clone()))
    }

    async fn read(&self, id: &ImageId, range: ByteRange) -> Result<Body, StoreError> {
        self.with(READ_DATA, id, |stored| {
            if !stored.image.status.has_data() {
                return Err(needs(&stored.image, "active or deactivated"));
            }
            let part = slice(&stored.data, range).ok_or_else(|| {
                let (offset, size) = (range.offset, stored.data.len());
                let reason = format!("byte {offset} is past the end of the data ({size} bytes)");
                Refusal(StoreErrorKind::Range, reason)
            })?;
            Ok(chunked(part))
        })
    }

    async fn create(&self, image: &Image) -> Result<Image, StoreError> {
        let mut state = self.state();
        let id = &image.id;
        if state.images.contains_key(id) || state.burned.contains(id) {
            return Err(self.error(
                StoreErrorKind::IdTaken,
                "create the record",
                id,
                "the id is taken",
            ));
        }
        let mut image = Image::queued(id.clone(), image.attributes.clone());
        if image.attributes.owner == Owner::Unsaid {
            image.attributes.owner = Owner::Project("owner".to_owned());
        }
        image.created_at = Some(now());
        image.updated_at = image.created_at.clone();
        let stored = Stored { image: image.clone(), data: Bytes::new(), members: Vec::new() };
        state.images.insert(id.clone(), stored);
        Ok(image)
    }

    async fn upload(&self, id: &ImageId, data: Body) -> Result<Image, StoreError> {
        self.with(UPLOAD, id, |stored| match stored.image.status {
            Status::Queued => {
                stored.image.status = Status::Saving;
                Ok(())
            }
            _ => Err(needs(&stored.image, "queued")),
        })?;
        // From here on, every exit without complete data sets the status back to `queued`.
        let _saving = Saving { store: self, id };
        let (data, digests) = self.receive(id, data).await?;
        self.with(UPLOAD, id, |stored| {
            let image = &mut stored.image;
            image.size = Some(data.len() as u64);
            image.checksum = digests.get(&Algorithm::Md5).cloned();
            image.os_hash_algo = Some(Algorithm::Sha512.to_string());
            image.os_hash_value = digests.get(&Algorithm::Sha512).cloned();
            image.status = Status::Active;
            image.updated_at = Some(now());
            stored.data = data;
            Ok(stored.image.clone())
        })
    }

    async fn partial_data(&self, _id: &ImageId) -> Result<Body, StoreError> {
        Ok(Body::empty())
    }

    async fn update(&self, current: &Image, wanted: &Attributes) -> Result<Image, StoreError> {
        self.with("change the record", &current.id, |stored| {
            apply(&mut stored.image, &current.attributes, wanted)
                .map_err(|reason| Refusal(StoreErrorKind::Forbidden, reason.to_owned()))?;
            stored.image.updated_at = Some(now());
            Ok(stored.image.clone())
        })
    }

    async fn set_activation(&self, id: &ImageId, activation: Activation) -> Result<(), StoreError> {
        self.with("set the activation", id, |stored| {
            if !stored.image.status.has_data() {
                let Refusal(_, reason) = needs(&stored.image, "active or deactivated");
                return Err(Refusal(StoreErrorKind::Forbidden, reason));
            }
            stored.image.status = match activation {
                Activation::Active => Status::Active,
                Activation::Deactivated => Status::Deactivated,
            };
            Ok(())
        })
    }

    async fn delete(&self, id: &ImageId) -> Result<(), StoreError> {
        let mut state = self.state();
        let error = |kind, reason| Err(self.error(kind, "delete the record", id, reason));
        match state.images.get(id).map(|stored| stored.image.attributes.protected) {
            None => return error(StoreErrorKind::NotFound, "there is no such image"),
            Some(true) => return error(StoreErrorKind::Forbidden, "the image is protected"),
            Some(false) => {}
        }
        state.images.remove(id);
        state.burned.insert(id.clone());
        Ok(())
    }

    async fn members(&self, id: &ImageId) -> Result<Vec<Member>, StoreError> {
        self.with(READ_MEMBERS, id, |stored| {
            must_be_shared(&stored.image)?;
            Ok(stored.members.clone())
        })
    }

    async fn set_members(&self, id: &ImageId, members: &[Member]) -> Result<(), StoreError> {
        self.with("set the members", id, |stored| {
            must_be_shared(&stored.image)?;
            stored.members = members.to_vec();
            stored.members.sort();
            Ok(())
        })
    }
}

/// An upload in progress. If it is dropped before the image is complete, the record becomes
/// `queued` again.
struct Saving<'a> {
    store: &'a MemoryStore,
    id: &'a ImageId,
}

impl Drop for Saving<'_> {
    fn drop(&mut self) {
        if let Some(stored) = self.store.state().images.get_mut(self.id) {
            if stored.image.status == Status::Saving {
                stored.image.status = Status::Queued;
            }
        }
    }
}

/// The bytes of `range`, unless it begins past the end.
fn slice(data: &Bytes, range: ByteRange) -> Option<Bytes> {
    let start = usize::try_from(range.offset).ok().filter(|start| *start <= data.len())?;
    if start == data.len() && start > 0 {
        return None;
    }
    let rest = data.slice(start..);
    let length = range.length.and_then(|length| usize::try_from(length).ok());
    Some(rest.slice(..length.unwrap_or(rest.len()).min(rest.len())))
}

fn chunked(mut rest: Bytes) -> Body {
    let size = rest.len() as u64;
    let chunks = std::iter::from_fn(move || {
        let chunk = rest.split_to(rest.len().min(CHUNK));
        (!chunk.is_empty()).then_some(Ok::<_, BodyError>(chunk))
    });
    Body::from_stream(stream::iter(chunks), Some(size))
}

impl fmt::Display for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The size of a chunk in bytes.
const CHUNK: usize = 256 * 1024;
