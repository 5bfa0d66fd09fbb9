//! The store under test, and the images that a case creates in it.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;

use crate::body::Body;
use crate::conformance::{Outcome, Wrong};
use crate::image::{Attributes, Image, ImageId, Status};
use crate::store::{ByteRange, ImageStore, StoreError, StoreErrorKind};

/// The store under test. Keeps track of the images that a case creates.
pub(super) struct Scratch {
    pub(super) store: Arc<dyn ImageStore>,
    made: Mutex<Vec<ImageId>>,
}

impl Scratch {
    pub(super) fn new(store: Arc<dyn ImageStore>) -> Self {
        Self { store, made: Mutex::default() }
    }

    /// Creates a record without data, with formats that every Glance accepts.
    pub(super) async fn queued(&self) -> Result<Image, Wrong> {
        self.create(attributes()).await
    }

    /// Creates a complete image.
    pub(super) async fn active(&self, data: &[u8]) -> Result<Image, Wrong> {
        let image = self.queued().await?;
        Ok(self.store.upload(&image.id, body(data)).await?)
    }

    pub(super) async fn create(&self, attributes: Attributes) -> Result<Image, Wrong> {
        self.create_as(Image::queued(ImageId::random(), attributes)).await
    }

    pub(super) async fn create_as(&self, image: Image) -> Result<Image, Wrong> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).push(image.id.clone());
        Ok(self.store.create(&image).await?)
    }

    pub(super) async fn bytes(&self, id: &ImageId, range: ByteRange) -> Result<Bytes, Wrong> {
        let body = self.store.read(id, range).await?;
        let promised = body.size();
        let bytes = body.collect(LIMIT).await?;
        match promised {
            Some(promised) if promised == bytes.len() as u64 => Ok(bytes),
            _ => Err(format!("a body of {} bytes announced {promised:?}", bytes.len()).into()),
        }
    }

    /// Makes an upload that fails after `data`.
    pub(super) async fn breaks_off(&self, id: &ImageId, data: &[u8]) -> Outcome {
        let parts = [Ok(Bytes::copy_from_slice(data)), Err("the suite breaks it off".into())];
        let upload = self.store.upload(id, Body::from_stream(stream::iter(parts), None)).await;
        refused("upload a body that breaks off", StoreErrorKind::Data, upload)?;
        self.is_queued_again(id).await
    }

    /// Checks after a failed upload that the record soon is as before and accepts an upload.
    pub(super) async fn takes_another_upload(&self, id: &ImageId) -> Outcome {
        self.is_queued_again(id).await?;
        let image = self.upload_after_another(id, b"second try").await?;
        if (image.status, image.size) != (Status::Active, Some(10)) {
            return Err("an upload after a failed one does not complete the image".into());
        }
        let bytes = self.bytes(id, ByteRange::ALL).await?;
        if &bytes[..] != b"second try" {
            return Err("an upload after a failed one stored other bytes".into());
        }
        Ok(())
    }

    /// Uploads after an interrupted upload, which a service may notice only now. It then refuses
    /// this upload before it has read the data. A proxy whose server closes the connection that
    /// early answers 502.
    pub(super) async fn upload_after_another(
        &self,
        id: &ImageId,
        data: &[u8],
    ) -> Result<Image, Wrong> {
        use StoreErrorKind::{Conflict, Server};
        for _ in 0..PATIENCE {
            match self.store.upload(id, body(data)).await {
                Err(error) if matches!(error.kind, Conflict | Server) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                stored => return Ok(stored?),
            }
        }
        Err("an upload that broke off stays under way".into())
    }

    /// Checks after a failed upload that the record soon is as before.
    async fn is_queued_again(&self, id: &ImageId) -> Outcome {
        let mut image = self.store.get(id).await?;
        for _ in 0..PATIENCE {
            if image.status == Status::Queued {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            image = self.store.get(id).await?;
        }
        match (image.status, image.size) {
            (Status::Queued, None) => Ok(()),
            (status, size) => Err(format!("a failed upload left {status}, size {size:?}").into()),
        }
    }

    /// Deletes the images that the case created.
    pub(super) async fn clear(&self) -> Outcome {
        let made = std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner));
        for id in made {
            let Ok(image) = self.store.get(&id).await else { continue };
            if image.attributes.protected {
                let wanted = Attributes { protected: false, ..image.attributes.clone() };
                self.store.update(&image, &wanted).await?;
            }
            self.store.delete(&id).await?;
        }
        Ok(())
    }
}

pub(super) fn attributes() -> Attributes {
    Attributes {
        name: Some("conformance".to_owned()),
        disk_format: Some("raw".to_owned()),
        container_format: Some("bare".to_owned()),
        ..Attributes::default()
    }
}

pub(super) fn body(data: &[u8]) -> Body {
    Body::from(Bytes::copy_from_slice(data))
}

/// Fails the case unless `result` is an error of `kind`.
pub(super) fn refused<T: Debug>(
    what: &str,
    kind: StoreErrorKind,
    result: Result<T, StoreError>,
) -> Result<StoreError, Wrong> {
    match result {
        Err(error) if error.kind == kind => Ok(error),
        Err(error) => Err(format!("{what}: {:?} ({error}), not {kind:?}", error.kind).into()),
        Ok(answer) => Err(format!("{what}: {answer:?}, not the error {kind:?}").into()),
    }
}

/// More bytes than any case reads.
pub(super) const LIMIT: usize = 4 << 20;

/// The time that a service may need to notice an interrupted upload, in tenths of a second.
const PATIENCE: usize = 100;
