//! The contract of whatever holds images: [`ImageStore`].

use std::error::Error;
use std::fmt;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::body::Body;
use crate::error::BodyError;
use crate::image::{Attributes, Image, ImageId, Member};
use crate::selection::Selection;
use crate::transport::TransportErrorKind;

pub mod import;
pub mod memory;

pub use import::{Import, ServerSideImport};

/// The images of a store, as they come. An error with a [`record`](StoreError::record) is about that
/// one image, and the listing goes on; any other error ends it.
pub type ImageStream<'a> = BoxStream<'a, Result<Image, StoreError>>;

/// The id of what a listing yields; none of an error that ends it.
pub fn listed_id(item: &Result<Image, StoreError>) -> Option<&ImageId> {
    match item {
        Ok(image) => Some(&image.id),
        Err(error) => error.record.as_ref().map(|record| &record.id),
    }
}

/// Whether `store` holds an image of this id, also one whose record can't be read.
///
/// # Errors
/// When the store does not say.
pub async fn holds(store: &dyn ImageStore, id: &ImageId) -> Result<bool, StoreError> {
    match store.get(id).await {
        Ok(_) => Ok(true),
        Err(error) if error.record.is_some() => Ok(true),
        Err(error) if error.kind == StoreErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Holds images: a Glance service, a directory, memory.
///
/// `Display` names the store in messages to the operator, without credentials.
///
/// # Contract
/// - **Atomic**: an image is either without data (`queued`), in transit, or complete. A failed or
///   dropped [`upload`](Self::upload) leaves the record at `queued`, and a later upload to it may
///   succeed. What came until then may be kept, for [`begun`](Self::begun) alone. Data never changes
///   once complete.
/// - **Identity**: the id given to [`create`](Self::create) is the image's id. An id that was
///   deleted may stay taken for good: that is [`StoreErrorKind::IdTaken`].
/// - **Checksum**: after an upload the record holds the size and a digest *of the bytes that the
///   store kept*, not one that the caller claims. A store in this process may take those that the
///   body [carries](Body::digests): they were computed here, of the same bytes.
/// - **Order**: listings come in ascending order of ids, each image once, so that whoever pairs two
///   of them needs little memory. An image made or deleted meanwhile may be missing.
/// - **Completeness**: a listing holds every image that the selection admits and the credentials
///   can see, of any visibility and state, hidden ones too, and no other. An image whose record
///   can't be read is an error in its place, with what can be read of it.
/// - **Retry**: a store may repeat a request that carries no data. It never resends data; that is
///   up to the caller, who can make it anew, after [`StoreErrorKind::Renewed`].
/// - **Cancel**: dropping a future abandons its work, as a failure would.
/// - **Errors**: a missing image is [`StoreErrorKind::NotFound`]; the failure of the given data
///   itself comes out of `upload` as [`StoreErrorKind::Data`], with that failure in the source chain.
/// - **Wrappers** forward every method: none has a default.
#[async_trait]
pub trait ImageStore: fmt::Debug + fmt::Display + Send + Sync {
    /// Every image that `selection` admits.
    async fn list(&self, selection: &Selection) -> Result<ImageStream<'_>, StoreError>;

    /// One image.
    async fn get(&self, id: &ImageId) -> Result<Image, StoreError>;

    /// The bytes of `range` of a complete image's data. Its length is announced by the body's
    /// size. An image without data is a [`StoreErrorKind::Conflict`]; a range that begins past the
    /// end is [`StoreErrorKind::Range`] (an empty image read from 0 is not). A store that can't read
    /// parts reads what is in front of the range, too, and gives the range alone; a range that
    /// neither begins with the data nor ends with it is [`StoreErrorKind::NoParts`] then.
    async fn read(&self, id: &ImageId, range: ByteRange) -> Result<Body, StoreError>;

    /// Makes a record with `image`'s id and attributes, at `queued`. The other fields are advice:
    /// a store without a clock or a digest of its own keeps the times and uses the digest's
    /// algorithm.
    async fn create(&self, image: &Image) -> Result<Image, StoreError>;

    /// Gives a queued record its data, and says what the store then holds. Anything but a queued
    /// record is a [`StoreErrorKind::Conflict`]. A body that promises a size and ends before it,
    /// or fails, is never stored.
    async fn upload(&self, id: &ImageId, data: Body) -> Result<Image, StoreError>;

    /// The first bytes of the data that an [`upload`](Self::upload) to a queued record was given
    /// before it broke off, as far as the store kept them; none where it keeps nothing, and of an
    /// image that is not there. They are not proven. Whoever puts them in front of the rest, and uploads all of it, need not get them again
    /// from elsewhere; an upload that begins in another way is as good.
    async fn begun(&self, id: &ImageId) -> Result<Body, StoreError>;

    /// Makes the attributes those of `wanted`, and says what the store then holds. `current` is
    /// what the caller read last: only what differs between the two is written, all or nothing.
    /// An `owner` that `wanted` does not say is left alone. A store without a clock of its own takes
    /// the time of the change, too, from `current.updated_at`.
    async fn update(&self, current: &Image, wanted: &Attributes) -> Result<Image, StoreError>;

    /// Moves a complete image between `active` and `deactivated`. Doing so twice is no error.
    async fn set_activation(&self, id: &ImageId, activation: Activation) -> Result<(), StoreError>;

    /// Removes the image. A protected one is [`StoreErrorKind::Forbidden`].
    async fn delete(&self, id: &ImageId) -> Result<(), StoreError>;

    /// The members of an image whose visibility is `shared`.
    async fn members(&self, id: &ImageId) -> Result<Vec<Member>, StoreError>;

    /// Makes the members of a shared image exactly `members`, with their states.
    async fn set_members(&self, id: &ImageId, members: &[Member]) -> Result<(), StoreError>;
}

/// A part of an image's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte.
    pub offset: u64,
    /// How many bytes, or all that follow. A range that ends past the data is cut there.
    pub length: Option<u64>,
}

impl ByteRange {
    /// All of it.
    pub const ALL: Self = Self { offset: 0, length: None };
}

/// Whether a complete image may be used by others than administrators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// It may.
    Active,
    /// It may not.
    Deactivated,
}

/// Why a store did not do what it was asked.
#[derive(Debug)]
pub struct StoreError {
    /// What kind of failure.
    pub kind: StoreErrorKind,
    /// The store, as its `Display` names it.
    pub store: String,
    /// What was asked, such as `create the record`.
    pub operation: &'static str,
    /// The image in question.
    pub image: Option<ImageId>,
    /// Of a record that can't be read, what can be read of it.
    pub record: Option<Box<Image>>,
    /// What the store said, a fragment of a sentence.
    pub reason: String,
    /// The server's id of the request, for its operator's logs.
    pub request_id: Option<String>,
    /// What the operator can do about it.
    pub hint: Option<String>,
    /// The failure below.
    pub source: Option<BodyError>,
}

/// Kinds of [`StoreError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The image is not in the state that the operation needs.
    Conflict,
    /// The data given to an upload failed. The store is not guilty.
    Data,
    /// The credentials do not allow it, or the image is protected.
    Forbidden,
    /// The id is in use, maybe invisibly, or was used once.
    IdTaken,
    /// Another process works on it, and one at a time may.
    InUse,
    /// The request or the record is not acceptable there.
    Invalid,
    /// A quota, a size limit or the disk is exhausted.
    LimitReached,
    /// The store can't read parts of data.
    NoParts,
    /// There is no such image.
    NotFound,
    /// The range begins past the end of the data.
    Range,
    /// The credentials were refused when data came, and others were got since. The data is gone;
    /// the same upload with data made anew can succeed.
    Renewed,
    /// The store examined the data and does not want it. No later upload to this record works.
    Rejected,
    /// The server failed. A retry can help.
    Server,
    /// No complete answer came.
    Transport(TransportErrorKind),
    /// The credentials are not good, or not any more.
    Unauthenticated,
    /// What the store holds can't be understood or is damaged.
    Unreadable,
}

impl StoreErrorKind {
    /// Whether the same may succeed later without anybody changing anything.
    pub fn is_retryable(self) -> bool {
        match self {
            Self::Server | Self::Renewed => true,
            Self::Transport(kind) => kind.is_retryable(),
            _ => false,
        }
    }
}

impl StoreError {
    /// An error with the fields every error has.
    pub fn new(
        kind: StoreErrorKind,
        store: &dyn fmt::Display,
        operation: &'static str,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            store: store.to_string(),
            operation,
            image: None,
            record: None,
            reason: reason.into(),
            request_id: None,
            hint: None,
            source: None,
        }
    }

    /// The same error once more, for another who waited for the same.
    pub fn repeated(&self) -> Self {
        let causes = std::iter::successors(self.source(), |&error| error.source());
        let causes: Vec<String> = causes.map(ToString::to_string).collect();
        Self {
            kind: self.kind,
            store: self.store.clone(),
            operation: self.operation,
            image: self.image.clone(),
            record: self.record.clone(),
            reason: self.reason.clone(),
            request_id: self.request_id.clone(),
            hint: self.hint.clone(),
            source: (!causes.is_empty()).then(|| causes.join(": ").into()),
        }
    }

    /// The same error, about `image`.
    #[must_use]
    pub fn on(mut self, image: &ImageId) -> Self {
        self.image = Some(image.clone());
        self
    }

    /// The same error, about the record of this image, of which only this could be read.
    #[must_use]
    pub fn of_record(mut self, record: Image) -> Self {
        self.image = Some(record.id.clone());
        self.record = Some(Box::new(record));
        self
    }

    /// The same error, with a remedy.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error, with the failure that led to it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<BodyError>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: cannot {}", self.store, self.operation)?;
        if let Some(image) = &self.image {
            write!(f, " of image {image}")?;
        }
        write!(f, ": {}", self.reason)?;
        if let Some(request) = &self.request_id {
            write!(f, " (request {request})")?;
        }
        Ok(())
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
