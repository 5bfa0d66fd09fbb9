//! Limits that are given as a number or as a part.

use std::str::FromStr;

/// A limit to a number of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Most {
    /// So many.
    Images(u64),
    /// So many of a hundred.
    Percent(u8),
}

impl Most {
    /// The limit, of so many images in all.
    pub(crate) fn of(self, images: u64) -> u64 {
        match self {
            Self::Images(most) => most,
            Self::Percent(percent) => images.saturating_mul(percent.into()) / 100,
        }
    }
}

impl FromStr for Most {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |_| "write it as a number of images, or as a percentage such as 10%".to_owned();
        match text.strip_suffix('%') {
            None => text.parse().map(Self::Images).map_err(wrong),
            Some(percent) => match percent.parse().map_err(wrong)? {
                percent if percent <= 100 => Ok(Self::Percent(percent)),
                _ => Err("there is no more than 100%".to_owned()),
            },
        }
    }
}
