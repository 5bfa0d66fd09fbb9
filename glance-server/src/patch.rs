//! Changes to a record, written as Glance's JSON patch.

use glance_core::image::{Attributes, Image, Status};
use serde_json::{Map, Value};

use crate::answer::Refusal;
use crate::records::{BASE, check_value, refuse_reserved};

/// One change.
#[derive(Debug, PartialEq)]
pub(crate) struct Change {
    key: String,
    what: What,
}

#[derive(Debug, PartialEq)]
enum What {
    Add(Value),
    Replace(Value),
    Remove,
}

impl Change {
    /// Reads a list of changes.
    pub(crate) fn parse_all(body: Value) -> Result<Vec<Self>, Refusal> {
        let Value::Array(changes) = body else {
            return Err(Refusal::invalid(
                "Request body must be a JSON array of operation objects.",
            ));
        };
        changes.into_iter().map(Self::parse).collect()
    }

    fn parse(mut change: Value) -> Result<Self, Refusal> {
        let value = change.get_mut("value").map(Value::take);
        let text = |key| change.get(key).and_then(Value::as_str);
        let (Some(op), Some(path)) = (text("op"), text("path")) else {
            return Err(Refusal::invalid("Operations must be JSON objects with 'op' and 'path'."));
        };
        let needed = || Refusal::invalid(format!("Operation '{op}' requires a member 'value'."));
        let what = match op {
            "add" => What::Add(value.ok_or_else(needed)?),
            "replace" => What::Replace(value.ok_or_else(needed)?),
            "remove" => What::Remove,
            _ => return Err(Refusal::invalid(format!("Operations must not be '{op}'."))),
        };
        Ok(Self { key: unescape(path)?, what })
    }
}

/// The attributes of `current` after all changes, or the first refusal.
pub(crate) fn apply(current: &Image, changes: Vec<Change>) -> Result<Attributes, Refusal> {
    let mut record = current.attributes.to_json();
    for change in changes {
        check(current, &record, &change)?;
        match change.what {
            What::Add(value) | What::Replace(value) => record.insert(change.key, value),
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
    if !matches!(what, What::Add(_)) && !record.contains_key(key) {
        return Err(Refusal::conflict(format!("Property {key} does not exist.")));
    }
    match what {
        What::Add(value) | What::Replace(value) => check_value(key, value),
        What::Remove => Ok(()),
    }
}

/// The key that a pointer of one part means.
fn unescape(pointer: &str) -> Result<String, Refusal> {
    let malformed = || {
        Refusal::invalid(format!(
            "Pointer `{pointer}` does not begin with \"/\" or has more than one part."
        ))
    };
    let part =
        pointer.strip_prefix('/').filter(|part| !part.contains('/')).ok_or_else(malformed)?;
    // Glance strips the blanks around it, so a key that has some can't be changed.
    let part = part.trim();
    let escapes = part.matches('~').count();
    if escapes != part.matches("~0").count() + part.matches("~1").count() {
        return Err(malformed());
    }
    Ok(part.replace("~1", "/").replace("~0", "~"))
}

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
