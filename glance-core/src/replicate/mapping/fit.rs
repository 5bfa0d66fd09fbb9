//! Whether a target takes a record, before a byte moves.

use crate::image::Attributes;

/// What a Glance takes as a record: by its own limits, and by the schema of its site.
#[derive(Debug, Clone, Default)]
pub struct Fit {}

/// What a Glance would refuse of a record, and what the operator can do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// What and where, a sentence without its full stop.
    pub reason: String,
    /// The remedy.
    pub hint: String,
}

impl Fit {
    /// Whether the target takes the record.
    ///
    /// # Errors
    /// What it would refuse of it.
    pub fn check(&self, _attributes: &Attributes) -> Result<(), Misfit> {
        Ok(())
    }
}
