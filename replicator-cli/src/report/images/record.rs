//! The record of `show`.

use glance_core::image::{Image, Member};
use serde_json::{Value, json};

use super::text;
use crate::args::{FIELDS, Output};

/// Prints the record of an image, and its members if they are known.
pub(crate) fn image(output: Output, image: &Image, members: Option<&[Member]>) {
    let record = image.to_json();
    let members: Option<Vec<(&str, &str)>> = members.map(|members| {
        members.iter().map(|member| (&*member.project, member.status.as_str())).collect()
    });
    if output == Output::Json {
        let member =
            |(project, status): &(&str, &str)| json!({"project": project, "status": status});
        let members: Option<Vec<Value>> = members.map(|all| all.iter().map(member).collect());
        out_json!("{:#}", json!({ "image": record, "members": members }));
        return;
    }
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
    for (project, status) in members.into_iter().flatten() {
        line("member", &format!("{project} ({status})"));
    }
}

fn line(name: &str, value: &str) {
    out!("{name:18} {value}");
}
