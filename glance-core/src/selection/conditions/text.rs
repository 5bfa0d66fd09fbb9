//! Parsing of conditions.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, Timestamp};

use regex::{Regex, RegexBuilder};

use crate::units::{InvalidByteCount, byte_count};

use super::{Condition, NamePattern};

/// A text that is not a condition, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidCondition(String);

impl From<InvalidByteCount> for InvalidCondition {
    fn from(error: InvalidByteCount) -> Self {
        Self(error.to_string())
    }
}

impl InvalidCondition {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// Compiles an operator's regular expression. The memory that this takes is limited.
pub(super) fn regex(text: &str) -> Result<Regex, InvalidCondition> {
    let mut pattern = RegexBuilder::new(text);
    let compiled = pattern.size_limit(LARGEST_REGEX).dfa_size_limit(LARGEST_REGEX).build();
    compiled.map_err(|error| InvalidCondition::new(error.to_string()))
}

/// Maximum bytes of a compiled expression. Building takes about four times as much.
const LARGEST_REGEX: usize = 4 << 20;

impl Condition {
    /// Parses a condition from its kind, such as `tag`, and its value.
    ///
    /// # Errors
    /// When the kind does not exist, or `value` is not valid for it.
    pub fn new(kind: &str, value: &str) -> Result<Self, InvalidCondition> {
        Ok(match kind {
            "image" => match value.parse() {
                Ok(id) => Self::Ids(BTreeSet::from([id])),
                Err(_) => {
                    Self::Name(NamePattern::glob(some(value, "the name of an image")?.as_str())?)
                }
            },
            "id" => Self::Ids(BTreeSet::from([parsed(value)?])),
            "name" => Self::Name(NamePattern::glob(value)?),
            "name-regex" => Self::Name(NamePattern::regex(value)?),
            "tag" => Self::Tag(value.to_owned()),
            "where" => property(value)?,
            "project" => Self::Project(some(value, "a project's id")?),
            "visibility" => Self::Visibility(parsed(value).map_err(|_| one_of(VISIBILITIES))?),
            "status" => Self::Status(parsed(value).map_err(|_| one_of(STATUSES))?),
            "disk-format" => Self::DiskFormat(some(value, "a format")?),
            "container-format" => Self::ContainerFormat(some(value, "a format")?),
            "min-size" => Self::MinSize(byte_count(value)?),
            "max-size" => Self::MaxSize(byte_count(value)?),
            "created-after" => Self::CreatedAfter(time(value)?),
            "created-before" => Self::CreatedBefore(time(value)?),
            "updated-after" => Self::UpdatedAfter(time(value)?),
            "updated-before" => Self::UpdatedBefore(time(value)?),
            "updated-within" => Self::UpdatedAfter(ago(value)?),
            "os-hidden" => Self::Hidden(flag(value)?),
            "protected" => Self::Protected(flag(value)?),
            _ => return Err(InvalidCondition(format!("{kind:?} is not a kind of condition"))),
        })
    }
}

impl FromStr for Condition {
    type Err = InvalidCondition;

    fn from_str(text: &str) -> Result<Self, InvalidCondition> {
        let (kind, value) = text.split_once('=').ok_or_else(|| {
            InvalidCondition(format!("{text:?} is not a condition; write KIND=VALUE"))
        })?;
        let kind = kind.trim();
        Self::new(kind, value).map_err(|InvalidCondition(reason)| {
            InvalidCondition(format!("{reason} (in {kind}={value})"))
        })
    }
}

/// Parses the time in a field of a record. Times without a time zone, as in old records, are UTC.
pub fn instant(text: &str) -> Option<Timestamp> {
    let in_utc = || TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    text.parse().ok().or_else(in_utc)
}

fn parsed<T: FromStr<Err: Display>>(value: &str) -> Result<T, InvalidCondition> {
    value.parse().map_err(|error: T::Err| InvalidCondition(error.to_string()))
}

fn one_of(values: &str) -> InvalidCondition {
    InvalidCondition(format!("use one of {values}"))
}

fn some(value: &str, what: &str) -> Result<String, InvalidCondition> {
    match value {
        "" => Err(InvalidCondition(format!("{what} must not be empty"))),
        _ => Ok(value.to_owned()),
    }
}

fn property(text: &str) -> Result<Condition, InvalidCondition> {
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (key, Some(value.to_owned())),
        None => (text, None),
    };
    Ok(Condition::Property { key: property_key(key)?, value })
}

/// Checks that `key` is the key of a property and not of another field of the record.
pub(super) fn property_key(key: &str) -> Result<String, InvalidCondition> {
    if key.is_empty() {
        return Err(InvalidCondition::new("the name of the property is missing"));
    }
    match OTHER_KINDS.iter().find(|(field, _)| *field == key) {
        None => Ok(key.to_owned()),
        Some((_, kind)) => Err(InvalidCondition(format!("{key:?} is not a property; use {kind}"))),
    }
}

fn time(text: &str) -> Result<Timestamp, InvalidCondition> {
    instant(text).ok_or_else(|| {
        let forms = "2026-01-31, 2026-01-31T12:00:00Z or 2026-01-31T12:00:00+01:00";
        InvalidCondition(format!("{text:?} is not a date or time; write {forms}"))
    })
}

/// The time that lies the duration `text` before now.
fn ago(text: &str) -> Result<Timestamp, InvalidCondition> {
    let wrong = || InvalidCondition(format!("{text:?} is not a duration; write 12h, 7d or 2w"));
    let span: Span = text.parse().map_err(|_| wrong())?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    match duration.is_positive() {
        true => Timestamp::now().checked_sub(duration).map_err(|_| wrong()),
        false => Err(wrong()),
    }
}

fn flag(text: &str) -> Result<bool, InvalidCondition> {
    text.parse().map_err(|_| InvalidCondition(format!("{text:?} is neither true nor false")))
}

const VISIBILITIES: &str = "public, community, shared and private";

/// The statuses that can occur in a listing.
const STATUSES: &str =
    "active, deactivated, queued, saving, uploading, importing, killed and pending_delete";

/// Fields of a record that are not properties, with the conditions for them.
const OTHER_KINDS: &[(&str, &str)] = &[
    ("container_format", "container-format"),
    ("created_at", "created-after or created-before"),
    ("disk_format", "disk-format"),
    ("id", "id"),
    ("name", "name"),
    ("os_hidden", "os-hidden"),
    ("owner", "project"),
    ("protected", "protected"),
    ("size", "min-size or max-size"),
    ("status", "status"),
    ("tag", "tag"),
    ("tags", "tag"),
    ("updated_at", "updated-after or updated-before"),
    ("visibility", "visibility"),
];
