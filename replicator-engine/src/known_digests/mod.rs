//! What is known about digests without a read of the data.

mod digest_cache;
mod target_digests;

pub use digest_cache::{CachedDigests, DigestCache};
pub use target_digests::TargetDigests;
