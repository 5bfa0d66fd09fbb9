//! In which order images are copied.

use std::cmp::Reverse;
use std::str::FromStr;

use glance_core::image::Image;

/// In which order the images are begun whose data is copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// In the order of their ids, as they are listed.
    #[default]
    Id,
    /// The smallest first.
    SmallestFirst,
    /// The largest first.
    LargestFirst,
}

impl Order {
    /// Puts what is about images in this order.
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
            _ => Err("write it as id, size (the smallest first), or size,desc".to_owned()),
        }
    }
}
