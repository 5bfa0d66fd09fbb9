//! Operations that every [`ImageStore`] has, in terms of the trait's own.

use std::io::Write;

use async_trait::async_trait;

use super::{ByteRange, ImageStore, StoreError, StoreErrorKind};
use crate::digest::Hashers;
use crate::image::{Image, ImageId, Member};
use crate::transport::TransportErrorKind;
use crate::verified_body::{DataFault, Expected, checked};

/// Operations on top of [`ImageStore`]. Every store has them.
///
/// ```
/// use bytes::Bytes;
/// use glance_core::Body;
/// use glance_core::digest::Hashers;
/// use glance_core::image::{Attributes, Image, ImageId, Visibility};
/// use glance_core::store::memory::MemoryStore;
/// use glance_core::store::{ImageStore, ImageStoreExt, StoreError};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), StoreError> {
/// let store = MemoryStore::new("memory");
/// let shared = Attributes { visibility: Visibility::Shared, ..Attributes::default() };
/// let image = store.create(&Image::queued(ImageId::random(), shared)).await?;
/// assert_eq!(store.find(&image.id).await?, Some(image.clone()));
/// assert_eq!(store.members_if_shown(&image.id).await?, Some(Vec::new()));
///
/// store.upload(&image.id, Body::from(Bytes::from_static(b"some data"))).await?;
/// let (image, data) =
///     store.download_verified(&image.id, Hashers::default(), Vec::new()).await?;
/// assert_eq!((image.size, data), (Some(9), b"some data".to_vec()));
///
/// store.delete(&image.id).await?;
/// assert_eq!(store.find(&image.id).await?, None);
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait ImageStoreExt: ImageStore {
    /// Returns one image, or `None` if the store has no image with this id.
    ///
    /// # Errors
    /// Those of [`get`](ImageStore::get) other than [`StoreErrorKind::NotFound`].
    async fn find(&self, id: &ImageId) -> Result<Option<Image>, StoreError> {
        match self.get(id).await {
            Ok(image) => Ok(Some(image)),
            Err(error) if error.kind == StoreErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the members of a shared image, or `None` if the store does not show them. Glance
    /// shows all members only to the image's owner.
    ///
    /// # Errors
    /// Those of [`members`](ImageStore::members) other than [`StoreErrorKind::NotFound`] and
    /// [`StoreErrorKind::Forbidden`].
    async fn members_if_shown(&self, id: &ImageId) -> Result<Option<Vec<Member>>, StoreError> {
        match self.members(id).await {
            Ok(members) => Ok(Some(members)),
            Err(error)
                if matches!(error.kind, StoreErrorKind::NotFound | StoreErrorKind::Forbidden) =>
            {
                tracing::info!("the members of image {id} are not shown: {error}");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes the data of an image to `writer`, such as a file, and verifies its size and its
    /// digest against the record. Returns the record and the writer.
    ///
    /// The last bytes are written only after the verification. What an error leaves behind is not
    /// the image: discard it.
    ///
    /// # Errors
    /// Those of [`get`](ImageStore::get) and [`read`](ImageStore::read);
    /// [`StoreErrorKind::Unreadable`] when the data differs from the record, or the record has no
    /// digest that `hashers` offers; [`StoreErrorKind::Transport`] when the reading was
    /// interrupted. If `writer` fails, the operation is `write the downloaded data`, and the kind
    /// that of its error, such as [`StoreErrorKind::LimitReached`].
    async fn download_verified<W>(
        &self,
        id: &ImageId,
        hashers: Hashers,
        writer: W,
    ) -> Result<(Image, W), StoreError>
    where
        W: Write + Send + 'static,
    {
        let image = self.get(id).await?;
        let data = self.read(id, ByteRange::ALL).await?;
        let failed = |kind, reason: String| StoreError::new(kind, &self, DOWNLOAD, reason).on(id);
        let expected = Expected::of(&image);
        let Some((algorithm, _)) = &expected.digest else {
            let reason = "the record has no digest to verify the data with";
            return Err(failed(StoreErrorKind::Unreadable, reason.to_owned()));
        };
        if !hashers.offers(*algorithm) {
            let reason = format!("the digest of the record is {algorithm}, which is not available");
            return Err(failed(StoreErrorKind::Unreadable, reason));
        }
        let (data, verdict) = checked(data, expected, hashers);
        match data.write_to(writer).await {
            Ok(writer) => Ok((image, writer)),
            Err(error) => Err(match verdict.fault() {
                Some(fault) => failed(kind_of(&fault), fault.to_string()),
                None => StoreError::io(&self, "write the downloaded data", error).on(id),
            }),
        }
    }
}

impl<T: ImageStore + ?Sized> ImageStoreExt for T {}

/// The kind of a download whose data has this fault.
fn kind_of(fault: &DataFault) -> StoreErrorKind {
    match fault {
        DataFault::Interrupted { .. } => StoreErrorKind::Transport(TransportErrorKind::Interrupted),
        _ => StoreErrorKind::Unreadable,
    }
}

/// The name of the operation in errors.
const DOWNLOAD: &str = "download the data";

#[cfg(test)]
mod tests {
    use std::io;

    use bytes::Bytes;
    use futures_util::stream;

    use super::*;
    use crate::body::Body;
    use crate::image::{Attributes, Status};
    use crate::store::memory::MemoryStore;
    use crate::store::{ImageSource, ReadOnly};

    /// One image, whose record says what its data should be.
    #[derive(Debug)]
    struct Claims(Image, fn() -> Body);

    #[async_trait]
    impl ImageSource for Claims {
        async fn list(&self) -> io::Result<Vec<ImageId>> {
            Ok(vec![self.0.id.clone()])
        }

        async fn get(&self, _: &ImageId) -> io::Result<Option<Image>> {
            Ok(Some(self.0.clone()))
        }

        async fn read(&self, _: &Image, _: std::ops::Range<u64>) -> io::Result<Body> {
            Ok((self.1)())
        }
    }

    /// The error of a download from a store with the record of "abc" and other data.
    async fn error_of(change: impl Fn(&mut Image), data: fn() -> Body) -> StoreError {
        let store = MemoryStore::new("memory");
        let record = Image::queued(ImageId::random(), Attributes::default());
        let id = store.create(&record).await.unwrap().id;
        let mut image = store.upload(&id, Bytes::from_static(b"abc").into()).await.unwrap();
        assert_eq!(image.status, Status::Active);
        change(&mut image);
        let store = ReadOnly::new("claims", Claims(image, data));
        store.download_verified(&id, Hashers::default(), Vec::new()).await.unwrap_err()
    }

    fn right() -> Body {
        Bytes::from_static(b"abc").into()
    }

    #[tokio::test]
    async fn only_verified_data_is_a_download() {
        let damaged = || Bytes::from_static(b"abX").into();
        let error = error_of(|_| (), damaged).await;
        assert_eq!(error.kind, StoreErrorKind::Unreadable);
        assert!(error.to_string().contains("the source's data has the sha512"), "{error}");

        let cut = || Body::from_stream(stream::iter([Err("reset".into())]), Some(3));
        let error = error_of(|_| (), cut).await;
        assert!(error.kind.is_retryable(), "{error}");

        let without = |image: &mut Image| (image.checksum, image.os_hash_value) = (None, None);
        let error = error_of(without, right).await;
        assert!(error.to_string().ends_with("no digest to verify the data with"), "{error}");
    }

    #[tokio::test]
    async fn an_error_of_the_writer_is_not_one_of_the_store() {
        let store = MemoryStore::new("memory");
        let record = Image::queued(ImageId::random(), Attributes::default());
        let id = store.create(&record).await.unwrap().id;
        store.upload(&id, right()).await.unwrap();
        let no_room: &'static mut [u8] = &mut [];
        let error = store.download_verified(&id, Hashers::default(), no_room).await.unwrap_err();
        assert!(error.to_string().contains("cannot write the downloaded data"), "{error}");
    }
}
