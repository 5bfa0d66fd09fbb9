//! An image store of one's own: a wrapper that lets nothing be written to the store inside.
//!
//! A store implements every method of [`ImageStore`], since no method has a default. To test it, run
//! `glance_core::conformance::image_store` (Cargo feature `conformance`) on it. This store would
//! fail the cases that write.

use std::fmt;

use async_trait::async_trait;
use glance_core::image::{Attributes, Image, ImageId, Member};
use glance_core::store::memory::MemoryStore;
use glance_core::store::{Activation, ByteRange, ImageStream, StoreErrorKind};
use glance_core::{Body, ImageStore, Selection, StoreError};

#[derive(Debug)]
struct ReadOnly<S>(S);

impl<S: ImageStore> fmt::Display for ReadOnly<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (read-only)", self.0)
    }
}

impl<S: ImageStore> ReadOnly<S> {
    fn refuse<T>(&self, operation: &'static str, id: &ImageId) -> Result<T, StoreError> {
        let reason = "the store is read-only";
        Err(StoreError::new(StoreErrorKind::Forbidden, self, operation, reason).on(id))
    }
}

#[async_trait]
impl<S: ImageStore> ImageStore for ReadOnly<S> {
    async fn list(&self, selection: &Selection) -> Result<ImageStream<'_>, StoreError> {
        self.0.list(selection).await
    }

    async fn get(&self, id: &ImageId) -> Result<Image, StoreError> {
        self.0.get(id).await
    }

    async fn read(&self, id: &ImageId, range: ByteRange) -> Result<Body, StoreError> {
        self.0.read(id, range).await
    }

    async fn partial_data(&self, id: &ImageId) -> Result<Body, StoreError> {
        self.0.partial_data(id).await
    }

    async fn members(&self, id: &ImageId) -> Result<Vec<Member>, StoreError> {
        self.0.members(id).await
    }

    async fn create(&self, image: &Image) -> Result<Image, StoreError> {
        self.refuse("create the record", &image.id)
    }

    async fn upload(&self, id: &ImageId, _: Body) -> Result<Image, StoreError> {
        self.refuse("upload the data", id)
    }

    async fn update(&self, current: &Image, _: &Attributes) -> Result<Image, StoreError> {
        self.refuse("change the record", &current.id)
    }

    async fn set_activation(&self, id: &ImageId, _: Activation) -> Result<(), StoreError> {
        self.refuse("set the activation", id)
    }

    async fn delete(&self, id: &ImageId) -> Result<(), StoreError> {
        self.refuse("delete the record", id)
    }

    async fn set_members(&self, id: &ImageId, _: &[Member]) -> Result<(), StoreError> {
        self.refuse("set the members", id)
    }
}

#[tokio::main]
async fn main() -> Result<(), StoreError> {
    let inside = MemoryStore::new("memory");
    let record = Image::queued(ImageId::random(), Attributes::default());
    let record = inside.create(&record).await?;

    let store = ReadOnly(inside);
    assert_eq!(store.get(&record.id).await?, record);
    let refusal = store.delete(&record.id).await.map_err(|error| error.to_string());
    let message = format!(
        "memory (read-only): cannot delete the record of image {}: the store is read-only",
        record.id
    );
    assert_eq!(refusal, Err(message));
    Ok(())
}
