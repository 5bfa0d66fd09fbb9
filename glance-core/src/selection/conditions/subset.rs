//! Selection of the images whose data a verification reads.

use std::str::FromStr;

use crate::units::byte_count;

/// A part of a store's images, for verifying a store in several runs.
///
/// Text form: `all`, `2/5`, `10%` or `5G` (k, M, G and T are powers of 1024).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Subset {
    /// Every image.
    #[default]
    All,
    /// Part `number` of `of` parts, from 1. An image is always in the same part, so that `of` runs
    /// cover all images.
    Part {
        /// The number of the part, from 1.
        number: u64,
        /// The number of parts.
        of: u64,
    },
    /// This percentage of the images, chosen at random; at least one image.
    Percent(f64),
    /// Whole images with at most this many bytes in total, chosen at random; at least one image.
    Bytes(u64),
}

/// A text that is not a [`Subset`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a subset; write all, 2/5, 10% or 5G")]
pub struct InvalidSubset(String);

impl FromStr for Subset {
    type Err = InvalidSubset;

    fn from_str(text: &str) -> Result<Self, InvalidSubset> {
        let parsed = if text == "all" {
            Some(Self::All)
        } else if let Some((number, of)) = text.split_once('/') {
            let (number, of) = (number.parse().ok(), of.parse().ok());
            let part = number.zip(of).filter(|(number, of)| (1..=*of).contains(number));
            part.map(|(number, of)| Self::Part { number, of })
        } else if let Some(percent) = text.strip_suffix('%') {
            let percent = percent.parse().ok();
            percent.filter(|it: &f64| *it > 0.0 && *it <= 100.0).map(Self::Percent)
        } else {
            byte_count(text).ok().filter(|bytes| *bytes > 0).map(Self::Bytes)
        };
        parsed.ok_or_else(|| InvalidSubset(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subset_is_read_or_refused() {
        let good = [
            ("all", Subset::All),
            ("1/1", Subset::Part { number: 1, of: 1 }),
            ("5/5", Subset::Part { number: 5, of: 5 }),
            ("10%", Subset::Percent(10.0)),
            ("0.5%", Subset::Percent(0.5)),
            ("7", Subset::Bytes(7)),
            ("2k", Subset::Bytes(2048)),
            ("5G", Subset::Bytes(5 << 30)),
        ];
        for (text, subset) in good {
            assert_eq!(text.parse(), Ok(subset), "{text}");
        }
        for text in ["", "0/5", "6/5", "1/0", "x", "0%", "101%", "nan%", "0", "5X", "-1", "G", "5€"]
        {
            assert!(text.parse::<Subset>().is_err(), "{text}");
        }
    }
}
