//! Images that can be read: the [`ImageSource`] trait, and the store made of one.

use std::fmt;
use std::io;
use std::ops::Range;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};

use super::rules::{
    READ_DATA, READ_MEMBERS, READ_RECORD, Refusal, must_be_shared, needs, no_such_image,
};
use super::{Activation, ByteRange, ImageStore, ImageStream, StoreError, StoreErrorKind};
use crate::body::Body;
use crate::image::{Attributes, Image, ImageId, Member};
use crate::selection::Selection;

/// A place with images that can be read, such as a folder of files. [`ReadOnly`] makes an
/// [`ImageStore`] of it: it sorts and selects, checks ranges, and words the errors.
///
/// # Errors
/// An error becomes a [`StoreError`] of the [kind](StoreErrorKind) that belongs to its
/// [`io::ErrorKind`]. [`io::Error::other`] makes an `io::Error` of any other error.
///
/// # Example
/// ```
/// use std::io;
/// use std::ops::Range;
///
/// use async_trait::async_trait;
/// use bytes::Bytes;
/// use glance_core::image::{Attributes, Image, ImageId};
/// use glance_core::store::{ByteRange, ImageSource, ImageStore, ReadOnly};
/// use glance_core::Body;
///
/// /// One image, which never changes.
/// #[derive(Debug)]
/// struct Fixed(Bytes);
///
/// #[async_trait]
/// impl ImageSource for Fixed {
///     async fn list(&self) -> io::Result<Vec<ImageId>> {
///         Ok(vec![ImageId::derived_from("fixed:")])
///     }
///
///     async fn get(&self, id: &ImageId) -> io::Result<Option<Image>> {
///         if *id != ImageId::derived_from("fixed:") {
///             return Ok(None);
///         }
///         let record = Image::queued(id.clone(), Attributes::default());
///         Ok(Some(record.with_data(self.0.len() as u64, None)))
///     }
///
///     async fn read(&self, _: &Image, range: Range<u64>) -> io::Result<Body> {
///         let [start, end] = [range.start, range.end].map(|at| usize::try_from(at).unwrap());
///         Ok(self.0.slice(start..end).into())
///     }
/// }
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let store = ReadOnly::new("the fixed image", Fixed(Bytes::from_static(b"0123456789")));
/// let id = ImageId::derived_from("fixed:");
/// let part = store.read(&id, ByteRange { offset: 7, length: Some(99) }).await?;
/// assert_eq!(part.collect(1024).await?, "789");
/// let error = store.delete(&id).await.unwrap_err();
/// assert!(error.to_string().starts_with("the fixed image: cannot delete the record of image"));
/// # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(()) })?;
/// # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
/// ```
#[async_trait]
pub trait ImageSource: fmt::Debug + Send + Sync {
    /// Returns the ids of all images, in any order.
    async fn list(&self) -> io::Result<Vec<ImageId>>;

    /// Returns the record of an image; `None` if there is no such image. The record of an image
    /// with data has its size, and should have a digest, without which no copy can be verified.
    async fn get(&self, id: &ImageId) -> io::Result<Option<Image>>;

    /// Returns these bytes of an image's data. The range lies within the size of the record, and
    /// the image has data.
    async fn read(&self, image: &Image, range: Range<u64>) -> io::Result<Body>;
}

/// The store of an [`ImageSource`]. It refuses every change with [`StoreErrorKind::Forbidden`], and
/// no image has members.
#[derive(Debug, Clone)]
pub struct ReadOnly<T> {
    name: String,
    pub(super) source: T,
}

impl<T: ImageSource> ReadOnly<T> {
    /// The store of `source`. `name` is its name in messages, without credentials.
    pub fn new(name: impl Into<String>, source: T) -> Self {
        Self { name: name.into(), source }
    }

    /// The record of an image that exists.
    pub(super) async fn record(
        &self,
        operation: &'static str,
        id: &ImageId,
    ) -> Result<Image, StoreError> {
        match self.source.get(id).await {
            Ok(Some(image)) => Ok(image),
            Ok(None) => Err(no_such_image().at(self, operation, id)),
            Err(error) => Err(StoreError::io(self, operation, error).on(id)),
        }
    }

    /// The item of a listing for this image; `None` if it is not selected, or gone.
    async fn listed(
        &self,
        id: ImageId,
        selection: &Selection,
    ) -> Option<Result<Image, StoreError>> {
        match self.source.get(&id).await {
            Ok(image) => image.filter(|image| selection.admits(image)).map(Ok),
            Err(error) => {
                let read = Image::queued(id, Attributes::default());
                let is_admitted = selection.may_admit(&read);
                let error = StoreError::io(self, READ_RECORD, error).of_record(read);
                is_admitted.then_some(Err(error))
            }
        }
    }

    fn refuse<A>(&self, operation: &'static str, id: &ImageId) -> Result<A, StoreError> {
        let read_only = Refusal(StoreErrorKind::Forbidden, "the store is read-only".to_owned());
        Err(read_only.at(self, operation, id))
    }
}

impl<T> fmt::Display for ReadOnly<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[async_trait]
impl<T: ImageSource> ImageStore for ReadOnly<T> {
    async fn list(&self, selection: &Selection) -> Result<ImageStream<'_>, StoreError> {
        let ids = self.source.list().await;
        let mut ids = ids.map_err(|error| StoreError::io(self, "list the images", error))?;
        ids.retain(|id| selection.admits_id(id));
        ids.sort_unstable();
        ids.dedup();
        let selection = selection.clone();
        let images = stream::iter(ids).filter_map(move |id| {
            let selection = selection.clone();
            async move { self.listed(id, &selection).await }
        });
        Ok(images.boxed())
    }

    async fn get(&self, id: &ImageId) -> Result<Image, StoreError> {
        self.record(READ_RECORD, id).await
    }

    async fn read(&self, id: &ImageId, range: ByteRange) -> Result<Body, StoreError> {
        let image = self.record(READ_DATA, id).await?;
        let range = range_of(&image, range).map_err(|refusal| refusal.at(self, READ_DATA, id))?;
        let size = range.end - range.start;
        let data = self.source.read(&image, range).await;
        let data = data.map_err(|error| StoreError::io(self, READ_DATA, error).on(id))?;
        match data.size() {
            Some(_) => Ok(data),
            None => Ok(Body::from_stream(data, Some(size))),
        }
    }

    async fn create(&self, image: &Image) -> Result<Image, StoreError> {
        self.refuse("create the record", &image.id)
    }

    async fn upload(&self, id: &ImageId, _: Body) -> Result<Image, StoreError> {
        self.refuse("store the data", id)
    }

    async fn partial_data(&self, _: &ImageId) -> Result<Body, StoreError> {
        Ok(Body::empty())
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

    async fn members(&self, id: &ImageId) -> Result<Vec<Member>, StoreError> {
        let image = self.record(READ_MEMBERS, id).await?;
        must_be_shared(&image).map_err(|refusal| refusal.at(self, READ_MEMBERS, id))?;
        Ok(Vec::new())
    }

    async fn set_members(&self, id: &ImageId, _: &[Member]) -> Result<(), StoreError> {
        self.refuse("set the members", id)
    }
}

/// The bytes of `range`, as far as the image has them.
fn range_of(image: &Image, range: ByteRange) -> Result<Range<u64>, Refusal> {
    if !image.status.has_data() {
        return Err(needs(image, "active or deactivated"));
    }
    let Some(size) = image.size else {
        let reason = "the record has no size".to_owned();
        return Err(Refusal(StoreErrorKind::Unreadable, reason));
    };
    let ByteRange { offset, length } = range;
    if offset > size || (offset == size && size > 0) {
        let reason = format!("byte {offset} is past the end of the data ({size} bytes)");
        return Err(Refusal(StoreErrorKind::Range, reason));
    }
    let length = length.unwrap_or(u64::MAX).min(size - offset);
    Ok(offset..offset + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images of which one has an unreadable record.
    #[derive(Debug)]
    struct Damaged(Vec<ImageId>);

    #[async_trait]
    impl ImageSource for Damaged {
        async fn list(&self) -> io::Result<Vec<ImageId>> {
            Ok(self.0.iter().rev().chain(&self.0).cloned().collect())
        }

        async fn get(&self, id: &ImageId) -> io::Result<Option<Image>> {
            match self.0.iter().position(|known| known == id) {
                Some(1) => Err(io::ErrorKind::InvalidData.into()),
                known => Ok(known.map(|_| Image::queued(id.clone(), Attributes::default()))),
            }
        }

        async fn read(&self, _: &Image, _: Range<u64>) -> io::Result<Body> {
            Ok(Body::empty())
        }
    }

    #[tokio::test]
    async fn a_listing_goes_on_after_a_record_that_cannot_be_read() {
        let mut ids: Vec<ImageId> = std::iter::repeat_with(ImageId::random).take(3).collect();
        ids.sort_unstable();
        let store = ReadOnly::new("damaged", Damaged(ids.clone()));
        let listed: Vec<_> = store.list(&Selection::everything()).await.unwrap().collect().await;
        let found: Vec<_> = listed.iter().filter_map(crate::store::listed_id).cloned().collect();
        assert_eq!(found, ids);
        let error = listed[1].as_ref().unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unreadable);
        assert_eq!(error.record.as_ref().unwrap().id, ids[1]);
        let one = store.list(&Selection::of_ids([ids[0].clone()].into())).await.unwrap();
        assert_eq!(one.count().await, 1);
    }
}
