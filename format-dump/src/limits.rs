//! The limit on how much of a dump, or of a stream, is held in memory at once.

/// Maximum bytes of a record, of the manifest, and of all projects and metadata definitions
/// together.
pub(crate) const LONGEST: u64 = 16 << 20;
