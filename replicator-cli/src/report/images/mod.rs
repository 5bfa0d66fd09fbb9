//! The reports of `ls`, `show` and `size`.

use serde_json::Value;

use crate::output::{NO_NAME, human_size};

mod list;
mod record;
mod size;

pub(crate) use list::ImageList;
pub(crate) use record::image;
pub(crate) use size::size;

/// A field or property as text.
fn text(name: &str, value: &Value) -> String {
    match value {
        Value::Null if name == "name" => NO_NAME.to_owned(),
        Value::String(text) if name == "name" && text.is_empty() => NO_NAME.to_owned(),
        Value::Null => "-".to_owned(),
        Value::Array(parts) if parts.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let parts: Vec<String> = parts.iter().map(|part| text(name, part)).collect();
            parts.join(", ")
        }
        other => match (name, other.as_u64()) {
            ("size" | "virtual_size", Some(bytes)) => human_size(bytes),
            _ => other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_image_without_a_name_has_none_in_words() {
        for (field, value, expected) in [
            ("name", Value::Null, "(no name)"),
            ("name", json!(""), "(no name)"),
            ("owner", Value::Null, "-"),
            ("os_distro", json!(""), ""),
        ] {
            assert_eq!(text(field, &value), expected, "{field} {value}");
        }
    }
}
