//! Records of the old glance-replicator: one image of the v1 API in a file named by its id.
//!
//! Values may be strings ("True", "0") in old or hand-made records; nulls among the properties are
//! left out, and keys that mean something else in v2 get the prefix `v1.`.

use std::collections::BTreeMap;

use glance_core::image::{Attributes, Visibility};
use glance_core::{Image, ImageId};
use serde_json::{Map, Value};

/// Understands a v1 record. None for an image that was deleted.
pub(crate) fn image(id: &ImageId, record: &Map<String, Value>) -> Option<Image> {
    if flag(record, "deleted") {
        return None;
    }
    let mut attributes = Attributes {
        name: text(record, "name"),
        owner: text(record, "owner"),
        visibility: match flag(record, "is_public") {
            true => Visibility::Public,
            false => Visibility::Private,
        },
        protected: flag(record, "protected"),
        disk_format: text(record, "disk_format"),
        container_format: text(record, "container_format"),
        min_disk: number(record, "min_disk").unwrap_or(0),
        min_ram: number(record, "min_ram").unwrap_or(0),
        properties: properties(record),
        ..Attributes::default()
    };
    agree_on_amazon_format(&mut attributes);
    let mut image = Image::queued(id.clone(), attributes);
    image.status = text(record, "status").and_then(|status| status.parse().ok())?;
    image.size = number(record, "size");
    image.checksum = text(record, "checksum");
    image.created_at = text(record, "created_at");
    image.updated_at = text(record, "updated_at");
    Some(image)
}

/// Whether a record is one of the v1 API.
pub(crate) fn is_record(record: &Map<String, Value>) -> bool {
    record.contains_key("is_public")
        || record.contains_key("properties")
        || !record.contains_key("visibility")
}

fn properties(record: &Map<String, Value>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    if let Some(Value::Object(properties)) = record.get("properties") {
        for (key, value) in properties {
            let empty_kernel =
                matches!(key.as_str(), "kernel_id" | "ramdisk_id") && value.as_str() == Some("");
            if value.is_null() || empty_kernel || key.starts_with("os_glance") {
                continue;
            }
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let key = match BASE_FIELDS.contains(&key.as_str()) {
                true => format!("v1.{key}"),
                false => key.clone(),
            };
            found.insert(key, value);
        }
    }
    found
}

/// Amazon's formats come in pairs; v1 copied the one that was given to the other.
fn agree_on_amazon_format(attributes: &mut Attributes) {
    let amazon = |format: &Option<String>| {
        format.clone().filter(|format| ["aki", "ari", "ami"].contains(&format.as_str()))
    };
    let disk = amazon(&attributes.disk_format);
    let container = amazon(&attributes.container_format);
    if let Some(format) = disk.or(container) {
        attributes.disk_format = Some(format.clone());
        attributes.container_format = Some(format);
    }
}

fn text(record: &Map<String, Value>, key: &str) -> Option<String> {
    record.get(key)?.as_str().map(str::to_owned).filter(|text| text != "None")
}

fn number(record: &Map<String, Value>, key: &str) -> Option<u64> {
    match record.get(key)? {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    }
}

fn flag(record: &Map<String, Value>, key: &str) -> bool {
    match record.get(key) {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true") || text == "1",
        Some(Value::Number(number)) => number.as_u64() == Some(1),
        _ => false,
    }
}

/// Names that a custom property can't have in v2.
const BASE_FIELDS: &[&str] = &[
    "checksum",
    "container_format",
    "created_at",
    "deleted",
    "deleted_at",
    "direct_url",
    "disk_format",
    "file",
    "id",
    "location",
    "locations",
    "min_disk",
    "min_ram",
    "name",
    "os_hash_algo",
    "os_hash_value",
    "os_hidden",
    "owner",
    "protected",
    "schema",
    "self",
    "size",
    "status",
    "stores",
    "tags",
    "updated_at",
    "virtual_size",
    "visibility",
];
