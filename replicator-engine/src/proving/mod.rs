//! Proof that the target holds the source's data, and what is known about digests.

pub(crate) mod by_reading;
pub(crate) mod digest_cache;
pub(crate) mod target_digests;
pub(crate) mod verify;
