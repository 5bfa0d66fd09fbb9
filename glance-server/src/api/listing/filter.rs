//! The filters of a listing, with Glance's semantics (`_make_conditions_from_filters` in
//! `glance/db/sqlalchemy/api.py`).

use std::collections::BTreeSet;

use glance_core::image::{Image, Visibility};
use glance_core::selection::Selection;
use jiff::Timestamp;

use super::field_text;
use crate::api::answer::Refusal;

/// The conditions that listed images meet.
#[derive(Debug, Default)]
pub(super) struct Filters {
    visibility: Option<String>,
    hidden: bool,
    others: Vec<Filter>,
}

#[derive(Debug)]
enum Filter {
    Tag(String),
    /// A field or property that equals this text.
    Is(String, String),
    In(String, Vec<String>),
    AtLeast(String, i64),
    AtMost(String, i64),
    /// A time field, a comparison, and the time to compare it with.
    Time(String, Comparison, Timestamp),
}

type Comparison = fn(&Timestamp, &Timestamp) -> bool;

impl Filters {
    /// Adds one parameter of the query.
    pub(super) fn take(&mut self, key: &str, value: String) -> Result<(), Refusal> {
        match key {
            "visibility" => {
                if value != "all" && value.parse::<Visibility>().is_err() {
                    return Err(Refusal::invalid(format!("Invalid visibility value: {value}")));
                }
                self.visibility = Some(value);
            }
            "os_hidden" => self.hidden = flag(key, &value.to_ascii_lowercase())?,
            _ => self.others.push(Filter::parse(key, value)?),
        }
        Ok(())
    }

    /// Selects the images with the requested ids, or all images.
    pub(super) fn selection(&self) -> Selection {
        let ids = self.others.iter().find_map(|filter| match filter {
            Filter::In(key, ids) if key == "id" => Some(ids),
            _ => None,
        });
        match ids {
            None => Selection::everything(),
            Some(ids) => Selection::of_ids(
                ids.iter().filter_map(|id| id.parse().ok()).collect::<BTreeSet<_>>(),
            ),
        }
    }

    pub(super) fn admit(&self, image: &Image) -> bool {
        let visible = match self.visibility.as_deref() {
            Some("all") => true,
            Some(one) => image.attributes.visibility.as_str() == one,
            None => image.attributes.visibility != Visibility::Community,
        };
        visible
            && image.attributes.os_hidden == self.hidden
            && self.others.iter().all(|filter| filter.matches(image))
    }
}

impl Filter {
    fn parse(key: &str, value: String) -> Result<Self, Refusal> {
        Ok(match key {
            "tag" => Self::Tag(value.trim().to_owned()),
            "protected" => Self::Is(key.to_owned(), flag(key, &value)?.to_string()),
            "created_at" | "updated_at" => time(key, &value)?,
            "name" | "id" | "status" | "container_format" | "disk_format" => {
                match value.split_once(':') {
                    None => Self::Is(key.to_owned(), value),
                    Some(("eq", value)) => Self::Is(key.to_owned(), value.to_owned()),
                    Some(("in", list)) => Self::In(key.to_owned(), listed(list)?),
                    Some((operator, _)) => {
                        let reason = format!("Unable to filter by unknown operator '{operator}'.");
                        return Err(Refusal::invalid(reason));
                    }
                }
            }
            _ => match (key.strip_suffix("_min"), key.strip_suffix("_max")) {
                (Some(field), _) => Self::AtLeast(number_field(field)?, number(&value)?),
                (_, Some(field)) => Self::AtMost(number_field(field)?, number(&value)?),
                _ => Self::Is(key.to_owned(), value),
            },
        })
    }

    fn matches(&self, image: &Image) -> bool {
        let number = |field: &str| field_text(image, field)?.parse::<i64>().ok();
        match self {
            Self::Tag(tag) => image.attributes.tags.contains(tag),
            Self::Is(key, value) => field_text(image, key).is_some_and(|found| found == *value),
            Self::In(key, values) => {
                field_text(image, key).is_some_and(|found| values.contains(&found))
            }
            Self::AtLeast(field, least) => number(field).is_some_and(|found| found >= *least),
            Self::AtMost(field, most) => number(field).is_some_and(|found| found <= *most),
            Self::Time(field, compare, time) => field_text(image, field)
                .and_then(|found| found.parse().ok())
                .is_some_and(|found| compare(&found, time)),
        }
    }
}

fn flag(key: &str, value: &str) -> Result<bool, Refusal> {
    value.parse().map_err(|_| {
        let reason = format!("Invalid value '{value}' for '{key}' filter.");
        Refusal::invalid(format!("{reason} Valid values are 'true' or 'false'."))
    })
}

/// Checks that a field is numeric. Glance itself fails on a range of any other field.
fn number_field(field: &str) -> Result<String, Refusal> {
    match ["size", "virtual_size", "min_disk", "min_ram"].contains(&field) {
        true => Ok(field.to_owned()),
        false => Err(Refusal::invalid(format!("Unable to filter on a range of {field}."))),
    }
}

fn number(value: &str) -> Result<i64, Refusal> {
    let wrong = |_| Refusal::invalid("Unable to filter on a range with a non-numeric value.");
    value.parse().map_err(wrong)
}

/// Parses a time filter with an optional operator, such as `gte:`.
fn time(field: &str, value: &str) -> Result<Filter, Refusal> {
    let malformed = || {
        let reason = format!("Bad \"{field}\" query filter format.");
        Refusal::invalid(format!("{reason} Use ISO 8601 DateTime notation."))
    };
    // The time itself contains colons, so only a prefix of letters is an operator.
    let (operator, time) = match value.split_once(':') {
        Some((word, time)) if word.bytes().all(|byte| byte.is_ascii_alphabetic()) => (word, time),
        _ => ("eq", value),
    };
    let compare: Comparison = match operator {
        "gt" => Timestamp::gt,
        "gte" => Timestamp::ge,
        "lt" => Timestamp::lt,
        "lte" => Timestamp::le,
        "eq" => Timestamp::eq,
        "neq" => Timestamp::ne,
        _ => return Err(Refusal::invalid("Unable to filter on a unknown operator.")),
    };
    let zoned = |time: &str| time.parse().or_else(|_| format!("{time}Z").parse());
    let time = zoned(time).map_err(|_: jiff::Error| malformed())?;
    Ok(Filter::Time(field.to_owned(), compare, time))
}

/// Splits a comma-separated list. A quoted word may contain commas.
fn listed(list: &str) -> Result<Vec<String>, Refusal> {
    let mut words = Vec::new();
    let mut rest = Some(list);
    while let Some(text) = rest {
        let (word, after) = match text.strip_prefix('"') {
            Some(quoted) => {
                let unclosed = || Refusal::invalid("The quote is not closed.");
                let (word, after) = quoted.split_once('"').ok_or_else(unclosed)?;
                let after = match after.split_at_checked(1) {
                    None => None,
                    Some((",", after)) => Some(after),
                    Some(_) => return Err(Refusal::invalid("There is no comma after the quote.")),
                };
                (word, after)
            }
            None => match text.split_once(',') {
                Some((word, after)) => (word, Some(after)),
                None => (text, None),
            },
        };
        words.push(word.to_owned());
        rest = after;
    }
    Ok(words)
}
