//! The error type of bodies, and the chain of causes of any error.

use std::error::Error;

/// An error that occurs while a body is being read.
pub type BodyError = Box<dyn Error + Send + Sync>;

/// The error and its causes, outermost first.
pub fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}
