//! Changes to a record in Glance's two dialects of JSON patch.

use glance_core::image::{Attributes, Image, Status};
use serde_json::{Map, Value};

use crate::api::answer::Refusal;
use crate::api::rules::{BASE, check_value, refuse_reserved};

/// The dialect of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// `{"add": "/key", "value": ...}`, as in draft 4 of JSON patch.
    V2_0,
    /// `{"op": "add", "path": "/key", "value": ...}`, as in draft 10.
    V2_1,
}

impl Syntax {
    /// The dialect with this media type.
    pub(crate) fn of(media_type: &[u8]) -> Option<Self> {
        let name = media_type.split(|byte| *byte == b';').next()?.trim_ascii();
        match name {
            b"application/openstack-images-v2.0-json-patch" => Some(Self::V2_0),
            b"application/openstack-images-v2.1-json-patch" => Some(Self::V2_1),
            _ => None,
        }
    }
}

/// One change.
#[derive(Debug, PartialEq)]
pub(crate) struct Change {
    key: String,
    what: What,
}

#[derive(Debug, PartialEq)]
enum What {
    /// Adds a key that does not exist yet.
    AddNew(Value),
    Add(Value),
    Replace(Value),
    Remove,
}

impl Change {
    /// Parses a list of changes.
    pub(crate) fn parse_all(body: Value, syntax: Syntax) -> Result<Vec<Self>, Refusal> {
        let Value::Array(changes) = body else {
            return Err(Refusal::invalid(
                "Request body must be a JSON array of operation objects.",
            ));
        };
        changes.into_iter().map(|change| Self::parse(change, syntax)).collect()
    }

    fn parse(mut change: Value, syntax: Syntax) -> Result<Self, Refusal> {
        let value = change.get_mut("value").map(Value::take);
        let (op, path) = match syntax {
            Syntax::V2_0 => operation_by_member(&change)?,
            Syntax::V2_1 => operation_by_name(&change)?,
        };
        let needed =
            || Refusal::invalid(format!("Operation \"{op}\" requires a member \"value\"."));
        let what = match (op, syntax) {
            ("add", Syntax::V2_0) => What::AddNew(value.ok_or_else(needed)?),
            ("add", Syntax::V2_1) => What::Add(value.ok_or_else(needed)?),
            ("replace", _) => What::Replace(value.ok_or_else(needed)?),
            ("remove", _) => What::Remove,
            _ => {
                let text = format!("Invalid operation: `{op}`. It must be one of {OPERATIONS:?}.");
                return Err(Refusal::invalid(text));
            }
        };
        Ok(Self { key: unescape(path)?, what })
    }
}

fn operation_by_member(change: &Value) -> Result<(&str, &str), Refusal> {
    let mut found = OPERATIONS.iter().filter_map(|op| Some((*op, change.get(*op)?.as_str()?)));
    match (found.next(), found.next()) {
        (Some(operation), None) => Ok(operation),
        _ => Err(Refusal::invalid(format!(
            "Operation objects must contain exactly one member of {OPERATIONS:?}."
        ))),
    }
}

fn operation_by_name(change: &Value) -> Result<(&str, &str), Refusal> {
    let text = |key| change.get(key).and_then(Value::as_str);
    text("op").zip(text("path")).ok_or_else(|| {
        Refusal::invalid("Operations must be JSON objects with \"op\" and \"path\".")
    })
}

/// Returns the attributes of `current` after all changes, or the first refusal.
pub(crate) fn apply(current: &Image, changes: Vec<Change>) -> Result<Attributes, Refusal> {
    let mut record = current.attributes.to_json();
    for change in changes {
        check(current, &record, &change)?;
        match change.what {
            What::AddNew(value) | What::Add(value) | What::Replace(value) => {
                record.insert(change.key, value)
            }
            What::Remove => record.remove(&change.key),
        };
    }
    record.insert("id".into(), current.id.as_str().into());
    record.insert("status".into(), current.status.as_str().into());
    Ok(Image::from_json(record)?.attributes)
}

fn check(current: &Image, record: &Map<String, Value>, change: &Change) -> Result<(), Refusal> {
    let Change { key, what } = change;
    refuse_reserved(key)?;
    let is_fact = matches!(key.as_str(), "id" | "os_hash_algo" | "os_hash_value");
    let is_format = matches!(key.as_str(), "disk_format" | "container_format");
    if is_fact || (is_format && current.status != Status::Queued) {
        return Err(Refusal::forbidden(format!("Attribute '{key}' is read-only.")));
    }
    if *what == What::Remove && BASE.contains(&key.as_str()) {
        return Err(Refusal::forbidden(format!("Property {key} may not be removed.")));
    }
    let is_there = record.contains_key(key) || BASE.contains(&key.as_str());
    match what {
        What::AddNew(_) if is_there => {
            return Err(Refusal::conflict(format!("Property {key} already present.")));
        }
        What::Replace(_) | What::Remove if !is_there => {
            return Err(Refusal::conflict(format!("Property {key} does not exist.")));
        }
        _ => {}
    }
    match what {
        What::AddNew(value) | What::Add(value) | What::Replace(value) => check_value(key, value),
        What::Remove => Ok(()),
    }
}

/// The key in a JSON pointer that has a single part.
fn unescape(pointer: &str) -> Result<String, Refusal> {
    let malformed = || {
        Refusal::invalid(format!(
            "Pointer `{pointer}` does not begin with \"/\" or has more than one part."
        ))
    };
    let part =
        pointer.strip_prefix('/').filter(|part| !part.contains('/')).ok_or_else(malformed)?;
    // Glance trims the part, so a key with surrounding blanks cannot be changed.
    let part = part.trim();
    let escapes = part.matches('~').count();
    if escapes != part.matches("~0").count() + part.matches("~1").count() {
        return Err(malformed());
    }
    Ok(part.replace("~1", "/").replace("~0", "~"))
}

const OPERATIONS: [&str; 3] = ["add", "remove", "replace"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_unescaped_once() {
        assert_eq!(unescape("/a~1b~01").ok().as_deref(), Some("a/b~1"));
        assert!(unescape("/a/b").is_err());
        assert!(unescape("/a~2").is_err());
    }
}
