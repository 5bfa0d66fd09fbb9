//! The error type of bodies.

use std::error::Error;

/// An error that occurs while a body is being read.
pub type BodyError = Box<dyn Error + Send + Sync>;
