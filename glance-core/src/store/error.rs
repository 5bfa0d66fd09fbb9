//! Errors of stores.

use std::error::Error;
use std::fmt;
use std::io;

use crate::error::{BodyError, one_line};
use crate::image::{Image, ImageId};
use crate::transport::TransportErrorKind;

/// The reason why a store operation failed.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
#[non_exhaustive]
pub struct StoreError {
    /// The kind of failure.
    pub kind: StoreErrorKind,
    /// The store, as its `Display` names it.
    pub store: String,
    /// The operation that failed, such as `create the record`.
    pub operation: &'static str,
    /// The image concerned.
    pub image: Option<ImageId>,
    /// The readable part of a record that cannot be read completely.
    pub record: Option<Box<Image>>,
    /// What the store reported, as a fragment of a sentence.
    pub reason: String,
    /// The server's id of the request, to be found in the server's logs.
    pub request_id: Option<String>,
    /// What the operator can do about it.
    pub hint: Option<String>,
    /// The underlying error.
    pub source: Option<BodyError>,
}

/// Kinds of [`StoreError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The image's status does not allow the operation.
    Conflict,
    /// The data given to an upload failed. The store is not at fault.
    Data,
    /// The credentials do not permit the operation, or the image is protected.
    Forbidden,
    /// The id is in use, maybe by an invisible image, or belonged to a deleted image.
    IdTaken,
    /// Another process is using the image or the store, and only one process at a time may.
    Locked,
    /// The store does not accept the request or the record.
    Invalid,
    /// A quota, a size limit or the disk is exhausted.
    LimitReached,
    /// The store cannot read parts of data.
    RangesUnsupported,
    /// No such image exists.
    NotFound,
    /// The range begins past the end of the data.
    Range,
    /// The credentials were refused during an upload and have been renewed since. The data was
    /// consumed; the same upload with a new body can succeed.
    CredentialsRenewed,
    /// The store examined the data and rejected it. No later upload to this record works.
    Rejected,
    /// The server failed. A retry can help.
    Server,
    /// No complete response arrived.
    Transport(TransportErrorKind),
    /// The credentials are invalid or have expired.
    Unauthenticated,
    /// The data or record that the store holds is damaged or cannot be interpreted.
    Unreadable,
}

impl StoreErrorKind {
    /// Whether the same operation may succeed later without any change by the operator.
    pub fn is_retryable(self) -> bool {
        match self {
            Self::Server | Self::CredentialsRenewed => true,
            Self::Transport(kind) => kind.is_retryable(),
            _ => false,
        }
    }
}

impl StoreErrorKind {
    /// The kind of an operation that failed with an I/O error.
    fn of_io(kind: io::ErrorKind) -> Self {
        use io::ErrorKind as Io;
        match kind {
            Io::AlreadyExists => Self::IdTaken,
            Io::FileTooLarge | Io::QuotaExceeded | Io::StorageFull => Self::LimitReached,
            Io::InvalidData | Io::UnexpectedEof => Self::Unreadable,
            Io::InvalidInput => Self::Invalid,
            Io::NotFound => Self::NotFound,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => Self::Forbidden,
            Io::Unsupported => Self::RangesUnsupported,
            _ => Self::Server,
        }
    }
}

impl StoreError {
    /// An error with the fields that every error has; the optional fields are empty.
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

    /// The error of an operation that failed with an I/O error. Its kind belongs to that of the I/O
    /// error; for example, a full disk is [`StoreErrorKind::LimitReached`].
    pub fn io(
        store: &(impl fmt::Display + ?Sized),
        operation: &'static str,
        error: io::Error,
    ) -> Self {
        let error = Self::from(error);
        Self { store: store.to_string(), operation, ..error }
    }

    /// A copy of the error, for another caller that waited for the same operation. The copy's
    /// source is the text of all causes.
    #[must_use]
    pub fn repeated(&self) -> Self {
        Self {
            image: self.image.clone(),
            record: self.record.clone(),
            request_id: self.request_id.clone(),
            hint: self.hint.clone(),
            source: self.source().map(|source| one_line(source).into()),
            ..Self::new(self.kind, &self.store, self.operation, self.reason.as_str())
        }
    }

    /// The same error, about `image`.
    #[must_use]
    pub fn on(mut self, image: &ImageId) -> Self {
        self.image = Some(image.clone());
        self
    }

    /// The same error, about the image of `record`, the readable part of a record.
    #[must_use]
    pub fn of_record(mut self, record: Image) -> Self {
        self.image = Some(record.id.clone());
        self.record = Some(Box::new(record));
        self
    }

    /// The same error, of another kind.
    #[must_use]
    pub fn of_kind(mut self, kind: StoreErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// The same error, with the server's id of the request.
    #[must_use]
    pub fn answered(mut self, request_id: Option<String>) -> Self {
        self.request_id = request_id;
        self
    }

    /// The same error, with a hint for the operator.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error, with its underlying error.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<BodyError>) -> Self {
        self.source = Some(source.into());
        self
    }

    fn text(&self) -> String {
        let image = self.image.iter().map(|image| format!(" of image {image}"));
        let request = self.request_id.iter().map(|request| format!(" (request {request})"));
        let (image, request): (String, String) = (image.collect(), request.collect());
        format!("{}: cannot {}{image}: {}{request}", self.store, self.operation, self.reason)
    }
}

/// For `?` in a store's own code. The store and the operation are not named: prefer
/// [`StoreError::io`] where they are known.
impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        let (kind, reason) = (StoreErrorKind::of_io(error.kind()), error.to_string());
        let other = Self::new(kind, &"the store", "read or write", reason);
        // The text of an error that only wraps another one is that of the other one.
        match error.into_inner() {
            Some(inner) => {
                Self { source: inner.source().map(|cause| one_line(cause).into()), ..other }
            }
            None => other,
        }
    }
}
