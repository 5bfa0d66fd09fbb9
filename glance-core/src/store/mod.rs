//! Image stores: the [`ImageStore`] trait.

use std::fmt;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::body::Body;
use crate::image::{Attributes, Image, ImageId, Member};
use crate::selection::Selection;

mod error;
mod ext;
pub mod import;
#[cfg(feature = "memory")]
pub mod memory;
mod rules;
mod sink;
mod source;
mod storage;

pub use error::{StoreError, StoreErrorKind};
pub use ext::ImageStoreExt;
pub use import::{Import, ServerSideImport};
pub use sink::ImageSink;
pub use source::{ImageSource, ReadOnly};
pub use storage::{ImageStorage, Writable};

/// The images of a listing, one at a time. An error with a [`record`](StoreError::record) concerns
/// that one image, and the listing continues; any other error ends the listing.
pub type ImageStream<'a> = BoxStream<'a, Result<Image, StoreError>>;

/// The image id of one item of a listing; `None` for an error that ends the listing.
pub fn listed_id(item: &Result<Image, StoreError>) -> Option<&ImageId> {
    match item {
        Ok(image) => Some(&image.id),
        Err(error) => error.record.as_ref().map(|record| &record.id),
    }
}

/// Whether `store` holds an image with this id. An image whose record cannot be read counts.
///
/// # Errors
/// When the store cannot be asked, or its answer is an error other than "not found".
pub async fn holds(store: &dyn ImageStore, id: &ImageId) -> Result<bool, StoreError> {
    match store.get(id).await {
        Ok(_) => Ok(true),
        Err(error) if error.record.is_some() => Ok(true),
        Err(error) if error.kind == StoreErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// A place that holds images: a Glance service, a directory, or memory.
///
/// `Display` names the store in messages for the operator, without credentials. Two stores may have
/// the same name; code that tells stores apart compares the pointers of their [`Arc`s](std::sync::Arc).
///
/// # Contract
/// - **Atomic**: an image is either without data (`queued`), in transit, or complete. A failed or
///   dropped [`upload`](Self::upload) leaves the record at `queued`, and a later upload to the same
///   record may succeed. The store may keep the data received so far, but only
///   [`partial_data`](Self::partial_data) returns it. The data of a complete image never changes.
/// - **Identity**: the id given to [`create`](Self::create) is the image's id. The id of a deleted
///   image may stay taken forever; `create` then fails with [`StoreErrorKind::IdTaken`].
/// - **Checksum**: after an upload the record holds the size and a digest *of the bytes that the
///   store kept*, not values claimed by the caller. A store in the same process may use the digests
///   that the body [carries](Body::digests): they were computed in this process from the same
///   bytes.
/// - **Order**: listings are in ascending order of ids, and each image appears once, so that a
///   merge join of two listings needs little memory. An image that is created or deleted during the
///   listing may be missing.
/// - **Completeness**: a listing contains every image that the selection admits and that the
///   credentials can see, with any visibility and status, including hidden images, and no others.
///   An image whose record cannot be read appears in its place as an error that contains the
///   readable part of the record.
/// - **Retry**: a store may repeat a request that carries no data. A store never resends data:
///   after [`StoreErrorKind::CredentialsRenewed`] the caller may upload again with a new body.
/// - **Cancel**: dropping a future abandons its work with the same effect as a failure.
/// - **Damaged data**: if a store notices that its stored data is damaged, [`read`](Self::read) fails
///   with [`StoreErrorKind::Unreadable`], or the body that it returns fails with an error that
///   [`is_damage`](crate::verified_body::is_damage) recognizes:
///   [`DataFault::Damaged`](crate::verified_body::DataFault::Damaged), or an
///   [`io::Error`](std::io::Error) of the kind `InvalidData` or `UnexpectedEof`. Any other error of
///   the body is a failed read, which a caller may repeat. A store need not compare the data with
///   its digest; callers do.
/// - **Errors**: a missing image is [`StoreErrorKind::NotFound`]. If the given data itself fails,
///   `upload` returns [`StoreErrorKind::Data`] with the data's error in the source chain.
/// - **Wrappers** must forward every method; no method has a default implementation. A wrapper that
///   puts another body around the same bytes passes on their [digests](Body::carrying).
///
/// `glance_core::conformance::image_store` (Cargo feature `conformance`) tests these guarantees for
/// any store, `read_only_store` those of a store that cannot be written, and `damaged_data` the reads
/// of damaged data.
///
/// # Kinds of errors
/// The kinds of [`StoreError`] that callers tell apart, by method:
///
/// | method | kind, and when |
/// | --- | --- |
/// | every method with an id | `NotFound`: no such image |
/// | [`list`](Self::list) | an error with a [record](StoreError::record): only this image cannot be read |
/// | [`get`](Self::get) | `Unreadable`: the record cannot be interpreted |
/// | [`read`](Self::read) | `Conflict`: no data; `Range`: begins past the end; `RangesUnsupported`; `Unreadable`: damaged data |
/// | [`create`](Self::create) | `IdTaken`; `Invalid`: a value that the store does not accept; `LimitReached`: a quota |
/// | [`upload`](Self::upload) | `Conflict`: not `queued`; `Data`: the body failed; `CredentialsRenewed`: try again with a new body; `Rejected`: no upload to this record can work; `LimitReached`: a quota, or a full disk |
/// | [`update`](Self::update) | `Forbidden`: a format of an image with data, or no permission; `Invalid` |
/// | [`set_activation`](Self::set_activation) | `Forbidden`: no data, or no permission |
/// | [`delete`](Self::delete) | `Forbidden`: protected, or no permission; `Conflict`: in use |
/// | [`members`](Self::members), [`set_members`](Self::set_members) | `Forbidden`: not `shared`, or no permission |
///
/// Any method may fail with `Server`, `Transport`, `Unauthenticated`, `Forbidden` or `Locked`. A
/// store that cannot be written refuses every change with `Forbidden`.
///
/// # Two shorter ways
/// [`ReadOnly`] makes a store of three methods ([`ImageSource`]), [`Writable`] one of five more
/// ([`ImageStorage`]).
///
/// # Example
/// ```
/// use bytes::Bytes;
/// use futures_util::TryStreamExt;
/// use glance_core::image::{Attributes, Image, ImageId, Member, MemberStatus, Status, Visibility};
/// use glance_core::store::memory::MemoryStore;
/// use glance_core::store::{Activation, ByteRange, ImageStore, StoreErrorKind};
/// use glance_core::{Body, Selection};
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let store = MemoryStore::new("memory");
/// let attributes = Attributes {
///     name: Some("cirros".to_owned()),
///     disk_format: Some("raw".to_owned()),
///     container_format: Some("bare".to_owned()),
///     visibility: Visibility::Shared,
///     ..Attributes::default()
/// };
///
/// // A record without data, then its data.
/// let record = store.create(&Image::queued(ImageId::random(), attributes)).await?;
/// assert_eq!(record.status, Status::Queued);
/// let id = &record.id;
/// assert_eq!(store.partial_data(id).await?.size(), Some(0));
/// let image = store.upload(id, Body::from(Bytes::from_static(b"0123456789"))).await?;
/// assert_eq!((image.status, image.size), (Status::Active, Some(10)));
///
/// // All records, one record, and a part of the data.
/// let images: Vec<Image> = store.list(&Selection::everything()).await?.try_collect().await?;
/// assert_eq!(images, [image.clone()]);
/// assert_eq!(store.get(id).await?, image);
/// let range = ByteRange { offset: 3, length: Some(4) };
/// assert_eq!(store.read(id, range).await?.collect(1024).await?, "3456");
///
/// // Changes.
/// let renamed = Attributes { name: Some("cirros-6".to_owned()), ..image.attributes.clone() };
/// assert_eq!(store.update(&image, &renamed).await?.attributes.name, renamed.name);
/// let member = Member { project: "p1".to_owned(), status: MemberStatus::Accepted };
/// store.set_members(id, &[member.clone()]).await?;
/// assert_eq!(store.members(id).await?, [member]);
/// store.set_activation(id, Activation::Deactivated).await?;
/// store.delete(id).await?;
/// assert_eq!(store.get(id).await.unwrap_err().kind, StoreErrorKind::NotFound);
/// # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(()) })?;
/// # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
/// ```
#[async_trait]
pub trait ImageStore: fmt::Debug + fmt::Display + Send + Sync {
    /// Lists every image that `selection` admits.
    ///
    /// See the [example](ImageStore#example).
    async fn list(&self, selection: &Selection) -> Result<ImageStream<'_>, StoreError>;

    /// Returns one image.
    ///
    /// See the [example](ImageStore#example).
    async fn get(&self, id: &ImageId) -> Result<Image, StoreError>;

    /// Returns the bytes of `range` of a complete image's data. The body's size is the length of
    /// the range. An image without data is a [`StoreErrorKind::Conflict`]; a range that begins past
    /// the end is [`StoreErrorKind::Range`] (reading an empty image from 0 is not an error). A
    /// store that cannot read parts also reads the bytes before the range and discards them; for a
    /// range that neither begins nor ends with the data such a store returns
    /// [`StoreErrorKind::RangesUnsupported`].
    ///
    /// See the [example](ImageStore#example).
    async fn read(&self, id: &ImageId, range: ByteRange) -> Result<Body, StoreError>;

    /// Creates a record with `image`'s id and attributes, at `queued`. The other fields are hints:
    /// a store that has no clock or no digest algorithm of its own keeps `image`'s times and uses
    /// the algorithm of `image`'s digest.
    ///
    /// See the [example](ImageStore#example).
    async fn create(&self, image: &Image) -> Result<Image, StoreError>;

    /// Stores the data of a queued record and returns the record that the store then holds. A
    /// record that is not `queued` is a [`StoreErrorKind::Conflict`]. A body that ends before its
    /// promised size, or fails, is never stored.
    ///
    /// If `data` [carries](Body::digests) the digests that the store needs, the store may use them
    /// once it has read the last byte. It computes the other digests itself, and all digests of a
    /// body that carries none.
    ///
    /// See the [example](ImageStore#example).
    async fn upload(&self, id: &ImageId, data: Body) -> Result<Image, StoreError>;

    /// Returns the first bytes of an interrupted [`upload`](Self::upload) to a queued record, as
    /// far as the store kept them. The body is empty if the store keeps nothing or has no such
    /// image. The bytes are not verified. A caller can resume: it uploads these bytes followed by
    /// the rest and need not read them again from the source. An upload that begins with other
    /// bytes is equally valid.
    ///
    /// See the [example](ImageStore#example).
    async fn partial_data(&self, id: &ImageId) -> Result<Body, StoreError>;

    /// Changes the attributes to `wanted` and returns the record that the store then holds.
    /// `current` is the record that the caller read last: only the attributes that differ between
    /// the two are written, all or none of them. An `owner` that `wanted` does not specify stays as
    /// it is. A store without a clock of its own sets the time of the change to
    /// `current.updated_at`.
    ///
    /// See the [example](ImageStore#example).
    async fn update(&self, current: &Image, wanted: &Attributes) -> Result<Image, StoreError>;

    /// Switches a complete image to `active` or `deactivated`. Repeating the call is not an error.
    ///
    /// See the [example](ImageStore#example).
    async fn set_activation(&self, id: &ImageId, activation: Activation) -> Result<(), StoreError>;

    /// Deletes the image. A protected image is [`StoreErrorKind::Forbidden`].
    ///
    /// See the [example](ImageStore#example).
    async fn delete(&self, id: &ImageId) -> Result<(), StoreError>;

    /// Returns the members of an image whose visibility is `shared`.
    ///
    /// See the [example](ImageStore#example).
    async fn members(&self, id: &ImageId) -> Result<Vec<Member>, StoreError>;

    /// Replaces the members of a shared image with exactly `members`, including their states.
    ///
    /// See the [example](ImageStore#example).
    async fn set_members(&self, id: &ImageId, members: &[Member]) -> Result<(), StoreError>;
}

/// A range of an image's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte, counted from 0.
    pub offset: u64,
    /// The number of bytes; `None` for all bytes from `offset` on. A range that ends past the data
    /// is truncated.
    pub length: Option<u64>,
}

impl ByteRange {
    /// The complete data.
    pub const ALL: Self = Self { offset: 0, length: None };
}

/// Whether users other than administrators may use a complete image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// They may.
    Active,
    /// They may not.
    Deactivated,
}
