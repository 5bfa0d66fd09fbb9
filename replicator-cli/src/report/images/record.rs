//! The record of `show`.

use std::collections::BTreeMap;

use glance_core::image::{Image, Member};
use serde_json::{Value, json};

use super::text;
use crate::args::FIELDS;
use crate::output::JsonWriter;
use crate::terminal::{columns_of, fitted};

/// Prints the record of an image, and its members if they are known. `names_of_projects`: the known names of
/// projects, by id.
pub(crate) fn image(
    image: &Image,
    members: Option<&[Member]>,
    names_of_projects: &BTreeMap<String, String>,
) {
    let project = |id: &str| match names_of_projects.get(id) {
        Some(name) => format!("{id} ({name})"),
        None => id.to_owned(),
    };
    let record = image.to_json();
    let member = |one: &Member| json!({ "project": one.project, "status": one.status.as_str() });
    let listed = members.map(|all| all.iter().map(member).collect::<Vec<Value>>());
    let mut json = JsonWriter::to_results();
    json.field("image", &Value::Object(record.clone()));
    json.field("members", &json!(listed));
    json.finish();
    let properties = record.keys().map(String::as_str).filter(|name| !FIELDS.contains(name));
    let names: Vec<&str> = FIELDS.iter().copied().chain(properties).collect();
    let width = width_of(&names);
    let line =
        |name: &str, value: &str| out!("{} {value}", fitted(name, width.max(columns_of(name))));
    for name in names {
        let value = record.get(name).unwrap_or(&Value::Null);
        match (name, value.as_u64()) {
            ("size" | "virtual_size", Some(bytes)) => {
                line(name, &format!("{bytes} ({})", text(name, value)));
            }
            ("owner", _) => line(name, &project(&text(name, value))),
            _ => line(name, &text(name, value)),
        }
    }
    for member in members.into_iter().flatten() {
        line("member", &format!("{}, {}", project(&member.project), member.status.as_str()));
    }
}

/// The terminal columns that the names take. A longer name than [`WIDEST`] moves only its own value.
fn width_of(names: &[&str]) -> usize {
    let longest = names.iter().map(|name| columns_of(name)).max().unwrap_or_default();
    longest.clamp(NARROWEST, WIDEST)
}

/// The terminal columns for the names of a record without long ones.
const NARROWEST: usize = 18;

/// The most terminal columns for the names of a record.
const WIDEST: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_record_are_aligned() {
        assert_eq!(width_of(&["id", "os_hash_value"]), 18);
        assert_eq!(width_of(&["id", "glance_replicator.source_id"]), 27);
        assert_eq!(width_of(&["id", &"n".repeat(255)]), 40);
    }
}
