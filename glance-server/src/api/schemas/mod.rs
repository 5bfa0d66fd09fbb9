//! What records, members and metadata definitions look like, as JSON schemas: clients check what they
//! send by them, and make command-line options of them.
//!
//! They say what those of Glance 33 say, in other words.

use serde_json::{Value, json};

mod definitions;
mod image;

/// The schema at `/v2/schemas/` and these segments.
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

/// Several of the same, under the key that is their name, and the way to more of them.
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

/// A text that the server writes.
fn written(description: &str) -> Value {
    json!({"type": "string", "readOnly": true, "description": description})
}

/// A time that the server writes.
fn time(description: &str) -> Value {
    json!({"type": "string", "format": "date-time", "readOnly": true, "description": description})
}
