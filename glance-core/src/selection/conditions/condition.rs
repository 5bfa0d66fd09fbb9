//! Single conditions on an image.

use std::collections::BTreeSet;
use std::fmt;
use std::mem::discriminant;

use jiff::Timestamp;

use super::text::{InvalidCondition, instant, regex};
use crate::image::{Image, ImageId, Status, Visibility};

/// A condition on an image. Its text form is `KIND=VALUE`, such as `name=debian-*`. The kind `image`
/// is `id` if its value is an id, and `name` otherwise.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Condition {
    /// `id`: the image's id is one of these.
    Ids(BTreeSet<ImageId>),
    /// `name`, `name-regex`: the image's name matches. An image without a name never matches.
    Name(NamePattern),
    /// `tag`: the image has this tag.
    Tag(String),
    /// `where`: the image has this property, with this value if one is given.
    Property {
        /// The property's key, or a field of the record that has no condition of its own.
        key: String,
        /// The complete value; `None` for any value.
        value: Option<String>,
    },
    /// `project`: the project with this id owns the image.
    Project(String),
    /// `visibility`: the image has this visibility.
    Visibility(Visibility),
    /// `status`: the image has this status.
    Status(Status),
    /// `disk-format`: the image has this disk format.
    DiskFormat(String),
    /// `container-format`: the image has this container format.
    ContainerFormat(String),
    /// `min-size`: the image has at least this many bytes of data.
    MinSize(u64),
    /// `max-size`: the image has at most this many bytes of data.
    MaxSize(u64),
    /// `created-after`: the image was created at this time or later.
    CreatedAfter(Timestamp),
    /// `created-before`: the image was created before this time.
    CreatedBefore(Timestamp),
    /// `updated-after`, `updated-within`: the record was last changed at this time or later.
    UpdatedAfter(Timestamp),
    /// `updated-before`: the record was last changed before this time.
    UpdatedBefore(Timestamp),
    /// `os-hidden`: whether the image is hidden from default listings.
    Hidden(bool),
    /// `protected`: whether the image is protected from deletion.
    Protected(bool),
}

impl Condition {
    /// Whether `image` fulfils the condition. An image whose record lacks the field does not.
    pub fn holds(&self, image: &Image) -> bool {
        let attributes = &image.attributes;
        let is = |field: &Option<String>, wanted: &String| field.as_ref() == Some(wanted);
        let since = |field: &Option<String>, start: &Timestamp| {
            field.as_deref().and_then(instant).is_some_and(|time| time >= *start)
        };
        let before = |field: &Option<String>, end: &Timestamp| {
            field.as_deref().and_then(instant).is_some_and(|time| time < *end)
        };
        match self {
            Self::Ids(ids) => ids.contains(&image.id),
            Self::Name(pattern) => {
                attributes.name.as_deref().is_some_and(|name| pattern.matches(name))
            }
            Self::Tag(tag) => attributes.tags.contains(tag),
            Self::Property { key, value } => property(image, key)
                .is_some_and(|found| value.as_ref().is_none_or(|value| *value == found)),
            Self::Project(id) => attributes.owner.project() == Some(id),
            Self::Visibility(visibility) => attributes.visibility == *visibility,
            Self::Status(status) => image.status == *status,
            Self::DiskFormat(format) => is(&attributes.disk_format, format),
            Self::ContainerFormat(format) => is(&attributes.container_format, format),
            Self::MinSize(least) => image.size.is_some_and(|size| size >= *least),
            Self::MaxSize(most) => image.size.is_some_and(|size| size <= *most),
            Self::CreatedAfter(start) => since(&image.created_at, start),
            Self::CreatedBefore(end) => before(&image.created_at, end),
            Self::UpdatedAfter(start) => since(&image.updated_at, start),
            Self::UpdatedBefore(end) => before(&image.updated_at, end),
            Self::Hidden(hidden) => attributes.os_hidden == *hidden,
            Self::Protected(protected) => attributes.protected == *protected,
        }
    }

    /// Whether both conditions test the same field. Each property counts as its own field.
    pub(super) fn is_of_kind(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Property { key, .. }, Self::Property { key: other, .. }) => key == other,
            _ => discriminant(self) == discriminant(other),
        }
    }
}

/// The value of a property, or of a record field that has no condition of its own.
fn property(image: &Image, key: &str) -> Option<String> {
    match key {
        "checksum" => image.checksum.clone(),
        "os_hash_algo" => image.os_hash_algo.clone(),
        "os_hash_value" => image.os_hash_value.clone(),
        "virtual_size" => image.virtual_size.map(|size| size.to_string()),
        "min_disk" => Some(image.attributes.min_disk.to_string()),
        "min_ram" => Some(image.attributes.min_ram.to_string()),
        _ => image.attributes.properties.get(key).cloned(),
    }
}

/// A pattern for image names.
#[derive(Debug, Clone)]
pub struct NamePattern(Pattern);

#[derive(Debug, Clone)]
enum Pattern {
    Exactly(String),
    Glob(glob::Pattern),
    Regex(regex::Regex),
}

impl NamePattern {
    /// A glob pattern for the complete name, with `*`, `?`, `[a-z]` and `[!a-z]`. The pattern also
    /// matches a name that is the same text.
    pub fn glob(text: &str) -> Result<Self, InvalidCondition> {
        if !text.contains(['*', '?', '[']) {
            return Ok(Self::exact(text));
        }
        let pattern = glob::Pattern::new(text);
        pattern.map(|pattern| Self(Pattern::Glob(pattern))).map_err(|error| {
            InvalidCondition::new(format!("{error}, at character {} of {text:?}", error.pos + 1))
        })
    }

    /// The pattern that matches only this name.
    pub fn exact(name: &str) -> Self {
        Self(Pattern::Exactly(name.to_owned()))
    }

    /// A regular expression that must match a part of the name.
    pub fn regex(text: &str) -> Result<Self, InvalidCondition> {
        regex(text).map(|regex| Self(Pattern::Regex(regex)))
    }

    /// The name, if the pattern matches only one.
    pub fn exactly(&self) -> Option<&str> {
        match &self.0 {
            Pattern::Exactly(name) => Some(name),
            Pattern::Glob(_) | Pattern::Regex(_) => None,
        }
    }

    fn matches(&self, name: &str) -> bool {
        match &self.0 {
            Pattern::Exactly(only) => name == only,
            Pattern::Glob(pattern) => pattern.as_str() == name || pattern.matches(name),
            Pattern::Regex(regex) => regex.is_match(name),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ids(ids) => match ids.iter().next() {
                Some(id) if ids.len() == 1 => write!(f, "id={id}"),
                _ => write!(f, "id=({} ids)", ids.len()),
            },
            Self::Name(NamePattern(Pattern::Exactly(name))) => write!(f, "name={name}"),
            Self::Name(NamePattern(Pattern::Glob(pattern))) => write!(f, "name={pattern}"),
            Self::Name(NamePattern(Pattern::Regex(regex))) => write!(f, "name-regex={regex}"),
            Self::Tag(tag) => write!(f, "tag={tag}"),
            Self::Property { key, value: None } => write!(f, "where={key}"),
            Self::Property { key, value: Some(value) } => write!(f, "where={key}={value}"),
            Self::Project(id) => write!(f, "project={id}"),
            Self::Visibility(visibility) => write!(f, "visibility={visibility}"),
            Self::Status(status) => write!(f, "status={status}"),
            Self::DiskFormat(format) => write!(f, "disk-format={format}"),
            Self::ContainerFormat(format) => write!(f, "container-format={format}"),
            Self::MinSize(bytes) => write!(f, "min-size={bytes}"),
            Self::MaxSize(bytes) => write!(f, "max-size={bytes}"),
            Self::CreatedAfter(time) => write!(f, "created-after={time}"),
            Self::CreatedBefore(time) => write!(f, "created-before={time}"),
            Self::UpdatedAfter(time) => write!(f, "updated-after={time}"),
            Self::UpdatedBefore(time) => write!(f, "updated-before={time}"),
            Self::Hidden(hidden) => write!(f, "os-hidden={hidden}"),
            Self::Protected(protected) => write!(f, "protected={protected}"),
        }
    }
}
