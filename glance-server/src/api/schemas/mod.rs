//! JSON schemas of records, members and metadata definitions. Clients validate requests against
//! them and derive command-line options from them.
//!
//! The schemas are equivalent to those of Glance 33, worded differently.

use serde_json::{Value, json};

mod definitions;
mod image;

/// The schema at `/v2/schemas/` followed by these segments.
pub(crate) fn find(segments: &[&str]) -> Option<Value> {
    Some(match segments {
        ["image"] => image::image(),
        ["images"] => page("images", &list(&image::image())),
        ["member"] => image::member(),
        ["members"] => image::members(),
        ["metadefs", kind] => definitions::find(kind)?,
        _ => return None,
    })
}

/// A page of items under the key `name`, with the links to further pages.
fn page(name: &str, several: &Value) -> Value {
    let text = json!({"type": "string"});
    json!({
        "name": name,
        "properties": {name: several, "first": text, "next": text, "schema": text},
        "links": [link("first", "{first}"), link("next", "{next}"), link("describedby", "{schema}")],
    })
}

fn list(items: &Value) -> Value {
    json!({"type": "array", "items": items})
}

fn link(relation: &str, target: &str) -> Value {
    json!({"rel": relation, "href": target})
}

/// A string that the server writes.
fn written(description: &str) -> Value {
    json!({"type": "string", "readOnly": true, "description": description})
}

/// A time that the server writes.
fn time(description: &str) -> Value {
    json!({"type": "string", "format": "date-time", "readOnly": true, "description": description})
}
