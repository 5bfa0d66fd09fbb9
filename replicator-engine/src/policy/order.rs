//! The order in which images are copied.

use std::cmp::Reverse;
use std::str::FromStr;

use glance_core::image::Image;

/// The order in which images with data to copy are started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// By id, as the stores list them.
    #[default]
    Id,
    /// Smallest first.
    SmallestFirst,
    /// Largest first.
    LargestFirst,
}

impl Order {
    /// Sorts `all` by the image of each element. Images of the same size are ordered by id.
    pub(crate) fn sort<T>(self, all: &mut [T], image: impl Fn(&T) -> &Image) {
        let size = |one: &T| image(one).size.unwrap_or(0);
        all.sort_by(|one, other| image(one).id.cmp(&image(other).id));
        match self {
            Self::Id => {}
            Self::SmallestFirst => all.sort_by_key(size),
            Self::LargestFirst => all.sort_by_key(|one| Reverse(size(one))),
        }
    }
}

impl FromStr for Order {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "id" => Ok(Self::Id),
            "size" | "size,asc" => Ok(Self::SmallestFirst),
            "size,desc" => Ok(Self::LargestFirst),
            _ => Err("write the order as id, size (the smallest first), or size,desc".to_owned()),
        }
    }
}
