//! What happens to images that only the target holds.

use std::fmt;

use async_trait::async_trait;
use glance_core::image::ImageId;

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

/// The removals that a run is about to carry out at one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removals {
    /// The target, as its store names itself.
    pub target: String,
    /// How each image is removed.
    pub how: Removal,
    /// Ids and names of the images. There is at least one.
    pub images: Vec<(ImageId, String)>,
}

/// Decides whether the removals of a run are carried out.
#[async_trait]
pub trait Approval: fmt::Debug + Send + Sync {
    /// Whether the removals may be carried out. A run asks once for each target, when all images are
    /// copied and everything else permits the removals. Several targets may ask at the same time.
    async fn approves(&self, removals: Removals) -> bool;
}
