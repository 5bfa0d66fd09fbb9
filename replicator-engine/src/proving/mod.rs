//! Proof that the target holds the source's data.

pub(crate) mod by_reading;
pub(crate) mod verify;
