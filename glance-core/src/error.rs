//! The error of a body, and the chain of causes of any error.

use std::error::Error;

/// What goes wrong while a body passes.
pub type BodyError = Box<dyn Error + Send + Sync>;

/// The error and its causes, outermost first.
pub fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}
