//! What happens to images that only the target holds.

use std::fmt;

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

/// How an image is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// The image is hidden from default listings.
    Hide,
    /// The image is deactivated: only administrators can still use it.
    Deactivate,
    /// The image is deleted; Glance never frees its id.
    Delete,
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hide => "hidden",
            Self::Deactivate => "deactivated",
            Self::Delete => "deleted",
        })
    }
}
