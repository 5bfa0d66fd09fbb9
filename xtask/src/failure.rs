//! The reason for a command's failure: one text for people, built from the inside out.

use std::fmt::{self, Display};

/// The reason for a command's failure.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    /// A failure without a cause.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Adds to an error what the program was doing.
pub(crate) trait Context<T> {
    /// Puts `what` in front of the cause, as in `cannot write nginx.conf: no space left`.
    fn context<W: Display>(self, what: impl FnOnce() -> W) -> Result<T, Failure>;
}

impl<T, E: Display> Context<T> for Result<T, E> {
    fn context<W: Display>(self, what: impl FnOnce() -> W) -> Result<T, Failure> {
        self.map_err(|cause| Failure(format!("{}: {cause}", what())))
    }
}
