//! The errors of stores in directories: what an I/O error means, and why a record refuses a change.

use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::path::Path;

use glance_core::StoreError;
use glance_core::image::ImageId;
use glance_core::store::StoreErrorKind;

use crate::dir::{Dir, Refused};

/// Turns an I/O error of the file `name` in `dir` into a store error.
pub fn failed(
    store: &dyn Display,
    operation: &'static str,
    dir: &Dir,
    name: &str,
    error: io::Error,
) -> StoreError {
    let failure = |kind, reason: String| StoreError::new(kind, store, operation, reason);
    if let Some(refused) = Refused::of(&error) {
        let reason = format!("{name} {}", refused.predicate());
        return failure(StoreErrorKind::Unreadable, reason).hint(refused.hint());
    }
    if error.kind() == ErrorKind::NotFound && dir.is_gone() {
        let reason = "the directory is gone".to_owned();
        return failure(StoreErrorKind::Invalid, reason).caused_by(error);
    }
    let kind = kind_of(&error);
    let failure = failure(kind, format!("the file {name} failed")).caused_by(error);
    match kind {
        StoreErrorKind::LimitReached => failure.hint("free space, then run the command again"),
        _ => failure,
    }
}

/// Turns an I/O error of the store's directory into a store error.
pub fn directory_failed(
    store: &dyn Display,
    operation: &'static str,
    error: io::Error,
) -> StoreError {
    let failure = StoreError::new(kind_of(&error), store, operation, "the directory failed");
    failure.caused_by(error)
}

/// Opens the directory of a store for reading; `None` if there is no such directory.
///
/// # Errors
/// When the directory cannot be opened.
pub fn existing(
    store: &dyn Display,
    operation: &'static str,
    path: &Path,
) -> Result<Option<Dir>, StoreError> {
    match Dir::open(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        opened => opened.map(Some).map_err(|error| directory_failed(store, operation, error)),
    }
}

/// The kind of an I/O error, by what another run or the operator can do about it. File permissions
/// do not count as authentication.
fn kind_of(error: &io::Error) -> StoreErrorKind {
    match error.kind() {
        _ if is_full(error) => StoreErrorKind::LimitReached,
        ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::NotADirectory
        | ErrorKind::AlreadyExists
        | ErrorKind::Unsupported => StoreErrorKind::Invalid,
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => StoreErrorKind::Unreadable,
        _ => StoreErrorKind::Server,
    }
}

/// Whether the error means that the disk, a quota or the file size limit is exhausted.
pub fn is_full(error: &io::Error) -> bool {
    use ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// The reason why a record does not permit an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The kind of the store error.
    pub kind: StoreErrorKind,
    /// The reason, as a fragment of a sentence.
    pub reason: String,
}

impl Refusal {
    /// A refusal of this kind.
    pub fn new(kind: StoreErrorKind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into() }
    }

    /// The error of the store whose operation on the image `id` is refused.
    pub fn error(self, store: &dyn Display, operation: &'static str, id: &ImageId) -> StoreError {
        StoreError::new(self.kind, store, operation, self.reason).on(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_errors_are_distinguished() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open(place.path()).unwrap();
        let rows = [
            (ErrorKind::StorageFull, StoreErrorKind::LimitReached),
            (ErrorKind::QuotaExceeded, StoreErrorKind::LimitReached),
            (ErrorKind::PermissionDenied, StoreErrorKind::Invalid),
            (ErrorKind::ReadOnlyFilesystem, StoreErrorKind::Invalid),
        ];
        for (found, meant) in rows {
            let error = failed(&"dir:x", "store the data", &dir, "y.img", found.into());
            assert_eq!(error.kind, meant);
            assert_eq!(error.reason, "the file y.img failed");
        }
    }
}
