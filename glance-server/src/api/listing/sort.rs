//! The order of a listing, with Glance's semantics (`_get_sorting_params` in
//! `glance/api/v2/images.py`, `image_get_all` in `glance/db/sqlalchemy/api.py`).

use std::cmp::Reverse;

use glance_core::image::Image;

use super::field_text;
use crate::api::answer::Refusal;

/// The fields to sort by, the most significant first.
#[derive(Debug, Default)]
pub(super) struct Order(Vec<(Field, Direction)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

type Field = &'static str;

/// One component of an image's sort key.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Up(Value),
    Down(Reverse<Value>),
}

/// A value to sort by. Missing values sort first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    Number(Option<u64>),
    Text(Option<String>),
}

impl Order {
    /// Parses the order from the parameters of a query: `sort=KEY[:DIRECTION],...`, or `sort_key`s
    /// with either one `sort_dir` or as many as there are keys.
    pub(super) fn parse(given: &[(String, String)]) -> Result<Self, Refusal> {
        let all = |name: &'static str| {
            given.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
        };
        let (keys, directions): (Vec<&str>, Vec<&str>) = match all("sort").next() {
            None => (all("sort_key").collect(), all("sort_dir").collect()),
            Some(_) if all("sort_key").chain(all("sort_dir")).next().is_some() => {
                return Err(Refusal::invalid("Old and new sorting syntax cannot be combined"));
            }
            Some(sort) => {
                sort.split(',').map(|one| one.split_once(':').unwrap_or((one, DESC))).unzip()
            }
        };
        let keys: Vec<Field> = keys.into_iter().map(field).collect::<Result<_, _>>()?;
        let directions: Vec<Direction> =
            directions.into_iter().map(direction).collect::<Result<_, _>>()?;
        Self::of(keys, &directions)
    }

    fn of(mut keys: Vec<Field>, directions: &[Direction]) -> Result<Self, Refusal> {
        if keys.is_empty() {
            keys.push("created_at");
        }
        // A single direction applies to all keys, including those added here.
        let usual = match directions {
            [one] => *one,
            _ => Direction::Down,
        };
        if directions.len() > 1 && directions.len() != keys.len() {
            return Err(Refusal::invalid(
                "Number of sort dirs does not match the number of sort keys",
            ));
        }
        let mut order: Vec<(Field, Direction)> = Vec::new();
        let directions = directions.iter().copied().chain(std::iter::repeat(usual));
        order.extend(keys.into_iter().zip(directions));
        for field in ["created_at", "id"] {
            if order.iter().all(|(known, _)| *known != field) {
                order.push((field, usual));
            }
        }
        Ok(Self(order))
    }

    /// Whether this is the order in which stores list images.
    pub(super) fn is_by_id(&self) -> bool {
        self.0.first() == Some(&("id", Direction::Up))
    }

    pub(super) fn key(&self, image: &Image) -> Vec<Part> {
        let part = |(field, direction): &(Field, Direction)| {
            let value = match *field {
                "size" => Value::Number(image.size),
                field => Value::Text(field_text(image, field)),
            };
            match direction {
                Direction::Up => Part::Up(value),
                Direction::Down => Part::Down(Reverse(value)),
            }
        };
        self.0.iter().map(part).collect()
    }
}

fn field(text: &str) -> Result<Field, Refusal> {
    let known = SORTABLE.iter().find(|known| **known == text).copied();
    known.ok_or_else(|| {
        let known = SORTABLE.join(", ");
        Refusal::invalid(format!(
            "Invalid sort key: {text}. It must be one of the following: {known}."
        ))
    })
}

fn direction(text: &str) -> Result<Direction, Refusal> {
    match text {
        "asc" => Ok(Direction::Up),
        DESC => Ok(Direction::Down),
        _ => Err(Refusal::invalid(format!("Invalid sort direction: {text}"))),
    }
}

const SORTABLE: [Field; 8] =
    ["name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at"];

const DESC: &str = "desc";
