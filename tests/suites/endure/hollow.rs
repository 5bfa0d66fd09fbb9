//! Sites with one image whose data is not stored: reads generate the data, and uploads discard it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use glance_core::body::Body;
use glance_core::digest::{Algorithm, Hashers};
use glance_core::error::BodyError;
use glance_core::image::{Attributes, Image, ImageId, Member, Visibility};
use glance_core::selection::Selection;
use glance_core::store::memory::MemoryStore;
use glance_core::store::{Activation, ByteRange, ImageStore, ImageStream, StoreError};
use glance_core::{Transport, TransportError};
use glance_server::GlanceApi;
use http::{Request, Response};
use tokio::task::JoinHandle;

use crate::support::fault::Faulty;
use crate::support::site::{TOKEN, serve};
use crate::support::stack::Stack;

/// A Glance over HTTPS that counts the bytes of data; dropping the value stops it.
pub(crate) struct HollowSite {
    pub(crate) url: String,
    pub(crate) store: Arc<Hollow>,
    pub(crate) faulty: Arc<Faulty>,
    pub(crate) meter: Arc<Meter>,
    task: JoinHandle<io::Result<()>>,
}

impl HollowSite {
    pub(crate) async fn open(stack: &Stack, store: Hollow) -> Self {
        let store = Arc::new(store);
        let api = GlanceApi::new(Arc::clone(&store) as Arc<dyn ImageStore>).with_token(TOKEN);
        let faulty = Arc::new(Faulty::new(Arc::new(api)));
        let meter = Arc::new(Meter::new(faulty.clone()));
        let (url, task) = serve(stack, meter.clone()).await;
        Self { url, store, faulty, meter, task }
    }
}

impl Drop for HollowSite {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The id of the image.
pub(crate) fn id() -> ImageId {
    "00000000-0000-4000-8000-000000000001".parse().unwrap()
}

/// A store that keeps records in memory, and no data.
#[derive(Debug)]
pub(crate) struct Hollow {
    records: MemoryStore,
    /// Computes the digests. Without it, the digest is a made-up constant.
    hashers: Option<Hashers>,
    /// The size and the SHA-512 of the data.
    data: Arc<OnceLock<(u64, String)>>,
}

impl Hollow {
    pub(crate) fn empty(hashers: Option<Hashers>) -> Self {
        Self { records: MemoryStore::new("hollow"), hashers, data: Arc::default() }
    }

    /// A store with an image of `size` bytes.
    pub(crate) async fn with_image(size: u64, hashers: Option<Hashers>) -> Self {
        let store = Self::empty(hashers);
        let attributes = Attributes {
            name: Some("large".to_owned()),
            visibility: Visibility::Public,
            disk_format: Some("raw".to_owned()),
            container_format: Some("bare".to_owned()),
            ..Attributes::default()
        };
        store.records.create(&Image::queued(id(), attributes)).await.unwrap();
        store.records.upload(&id(), Body::empty()).await.unwrap();
        let described = match hashers {
            Some(_) => swallow(Body::from_stream(bytes(0, size), None), hashers).await.unwrap(),
            None => (size, made_up()),
        };
        store.data.set(described).unwrap();
        store
    }

    fn describe(&self, mut image: Image) -> Image {
        if let Some((size, sha512)) = self.data.get().filter(|_| image.status.has_data()) {
            (image.size, image.checksum) = (Some(*size), None);
            image.os_hash_value = Some(sha512.clone());
        }
        image
    }
}

#[async_trait]
impl ImageStore for Hollow {
    async fn list(&self, selection: &Selection) -> Result<ImageStream<'_>, StoreError> {
        let images = self.records.list(selection).await?;
        Ok(images.map_ok(|image| self.describe(image)).boxed())
    }

    async fn get(&self, id: &ImageId) -> Result<Image, StoreError> {
        self.records.get(id).await.map(|image| self.describe(image))
    }

    async fn read(&self, id: &ImageId, range: ByteRange) -> Result<Body, StoreError> {
        let size = self.get(id).await?.size.unwrap_or_default();
        let end = range.length.map_or(size, |length| size.min(range.offset + length));
        Ok(Body::from_stream(bytes(range.offset, end), Some(end - range.offset)))
    }

    async fn create(&self, image: &Image) -> Result<Image, StoreError> {
        self.records.create(image).await
    }

    async fn upload(&self, id: &ImageId, data: Body) -> Result<Image, StoreError> {
        let (hashers, found) = (self.hashers, Arc::clone(&self.data));
        // The end of the stream records the result, or reports the failure.
        let end = stream::once(async move {
            let _ = found.set(swallow(data, hashers).await?);
            Ok(Bytes::new())
        });
        let image = self.records.upload(id, Body::from_stream(end, None)).await?;
        Ok(self.describe(image))
    }

    async fn partial_data(&self, id: &ImageId) -> Result<Body, StoreError> {
        self.records.partial_data(id).await
    }

    async fn update(&self, current: &Image, wanted: &Attributes) -> Result<Image, StoreError> {
        self.records.update(current, wanted).await.map(|image| self.describe(image))
    }

    async fn set_activation(&self, id: &ImageId, activation: Activation) -> Result<(), StoreError> {
        self.records.set_activation(id, activation).await
    }

    async fn delete(&self, id: &ImageId) -> Result<(), StoreError> {
        self.records.delete(id).await
    }

    async fn members(&self, id: &ImageId) -> Result<Vec<Member>, StoreError> {
        self.records.members(id).await
    }

    async fn set_members(&self, id: &ImageId, members: &[Member]) -> Result<(), StoreError> {
        self.records.set_members(id, members).await
    }
}

impl fmt::Display for Hollow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hollow")
    }
}

/// Reads and discards the data. Returns its size and digest.
async fn swallow(mut data: Body, hashers: Option<Hashers>) -> Result<(u64, String), BodyError> {
    let mut hashing = hashers.map(|hashers| hashers.start([Algorithm::Sha512]));
    let mut size = 0;
    while let Some(chunk) = data.next().await {
        let chunk = chunk?;
        size += chunk.len() as u64;
        if let Some(hashing) = &mut hashing {
            hashing.update(&chunk).await;
        }
    }
    let digests = match hashing {
        Some(hashing) => hashing.finish().await?,
        None => BTreeMap::new(),
    };
    Ok((size, digests.get(&Algorithm::Sha512).cloned().unwrap_or_else(made_up)))
}

fn made_up() -> String {
    "0".repeat(128)
}

/// The data from `next` to `end`. Every block contains its number, so that no two are equal.
fn bytes(next: u64, end: u64) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static {
    let inside = |offset: u64| usize::try_from(offset).unwrap();
    stream::unfold(next, move |next| async move {
        let number = next / LENGTH;
        let first = number * LENGTH;
        let after = end.min(first + LENGTH);
        if next >= after {
            return None;
        }
        let mut block = NOISE.clone();
        block[..8].copy_from_slice(&number.to_le_bytes());
        let chunk = Bytes::from(block).slice(inside(next - first)..inside(after - first));
        Some((Ok(chunk), after))
    })
}

/// A block of pseudo-random bytes.
static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = LENGTH | 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(usize::try_from(LENGTH).unwrap()).collect()
});

const LENGTH: u64 = 256 << 10;

/// Counts the bytes of image data.
#[derive(Debug)]
pub(crate) struct Meter {
    inner: Arc<dyn Transport>,
    sent: Arc<AtomicU64>,
    received: Arc<AtomicU64>,
}

impl Meter {
    fn new(inner: Arc<dyn Transport>) -> Self {
        Self { inner, sent: Arc::default(), received: Arc::default() }
    }

    /// The bytes that the server sent to clients.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// The bytes that clients sent to the server.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Transport for Meter {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        if !request.uri().path().ends_with("/file") {
            return self.inner.send(request).await;
        }
        let request = request.map(|data| counted(data, &self.received));
        let answer = self.inner.send(request).await?;
        Ok(answer.map(|data| counted(data, &self.sent)))
    }
}

fn counted(data: Body, count: &Arc<AtomicU64>) -> Body {
    let (size, count) = (data.size(), Arc::clone(count));
    let chunks = data.inspect_ok(move |chunk| {
        count.fetch_add(chunk.len() as u64, Ordering::SeqCst);
    });
    Body::from_stream(chunks, size)
}
