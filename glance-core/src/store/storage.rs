//! Images that can be written: the [`ImageStorage`] trait, and the store made of one.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::stream::StreamExt;

use super::rules::{READ_MEMBERS, READ_RECORD, Refusal, UPLOAD, must_be_shared, needs};
use super::source::{ImageSource, ReadOnly};
use super::{Activation, ByteRange, ImageStore, ImageStream, StoreError, StoreErrorKind};
use crate::body::Body;
use crate::digest::{Algorithm, Hashers};
use crate::image::update::apply;
use crate::image::{Attributes, Image, ImageId, Member, Status};
use crate::selection::Selection;
use crate::verified_body::{Expected, checked};

/// A place that keeps images, such as a folder or a bucket. [`Writable`] makes an [`ImageStore`] of
/// it: it keeps Glance's rules about records, lets one upload at a time write to an image, and
/// computes the digests.
///
/// The methods of a [`Writable`] that change a record exclude each other; other processes that
/// change the same place are not excluded.
///
/// `docs/write-a-store.md` builds such a store over a folder.
#[async_trait]
pub trait ImageStorage: ImageSource {
    /// Keeps a record in place of the earlier one with the same id, all of it or nothing.
    async fn put(&self, image: &Image) -> io::Result<()>;

    /// Keeps the data of an image in place of earlier data of the same image. After an error, or if
    /// the future is dropped, a part of the data may remain: the record then still says that the
    /// image has no data, and another upload may follow at once. If `data` fails, so must this
    /// method; the error of `data` is then shown instead of this method's.
    async fn write(&self, id: &ImageId, data: Body) -> io::Result<()>;

    /// Removes an image: its record, and its data and members if it has some.
    async fn remove(&self, id: &ImageId) -> io::Result<()>;

    /// Returns the members that were put last; none if none were put.
    async fn members(&self, id: &ImageId) -> io::Result<Vec<Member>>;

    /// Keeps the members of an image in place of the earlier ones.
    async fn put_members(&self, id: &ImageId, members: &[Member]) -> io::Result<()>;
}

/// The store of an [`ImageStorage`].
///
/// Its records keep the times that a caller gives; it has no clock. Its digests are MD5 for
/// `checksum` and SHA-512, as far as its [`Hashers`] offer them. It keeps nothing of a failed
/// upload. The id of a deleted image is free again.
#[derive(Debug)]
pub struct Writable<T> {
    kept: ReadOnly<T>,
    hashers: Hashers,
    /// Held while a record is read, changed and put back.
    change: tokio::sync::Mutex<()>,
    uploads: Mutex<BTreeSet<ImageId>>,
}

impl<T: ImageStorage> Writable<T> {
    /// The store of `storage`. `name` is its name in messages, without credentials; `hashers`
    /// computes its digests.
    pub fn new(name: impl Into<String>, storage: T, hashers: Hashers) -> Self {
        let kept = ReadOnly::new(name, storage);
        Self { kept, hashers, change: tokio::sync::Mutex::default(), uploads: Mutex::default() }
    }

    fn storage(&self) -> &T {
        &self.kept.source
    }

    /// The record of an image that exists.
    async fn record(&self, operation: &'static str, id: &ImageId) -> Result<Image, StoreError> {
        self.kept.record(operation, id).await.map(|image| self.in_work(image))
    }

    /// The same record, at `saving` during an upload.
    fn in_work(&self, mut image: Image) -> Image {
        if image.status == Status::Queued && self.uploads().contains(&image.id) {
            image.status = Status::Saving;
        }
        image
    }

    /// Changes a record by Glance's rules, and returns the new one.
    async fn change(
        &self,
        operation: &'static str,
        id: &ImageId,
        change: impl FnOnce(&mut Image) -> Result<(), Refusal> + Send,
    ) -> Result<Image, StoreError> {
        let _lock = self.change.lock().await;
        let mut image = self.kept.record(operation, id).await?;
        change(&mut image).map_err(|refusal| refusal.at(self, operation, id))?;
        self.storage().put(&image).await.map_err(|error| self.failed(operation, id, error))?;
        Ok(self.in_work(image))
    }

    /// Stores the data, and returns its size and digests as the record states them.
    async fn store(&self, id: &ImageId, data: Body) -> Result<Stored, StoreError> {
        let at_fault =
            |error| self.error(StoreErrorKind::Data, UPLOAD, id, "the data failed", error);
        let data = data.proven_if_empty().await.map_err(at_fault)?;
        let also = BTreeSet::from([Algorithm::Md5, Algorithm::Sha512]);
        let expected = Expected { size: data.size(), digest: None, also };
        let (data, verdict) = checked(data, expected, self.hashers);
        let counted = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&counted);
        let data = data.watched(move |chunk| {
            count.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        });
        let stored = self.storage().write(id, data).await;
        if let Some(fault) = verdict.fault() {
            return Err(at_fault(fault.into()));
        }
        stored.map_err(|error| self.failed(UPLOAD, id, error))?;
        let Some(mut digests) = verdict.digests().cloned() else {
            let error = "the data was not read to its end";
            return Err(self.failed(UPLOAD, id, io::Error::other(error)));
        };
        let size = counted.load(Ordering::Relaxed);
        let (checksum, sha512) =
            (digests.remove(&Algorithm::Md5), digests.remove(&Algorithm::Sha512));
        Ok(Stored { size, checksum, sha512 })
    }

    fn failed(&self, operation: &'static str, id: &ImageId, error: io::Error) -> StoreError {
        StoreError::io(self, operation, error).on(id)
    }

    fn error(
        &self,
        kind: StoreErrorKind,
        operation: &'static str,
        id: &ImageId,
        reason: &str,
        source: crate::error::BodyError,
    ) -> StoreError {
        StoreError::new(kind, self, operation, reason).on(id).caused_by(source)
    }

    fn uploads(&self) -> MutexGuard<'_, BTreeSet<ImageId>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the record states about new data.
struct Stored {
    size: u64,
    checksum: Option<String>,
    sha512: Option<String>,
}

/// An upload in progress. Dropping the value ends it.
struct Upload<'a>(&'a Mutex<BTreeSet<ImageId>>, &'a ImageId);

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(self.1);
    }
}

impl<T> fmt::Display for Writable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kept.fmt(f)
    }
}

#[async_trait]
impl<T: ImageStorage> ImageStore for Writable<T> {
    async fn list(&self, selection: &Selection) -> Result<ImageStream<'_>, StoreError> {
        let images = self.kept.list(selection).await?;
        Ok(images.map(|item| item.map(|image| self.in_work(image))).boxed())
    }

    async fn get(&self, id: &ImageId) -> Result<Image, StoreError> {
        self.record(READ_RECORD, id).await
    }

    async fn read(&self, id: &ImageId, range: ByteRange) -> Result<Body, StoreError> {
        self.kept.read(id, range).await
    }

    async fn create(&self, image: &Image) -> Result<Image, StoreError> {
        const OPERATION: &str = "create the record";
        let _lock = self.change.lock().await;
        let (id, failed) = (&image.id, |error| self.failed(OPERATION, &image.id, error));
        if self.storage().get(id).await.map_err(failed)?.is_some() {
            let taken = Refusal(StoreErrorKind::IdTaken, "the id is taken".to_owned());
            return Err(taken.at(self, OPERATION, id));
        }
        let (created_at, updated_at) = (image.created_at.clone(), image.updated_at.clone());
        let record = Image::queued(id.clone(), image.attributes.clone());
        let record = Image { created_at, updated_at, ..record };
        self.storage().put(&record).await.map_err(failed)?;
        Ok(record)
    }

    async fn upload(&self, id: &ImageId, data: Body) -> Result<Image, StoreError> {
        let record = self.record(UPLOAD, id).await?;
        if record.status != Status::Queued || !self.uploads().insert(id.clone()) {
            return Err(needs(&record, "queued").at(self, UPLOAD, id));
        }
        let upload = Upload(&self.uploads, id);
        let Stored { size, checksum, sha512 } = self.store(id, data).await?;
        let stored = self.change(UPLOAD, id, |image| {
            image.os_hash_algo = sha512.as_ref().map(|_| Algorithm::Sha512.to_string());
            (image.checksum, image.os_hash_value) = (checksum, sha512);
            (image.size, image.status) = (Some(size), Status::Active);
            Ok(())
        });
        let stored = stored.await;
        drop(upload);
        stored
    }

    async fn partial_data(&self, _: &ImageId) -> Result<Body, StoreError> {
        Ok(Body::empty())
    }

    async fn update(&self, current: &Image, wanted: &Attributes) -> Result<Image, StoreError> {
        let change = |image: &mut Image| {
            apply(image, &current.attributes, wanted)
                .map_err(|reason| Refusal(StoreErrorKind::Forbidden, reason.to_owned()))?;
            image.updated_at.clone_from(&current.updated_at);
            Ok(())
        };
        self.change("change the record", &current.id, change).await
    }

    async fn set_activation(&self, id: &ImageId, activation: Activation) -> Result<(), StoreError> {
        let change = |image: &mut Image| {
            if !image.status.has_data() {
                let Refusal(_, reason) = needs(image, "active or deactivated");
                return Err(Refusal(StoreErrorKind::Forbidden, reason));
            }
            image.status = match activation {
                Activation::Active => Status::Active,
                Activation::Deactivated => Status::Deactivated,
            };
            Ok(())
        };
        self.change("set the activation", id, change).await.map(|_| ())
    }

    async fn delete(&self, id: &ImageId) -> Result<(), StoreError> {
        const OPERATION: &str = "delete the record";
        let _lock = self.change.lock().await;
        let image = self.kept.record(OPERATION, id).await?;
        if self.uploads().contains(id) {
            let in_use = "an upload to the image is in progress".to_owned();
            return Err(Refusal(StoreErrorKind::Conflict, in_use).at(self, OPERATION, id));
        }
        if image.attributes.protected {
            let protected = Refusal(StoreErrorKind::Forbidden, "the image is protected".to_owned());
            return Err(protected.at(self, OPERATION, id));
        }
        self.storage().remove(id).await.map_err(|error| self.failed(OPERATION, id, error))
    }

    async fn members(&self, id: &ImageId) -> Result<Vec<Member>, StoreError> {
        let image = self.record(READ_MEMBERS, id).await?;
        must_be_shared(&image).map_err(|refusal| refusal.at(self, READ_MEMBERS, id))?;
        self.storage().members(id).await.map_err(|error| self.failed(READ_MEMBERS, id, error))
    }

    async fn set_members(&self, id: &ImageId, members: &[Member]) -> Result<(), StoreError> {
        const OPERATION: &str = "set the members";
        let _lock = self.change.lock().await;
        let image = self.record(OPERATION, id).await?;
        must_be_shared(&image).map_err(|refusal| refusal.at(self, OPERATION, id))?;
        let put = self.storage().put_members(id, members).await;
        put.map_err(|error| self.failed(OPERATION, id, error))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ops::Range;

    use bytes::Bytes;
    use futures_util::{FutureExt, stream};

    use super::*;

    /// Records in memory. What becomes of data depends on its first byte.
    #[derive(Debug, Default)]
    struct Fickle(Mutex<BTreeMap<ImageId, Image>>);

    #[async_trait]
    impl ImageSource for Fickle {
        async fn list(&self) -> io::Result<Vec<ImageId>> {
            Ok(self.0.lock().unwrap().keys().cloned().collect())
        }

        async fn get(&self, id: &ImageId) -> io::Result<Option<Image>> {
            Ok(self.0.lock().unwrap().get(id).cloned())
        }

        async fn read(&self, _: &Image, _: Range<u64>) -> io::Result<Body> {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    #[async_trait]
    impl ImageStorage for Fickle {
        async fn put(&self, image: &Image) -> io::Result<()> {
            self.0.lock().unwrap().insert(image.id.clone(), image.clone());
            Ok(())
        }

        async fn write(&self, _: &ImageId, data: Body) -> io::Result<()> {
            let (head, data) = data.peek(1).await;
            match head.first() {
                Some(b'f') => Err(io::ErrorKind::StorageFull.into()),
                Some(b'i') => Ok(()),
                Some(b'w') => std::future::pending().await,
                _ => data.write_to(io::sink()).await.map(|_| ()),
            }
        }

        async fn remove(&self, id: &ImageId) -> io::Result<()> {
            self.0.lock().unwrap().remove(id);
            Ok(())
        }

        async fn members(&self, _: &ImageId) -> io::Result<Vec<Member>> {
            Ok(Vec::new())
        }

        async fn put_members(&self, _: &ImageId, _: &[Member]) -> io::Result<()> {
            Ok(())
        }
    }

    /// A body that yields one byte at a time.
    fn data(text: &'static str) -> Body {
        let bytes = text.as_bytes().chunks(1).map(|byte| Ok(Bytes::from_static(byte)));
        Body::from_stream(stream::iter(bytes), Some(text.len() as u64))
    }

    async fn store() -> (Writable<Fickle>, ImageId) {
        let store = Writable::new("fickle", Fickle::default(), Hashers::default());
        let record = Image::queued(ImageId::random(), Attributes::default());
        let id = store.create(&record).await.unwrap().id;
        (store, id)
    }

    #[tokio::test]
    async fn an_upload_that_the_storage_fails_leaves_a_queued_record() {
        let (store, id) = store().await;
        let full = store.upload(&id, data("full")).await.unwrap_err();
        assert_eq!(full.kind, StoreErrorKind::LimitReached);
        assert!(full.to_string().starts_with("fickle: cannot store the data of image"), "{full}");
        let ignored = store.upload(&id, data("ignored")).await.unwrap_err();
        assert!(ignored.to_string().contains("not read to its end"), "{ignored}");
        assert_eq!(store.get(&id).await.unwrap().status, Status::Queued);

        let stored = store.upload(&id, data("stored")).await.unwrap();
        assert_eq!((stored.status, stored.size), (Status::Active, Some(6)));
        let damaged = store.read(&id, ByteRange::ALL).await.unwrap_err();
        assert_eq!(damaged.kind, StoreErrorKind::Unreadable);
    }

    #[tokio::test]
    async fn an_image_is_in_use_during_an_upload() {
        let (store, id) = store().await;
        let mut upload = std::pin::pin!(store.upload(&id, data("wait")));
        assert!((&mut upload).now_or_never().is_none());
        assert_eq!(store.get(&id).await.unwrap().status, Status::Saving);
        let refused = [
            store.upload(&id, data("second")).await.map(|_| ()).unwrap_err(),
            store.delete(&id).await.unwrap_err(),
        ];
        assert!(refused.iter().all(|error| error.kind == StoreErrorKind::Conflict), "{refused:?}");
    }
}
