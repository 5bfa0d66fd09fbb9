//! Which images are meant.

use crate::image::Image;

/// Which images are meant: by default, all of them. Cloning it is cheap.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Selection {}

impl Selection {
    /// All images.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Whether it is sure to admit every image.
    pub fn is_everything(&self) -> bool {
        true
    }

    /// Whether `image` is meant.
    pub fn admits(&self, _image: &Image) -> bool {
        true
    }
}
