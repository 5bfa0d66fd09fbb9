//! A limit given as a number or as a percentage.

use std::str::FromStr;

/// A limit on a number of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorLimit {
    /// An absolute number of images.
    Images(u64),
    /// A percentage of all images, 0 to 100.
    Percent(u8),
}

impl ErrorLimit {
    /// The limit as a number, for `images` images in all. A percentage above 0 is at least one
    /// image.
    pub(crate) fn of(self, images: u64) -> u64 {
        match self {
            Self::Images(most) => most,
            Self::Percent(0) => 0,
            Self::Percent(percent) => (images.saturating_mul(percent.into()) / 100).max(1),
        }
    }
}

impl FromStr for ErrorLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            |_| "write the limit as a number of images, or as a percentage such as 10%".to_owned();
        match text.strip_suffix('%') {
            None => text.parse().map(Self::Images).map_err(wrong),
            Some(percent) => match percent.parse().map_err(wrong)? {
                percent if percent <= 100 => Ok(Self::Percent(percent)),
                _ => Err("a percentage is at most 100%".to_owned()),
            },
        }
    }
}
