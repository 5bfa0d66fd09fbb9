//! The record of `show`.

use glance_core::image::{Image, Member};
use serde_json::{Value, json};

use super::text;
use crate::args::FIELDS;
use crate::output::JsonWriter;

/// Prints the record of an image, and its members if they are known.
pub(crate) fn image(image: &Image, members: Option<&[Member]>) {
    let record = image.to_json();
    let member = |one: &Member| json!({ "project": one.project, "status": one.status.as_str() });
    let listed = members.map(|all| all.iter().map(member).collect::<Vec<Value>>());
    let mut json = JsonWriter::to_results();
    json.field("image", &Value::Object(record.clone()));
    json.field("members", &json!(listed));
    json.finish();
    let properties = record.keys().map(String::as_str).filter(|name| !FIELDS.contains(name));
    for name in FIELDS.iter().copied().chain(properties) {
        let value = record.get(name).unwrap_or(&Value::Null);
        match (name, value.as_u64()) {
            ("size" | "virtual_size", Some(bytes)) => {
                line(name, &format!("{bytes} ({})", text(name, value)));
            }
            _ => line(name, &text(name, value)),
        }
    }
    for Member { project, status, .. } in members.into_iter().flatten() {
        line("member", &format!("{project} ({})", status.as_str()));
    }
}

fn line(name: &str, value: &str) {
    out!("{name:18} {value}");
}
