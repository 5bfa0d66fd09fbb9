//! Validates what clients write into a record.

use glance_core::image::Attributes;
use http::StatusCode;
use serde_json::Value;

use crate::api::answer::Refusal;

/// Rejects a key that only Glance itself may write.
pub(crate) fn refuse_reserved(key: &str) -> Result<(), Refusal> {
    if READ_ONLY.contains(&key) {
        return Err(Refusal::forbidden(format!("Attribute '{key}' is read-only.")));
    }
    if RESERVED.contains(&key) || key.starts_with("os_glance") {
        return Err(Refusal::forbidden(format!("Attribute '{key}' is reserved.")));
    }
    Ok(())
}

/// Rejects a value that the schema does not allow. The remaining rules are checked when the record
/// is parsed.
pub(crate) fn check_value(key: &str, value: &Value) -> Result<(), Refusal> {
    if is_beyond_the_database(key) || texts(value).any(is_beyond_the_database) {
        return Err(Refusal::invalid("Can't contain 4 byte unicode characters."));
    }
    let one_of =
        |known: &[&str], value: &Value| value.as_str().is_some_and(|it| known.contains(&it));
    let short = |value: &Value| value.as_str().is_some_and(|text| text.chars().count() <= 255);
    let fits = match key {
        "name" | "owner" => value.is_null() || short(value),
        "tags" => value.as_array().is_some_and(|tags| tags.iter().all(short)),
        "protected" | "os_hidden" => value.is_boolean(),
        "min_disk" | "min_ram" => value.is_u64(),
        "disk_format" => value.is_null() || one_of(DISK_FORMATS, value),
        "container_format" => value.is_null() || one_of(CONTAINER_FORMATS, value),
        _ if BASE.contains(&key) => true,
        _ => value.is_string() && key.chars().count() <= 255,
    };
    let refusal =
        || Refusal::invalid(format!("Provided object does not match schema 'image': {key}"));
    fits.then_some(()).ok_or_else(refusal)
}

/// Glance rejects characters that `MySQL`'s `utf8` cannot hold, whatever its database.
fn is_beyond_the_database(text: &str) -> bool {
    text.chars().any(|char| char.len_utf8() > 3)
}

/// The value if it is a string, or the strings in a list.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let list = value.as_array().into_iter().flatten();
    value.as_str().into_iter().chain(list.filter_map(Value::as_str))
}

/// Rejects more properties or tags than Glance accepts.
pub(crate) fn check_quotas(attributes: &Attributes) -> Result<(), Refusal> {
    if attributes.properties.len().max(attributes.tags.len()) > QUOTA {
        let text = format!("More than {QUOTA} properties or tags");
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text));
    }
    Ok(())
}

/// Keys that a client may write and that are not custom properties.
pub(crate) const BASE: &[&str] = &[
    "id",
    "name",
    "owner",
    "visibility",
    "protected",
    "os_hidden",
    "disk_format",
    "container_format",
    "min_disk",
    "min_ram",
    "tags",
];

/// Keys that only Glance writes.
pub(crate) const READ_ONLY: &[&str] = &[
    "status",
    "size",
    "virtual_size",
    "checksum",
    "created_at",
    "updated_at",
    "self",
    "file",
    "schema",
    "stores",
    "direct_url",
    "locations",
];

/// Keys of the v1 API, which must not be written.
const RESERVED: &[&str] = &["location", "deleted", "deleted_at"];

/// Maximum number of properties, and of tags, per image.
const QUOTA: usize = 128;

/// The formats that Glance accepts by default (`glance/common/config.py` of Glance 33).
pub(crate) const DISK_FORMATS: &[&str] =
    &["ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"];
pub(crate) const CONTAINER_FORMATS: &[&str] =
    &["ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"];
