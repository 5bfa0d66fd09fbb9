//! The error type of bodies, and the walk along an error's chain of causes.

use std::error::Error;
use std::io;
use std::iter::successors;

/// An error that occurs while a body is being read.
pub type BodyError = Box<dyn Error + Send + Sync>;

/// The error and its causes, outermost first.
///
/// ```
/// use glance_core::error::causes;
/// use glance_core::store::{StoreError, StoreErrorKind};
/// use std::io;
///
/// let full = io::Error::from(io::ErrorKind::StorageFull);
/// let kind = StoreErrorKind::LimitReached;
/// let error = StoreError::new(kind, &"a store", "write the data", "it is full").caused_by(full);
/// assert!(causes(&error).any(|cause| cause.is::<io::Error>()));
/// ```
pub fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |&error| error.source())
}

/// As [`causes`], with each error inside an [`io::Error`], which [`source`](Error::source) skips.
///
/// ```
/// use glance_core::error::{all_causes, causes};
/// use glance_core::store::{StoreError, StoreErrorKind};
/// use std::io;
///
/// let full = StoreError::new(StoreErrorKind::LimitReached, &"a store", "write", "it is full");
/// let error = io::Error::other(full);
/// assert!(!causes(&error).any(|cause| cause.is::<StoreError>()));
/// assert!(all_causes(&error).any(|cause| cause.is::<StoreError>()));
/// ```
pub fn all_causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |&error| match error.downcast_ref().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner as &(dyn Error + 'static)),
        None => error.source(),
    })
}

/// The messages of the error and its causes in one line, outermost first, separated by colons.
pub fn one_line(error: &(dyn Error + 'static)) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The error of a body as that of an I/O operation.
pub(crate) fn io_error(error: BodyError) -> io::Error {
    match error.downcast::<io::Error>() {
        Ok(error) => *error,
        Err(other) => io::Error::other(other),
    }
}
