//! A test source that interrupts reads, and counts the bytes it delivered.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};

use glance_core::body::Body;
use glance_core::error::BodyError;
use glance_core::image::{Attributes, Image, ImageId, Member, Status};
use glance_core::selection::Selection;
use glance_core::store::memory::MemoryStore;
use glance_core::store::{
    Activation, ByteRange, ImageStore, ImageStream, StoreError, StoreErrorKind,
};

/// An in-memory store that interrupts or refuses reads.
#[derive(Debug)]
pub(super) struct FaultySource {
    pub(super) kept: MemoryStore,
    /// Number of bytes after which a response breaks off.
    pub(super) breaks_after: AtomicU64,
    /// How many more responses break off.
    pub(super) breaks: AtomicUsize,
    /// How many more requests for data are refused.
    pub(super) refusals: AtomicUsize,
    pub(super) ranges: Ranges,
    /// Number of bytes delivered.
    pub(super) given: Arc<AtomicU64>,
    /// All requested ranges, in order.
    pub(super) asked: Mutex<Vec<ByteRange>>,
}

/// How the store handles range requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ranges {
    Given,
    /// Like a Glance whose storage has no random access.
    NotInTheMiddle,
}

impl FaultySource {
    /// A store with one image of `length` bytes, and that image.
    pub(super) async fn with_image(length: usize) -> (Self, Image) {
        let kept = MemoryStore::new("flaky");
        let image = Image::queued(ImageId::random(), Attributes::default());
        kept.create(&image).await.unwrap();
        kept.upload(&image.id, Body::from(data(length))).await.unwrap();
        let image = kept.get(&image.id).await.unwrap();
        assert_eq!(image.status, Status::Active);
        let flaky = Self {
            kept,
            breaks_after: AtomicU64::new(u64::MAX),
            breaks: AtomicUsize::new(0),
            refusals: AtomicUsize::new(0),
            ranges: Ranges::Given,
            given: Arc::default(),
            asked: Mutex::default(),
        };
        (flaky, image)
    }

    pub(super) fn breaks(self, times: usize, after: u64) -> Self {
        self.breaks.store(times, Ordering::SeqCst);
        self.breaks_after.store(after, Ordering::SeqCst);
        self
    }

    pub(super) fn given(&self) -> u64 {
        self.given.load(Ordering::SeqCst)
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

/// Test data whose bytes differ at offsets that are likely to be confused.
pub(super) fn data(length: usize) -> Bytes {
    let block: Vec<u8> =
        (0..1_000_003_u32).map(|it| (it % 251 + it / 251 % 241).to_le_bytes()[0]).collect();
    let mut bytes = block.repeat(length / block.len() + 1);
    bytes.truncate(length);
    bytes.into()
}

fn once(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

#[async_trait]
impl ImageStore for FaultySource {
    async fn list(&self, selection: &Selection) -> Result<ImageStream<'_>, StoreError> {
        self.kept.list(selection).await
    }

    async fn get(&self, id: &ImageId) -> Result<Image, StoreError> {
        self.kept.get(id).await
    }

    async fn read(&self, id: &ImageId, range: ByteRange) -> Result<Body, StoreError> {
        self.asked.lock().unwrap().push(range);
        let refuse = |kind| Err(StoreError::new(kind, self, "read the data", "on purpose").on(id));
        if once(&self.refusals) {
            return refuse(StoreErrorKind::Server);
        }
        if self.ranges == Ranges::NotInTheMiddle && range.offset > 0 && range.length.is_some() {
            return refuse(StoreErrorKind::RangesUnsupported);
        }
        let data = self.kept.read(id, range).await?;
        let size = data.size();
        let given = Arc::clone(&self.given);
        let limit = match once(&self.breaks) {
            true => self.breaks_after.load(Ordering::SeqCst),
            false => u64::MAX,
        };
        let chunks = data.scan(0_u64, move |passed, chunk| {
            let next = match chunk {
                Ok(_) if *passed >= limit => Err(BodyError::from("it broke off on purpose")),
                Ok(mut chunk) => {
                    chunk.truncate(usize::try_from(limit - *passed).unwrap_or(usize::MAX));
                    *passed += chunk.len() as u64;
                    given.fetch_add(chunk.len() as u64, Ordering::SeqCst);
                    Ok(chunk)
                }
                Err(error) => Err(error),
            };
            std::future::ready(Some(next))
        });
        Ok(Body::from_stream(chunks.chain(stream::empty()), size))
    }

    async fn create(&self, image: &Image) -> Result<Image, StoreError> {
        self.kept.create(image).await
    }

    async fn upload(&self, id: &ImageId, data: Body) -> Result<Image, StoreError> {
        self.kept.upload(id, data).await
    }

    async fn partial_data(&self, id: &ImageId) -> Result<Body, StoreError> {
        self.kept.partial_data(id).await
    }

    async fn update(&self, current: &Image, wanted: &Attributes) -> Result<Image, StoreError> {
        self.kept.update(current, wanted).await
    }

    async fn set_activation(&self, id: &ImageId, activation: Activation) -> Result<(), StoreError> {
        self.kept.set_activation(id, activation).await
    }

    async fn delete(&self, id: &ImageId) -> Result<(), StoreError> {
        self.kept.delete(id).await
    }

    async fn members(&self, id: &ImageId) -> Result<Vec<Member>, StoreError> {
        self.kept.members(id).await
    }

    async fn set_members(&self, id: &ImageId, members: &[Member]) -> Result<(), StoreError> {
        self.kept.set_members(id, members).await
    }
}

impl fmt::Display for FaultySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("flaky")
    }
}
