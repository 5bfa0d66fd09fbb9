//! What happens to images that only the target holds.

use crate::outcome::Removal;
use crate::policy::ErrorLimit;

/// How to treat images that this tool copied from the source and that the source no longer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prune {
    /// How each image is removed.
    pub how: Removal,
    /// The most images to remove. If there are more, none is removed.
    pub most: ErrorLimit,
    /// Whether to remove protected images, too.
    pub unprotect: bool,
}
