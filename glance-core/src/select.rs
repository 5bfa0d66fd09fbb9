//! Which images are meant.

use crate::image::Image;

/// Which images are meant: by default, all of them. Cloning it is cheap.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Selection {
    property: Option<(String, String)>,
}

impl Selection {
    /// All images.
    pub fn everything() -> Self {
        Self::default()
    }

    /// The same, of images whose property `key` is `value`.
    #[must_use]
    pub fn with_property(self, key: &str, value: &str) -> Self {
        Self { property: Some((key.to_owned(), value.to_owned())) }
    }

    /// Whether it is sure to admit every image.
    pub fn is_everything(&self) -> bool {
        self.property.is_none()
    }

    /// Whether `image` is meant.
    pub fn admits(&self, image: &Image) -> bool {
        let has =
            |(key, value): &(String, String)| image.attributes.properties.get(key) == Some(value);
        self.property.as_ref().is_none_or(has)
    }
}
