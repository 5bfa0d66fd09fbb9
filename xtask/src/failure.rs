//! Why a command gave up: one text for a person, built up from the inside out.

use std::fmt::{self, Display};

/// Why a command gave up.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    /// A failure that begins here.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what was being done when something failed.
pub(crate) trait Context<T> {
    /// Puts `what` before the cause, as in `cannot write nginx.conf: no space left`.
    fn context<W: Display>(self, what: impl FnOnce() -> W) -> Result<T, Failure>;
}

impl<T, E: Display> Context<T> for Result<T, E> {
    fn context<W: Display>(self, what: impl FnOnce() -> W) -> Result<T, Failure> {
        self.map_err(|cause| Failure(format!("{}: {cause}", what())))
    }
}
