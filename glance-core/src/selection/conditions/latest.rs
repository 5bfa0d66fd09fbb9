//! Selection of the newest images of each group.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use regex::Regex;

use super::InvalidCondition;
use super::text::{property_key, regex};
use crate::image::Image;

/// Selects the newest images of each group, by `created_at`. Images that belong to no group and
/// images without data are ignored.
///
/// Its text form is `KEY` or `KEY=N`, where the key is `name`, `/REGEX/` or a property and N is the
/// number of images of each group.
#[derive(Debug, Clone)]
pub struct Latest {
    key: Key,
    count: NonZeroUsize,
}

/// The value that the images of a group have in common.
#[derive(Debug, Clone)]
enum Key {
    Name,
    /// The part of the name that the expression's first group matches, or that the whole expression
    /// matches if it has no group.
    PartOfName(Regex),
    Property(String),
}

impl Latest {
    /// The group of the image; `None` for an image that belongs to no group or has no data.
    pub fn group_of(&self, image: &Image) -> Option<String> {
        self.key.group(image).filter(|_| image.status.has_data())
    }

    /// The number of images of each group that are selected.
    pub fn count(&self) -> usize {
        self.count.get()
    }
}

impl Key {
    fn group(&self, image: &Image) -> Option<String> {
        let name = image.attributes.name.as_deref();
        match self {
            Self::Name => name.map(str::to_owned),
            Self::PartOfName(regex) => {
                let found = regex.captures(name?)?;
                found.get(1).or(found.get(0)).map(|part| part.as_str().to_owned())
            }
            Self::Property(key) => image.attributes.properties.get(key).cloned(),
        }
    }
}

impl FromStr for Latest {
    type Err = InvalidCondition;

    fn from_str(text: &str) -> Result<Self, InvalidCondition> {
        let is_regex_only = text.len() > 1 && text.starts_with('/') && text.ends_with('/');
        let (key, count) = match text.rsplit_once('=').filter(|_| !is_regex_only) {
            None => (text, NonZeroUsize::MIN),
            Some((key, count)) => {
                let wrong =
                    |_| InvalidCondition::new(format!("{count:?} is not a number of at least 1"));
                (key, count.parse().map_err(wrong)?)
            }
        };
        let pattern = key.strip_prefix('/').and_then(|key| key.strip_suffix('/'));
        let key = match (key, pattern) {
            (_, Some(pattern)) => Key::PartOfName(regex(pattern)?),
            ("name", _) => Key::Name,
            (key, _) => Key::Property(property_key(key)?),
        };
        Ok(Self { key, count })
    }
}

impl fmt::Display for Latest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Key::Name => write!(f, "name={}", self.count),
            Key::PartOfName(regex) => write!(f, "/{regex}/={}", self.count),
            Key::Property(key) => write!(f, "{key}={}", self.count),
        }
    }
}
