//! What is known of data, and how it is proven.

pub(crate) mod by_reading;
pub(crate) mod digest_cache;
pub(crate) mod target_digests;
pub(crate) mod verify;
