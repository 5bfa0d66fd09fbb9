//! The newest images of each group.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use futures_util::StreamExt;
use jiff::Timestamp;
use regex::Regex;

use super::text::{instant, property_key};
use super::{InvalidCondition, Selection};
use crate::image::{Image, ImageId};
use crate::store::{ImageStore, StoreError};

/// Leaves only the newest images of each group, by `created_at`. Images that belong to no group
/// and images without data do not count.
///
/// Its text form is `KEY` or `KEY=N`, where a key is `name`, `/REGEX/` or a property.
#[derive(Debug, Clone)]
pub struct Latest {
    key: Key,
    count: NonZeroUsize,
}

/// What the images of a group have in common.
#[derive(Debug, Clone)]
enum Key {
    Name,
    /// What the first group of the expression, or all of it, matches in the name.
    PartOfName(Regex),
    Property(String),
}

impl Latest {
    /// Lists what `selection` admits in `store`, in any shard, and selects the newest of it. Memory
    /// holds the ids of the newest of each group.
    ///
    /// # Errors
    /// When the store can't be listed.
    pub async fn of(
        &self,
        selection: &Selection,
        store: &dyn ImageStore,
    ) -> Result<Selection, StoreError> {
        let mut groups = Groups::default();
        let mut images = store.list(&selection.in_shard(None)).await?;
        let mut unreadable = BTreeSet::new();
        while let Some(item) = images.next().await {
            match item {
                Ok(image) => groups.take(image, self),
                // It may be one of the newest. The listing of the selection says what is wrong.
                Err(error) => match &error.record {
                    Some(read) => drop(unreadable.insert(read.id.clone())),
                    None => return Err(error),
                },
            }
        }
        let mut ids = groups.ids();
        ids.extend(unreadable);
        Ok(selection.among(ids))
    }
}

/// The newest images of each group, so far.
#[derive(Default)]
struct Groups(BTreeMap<String, BTreeSet<(Timestamp, ImageId)>>);

impl Groups {
    fn take(&mut self, image: Image, latest: &Latest) {
        let Some(group) = latest.key.group(&image).filter(|_| image.status.has_data()) else {
            return;
        };
        let created = image.created_at.as_deref().and_then(instant);
        let newest = self.0.entry(group).or_default();
        newest.insert((created.unwrap_or(Timestamp::MIN), image.id));
        if newest.len() > latest.count.get() {
            newest.pop_first();
        }
    }

    fn ids(self) -> BTreeSet<ImageId> {
        self.0.into_values().flatten().map(|(_, id)| id).collect()
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
                let wrong = |_| InvalidCondition::new(format!("{count:?} is no number from 1 on"));
                (key, count.parse().map_err(wrong)?)
            }
        };
        let regex = key.strip_prefix('/').and_then(|key| key.strip_suffix('/'));
        let key = match (key, regex) {
            (_, Some(regex)) => Key::PartOfName(
                Regex::new(regex).map_err(|error| InvalidCondition::new(error.to_string()))?,
            ),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Attributes, Status};

    /// Which of these images, by name, property `os`, and day of creation, are the newest.
    fn newest(key: &str, images: &[(&str, &str, u8)]) -> Vec<u8> {
        let latest: Latest = key.parse().unwrap();
        let mut groups = Groups::default();
        let mut days = BTreeMap::new();
        for (name, os, day) in images {
            let mut attributes =
                Attributes { name: Some((*name).to_owned()), ..Default::default() };
            if !os.is_empty() {
                attributes.properties.insert("os".to_owned(), (*os).to_owned());
            }
            let mut image = Image::queued(ImageId::random(), attributes);
            image.status = if *day > 20 { Status::Queued } else { Status::Active };
            image.created_at = Some(format!("2026-01-{day:02}T00:00:00Z"));
            days.insert(image.id.clone(), *day);
            groups.take(image, &latest);
        }
        let mut found: Vec<u8> = groups.ids().iter().map(|id| days[id]).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn the_newest_of_each_group_stay() {
        let images = [
            ("debian-12-20260101", "debian", 1),
            ("debian-12-20260107", "debian", 7),
            ("debian-13-20260103", "debian", 3),
            ("debian-13-20260103", "", 4),
            ("ubuntu-24-20260102", "ubuntu", 2),
            // Without data.
            ("ubuntu-24-20260128", "ubuntu", 28),
        ];
        assert_eq!(newest("os", &images), [2, 7]);
        assert_eq!(newest("os=2", &images), [2, 3, 7]);
        assert_eq!(newest("name", &images), [1, 2, 4, 7]);
        assert_eq!(newest(r"/^([a-z]+-\d+)-\d{8}$/", &images), [2, 4, 7]);
        assert_eq!(newest("/^debian/=2", &images), [4, 7]);
        assert!(newest("unknown", &images).is_empty());
    }
}
