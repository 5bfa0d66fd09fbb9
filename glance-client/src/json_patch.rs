//! The fields that are written to a Glance record, and the JSON patch for changing them.

use serde_json::{Map, Value, json};

use glance_core::image::Attributes;

/// The attributes for a POST. Absent fields are omitted, so that the server sets them, and reserved
/// fields are dropped. A null owner is sent explicitly; otherwise the caller would become the
/// owner.
pub(super) fn writable(attributes: &Attributes) -> Map<String, Value> {
    let mut record = attributes.to_json();
    record.retain(|key, value| key == "owner" || (!is_reserved(key) && !value.is_null()));
    record
}

/// The JSON patch that turns `current` into `wanted`; empty if nothing differs. An unspecified
/// owner and absent formats are left unchanged, because Glance cannot remove base fields.
pub(super) fn changes(current: &Attributes, wanted: &Attributes) -> Vec<Value> {
    let (current_json, wanted_json) = (current.to_json(), wanted.to_json());
    let mut changes = Vec::new();
    for (key, value) in &wanted_json {
        let optional = matches!(key.as_str(), "disk_format" | "container_format");
        if is_reserved(key) || (optional && value.is_null()) || current_json.get(key) == Some(value)
        {
            continue;
        }
        // `add` also replaces a value and, unlike `replace`, does not require the property to
        // exist.
        let op = if wanted.properties.contains_key(key) { "add" } else { "replace" };
        changes.push(json!({ "op": op, "path": pointer(key), "value": value }));
    }
    for key in current.properties.keys() {
        if !is_reserved(key) && !wanted.properties.contains_key(key) {
            changes.push(json!({ "op": "remove", "path": pointer(key) }));
        }
    }
    changes
}

/// Glance's own properties. They stay in the record of every imported image and can be neither set
/// nor removed (403).
fn is_reserved(key: &str) -> bool {
    key.starts_with("os_glance")
}

/// The JSON pointer (RFC 6901) to a top-level key.
fn pointer(key: &str) -> String {
    format!("/{}", key.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(properties: &[(&str, &str)]) -> Attributes {
        let pairs = properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Attributes { properties: pairs.collect(), ..Attributes::default() }
    }

    #[test]
    fn only_what_differs_is_written_and_pointers_are_escaped() {
        let current = attributes(&[("same", "1"), ("gone", "1"), ("os_glance_x", "1")]);
        let mut wanted = attributes(&[("same", "1"), ("a/b~c", "2")]);
        wanted.protected = true;
        assert_eq!(
            Value::Array(changes(&current, &wanted)),
            json!([
                { "op": "add", "path": "/a~1b~0c", "value": "2" },
                { "op": "replace", "path": "/protected", "value": true },
                { "op": "remove", "path": "/gone" },
            ])
        );
    }

    #[test]
    fn nothing_is_written_when_nothing_differs() {
        assert!(changes(&attributes(&[("a", "")]), &attributes(&[("a", "")])).is_empty());
    }
}
