//! Images and their members.

use serde_json::{Map, Value, json};

use super::{link, list, written};
use crate::api::rules::{CONTAINER_FORMATS, DISK_FORMATS};

pub(super) fn image() -> Value {
    let mut properties = Map::new();
    for part in [attributes(), facts(), links()] {
        properties.extend(part.as_object().cloned().unwrap_or_default());
    }
    json!({
        "name": "image",
        "properties": properties,
        "additionalProperties": {"type": "string"},
        "links": [link("self", "{self}"), link("enclosure", "{file}"), link("describedby", "{schema}")],
    })
}

/// The fields that clients may write.
fn attributes() -> Value {
    json!({
        "id": {"type": "string", "pattern": UUID, "description": "The image's id, a UUID"},
        "name": {"type": ["null", "string"], "maxLength": 255, "description": "The image's name"},
        "visibility": {
            "type": "string",
            "enum": ["community", "public", "private", "shared"],
            "description": "Who can see the image",
        },
        "protected": {"type": "boolean", "description": "Whether the image cannot be deleted"},
        "os_hidden": {"type": "boolean", "description": "Whether default listings leave it out"},
        "owner": {"type": ["null", "string"], "maxLength": 255, "description": "The owning project"},
        "container_format": format(CONTAINER_FORMATS, "The format of the container"),
        "disk_format": format(DISK_FORMATS, "The format of the disk"),
        "tags": {
            "type": "array",
            "items": {"type": "string", "maxLength": 255},
            "description": "Words that belong to the image",
        },
        "min_ram": {"type": "integer", "description": "MiB of memory that an instance needs"},
        "min_disk": {"type": "integer", "description": "GiB of disk that an instance needs"},
    })
}

/// The fields that the server reports about the data and the record.
fn facts() -> Value {
    let digest = |length: u32, description: &str| {
        json!({
            "type": ["null", "string"], "readOnly": true, "maxLength": length,
            "description": description,
        })
    };
    let bytes = |description: &str| json!({"type": ["null", "integer"], "readOnly": true, "description": description});
    json!({
        "status": {
            "type": "string", "readOnly": true, "enum": STATUSES,
            "description": "Where the image is in its life",
        },
        "checksum": digest(32, "The MD5 of the data"),
        "os_hash_algo": digest(64, "The algorithm of os_hash_value"),
        "os_hash_value": digest(128, "The digest of the data by os_hash_algo, in hexadecimal"),
        "size": bytes("Bytes of data"),
        "virtual_size": bytes("Bytes that the data has as a disk"),
        "created_at": written("When the record was made"),
        "updated_at": written("When the record changed last"),
    })
}

/// The links to the image and the locations of its data.
fn links() -> Value {
    let location = json!({
        "type": "object",
        "properties": {
            "url": {"type": "string", "maxLength": 255},
            "metadata": {"type": "object"},
            "validation_data": {
                "type": "object",
                "writeOnly": true,
                "additionalProperties": false,
                "properties": {
                    "checksum": {"type": "string", "minLength": 32, "maxLength": 32},
                    "os_hash_algo": {"type": "string", "maxLength": 64},
                    "os_hash_value": {"type": "string", "maxLength": 128},
                },
                "required": ["os_hash_algo", "os_hash_value"],
                "description": "The digests of the data, which a queued image takes over",
            },
        },
        "required": ["url", "metadata"],
    });
    json!({
        "direct_url": written("Where the data is in its store"),
        "self": written("Where the record is"),
        "file": written("Where the data is"),
        "stores": written("The stores that hold the data, separated by commas"),
        "schema": written("Where this schema is"),
        "locations": {
            "type": "array", "items": location,
            "description": "Where the data is in its stores",
        },
    })
}

fn format(known: &[&str], description: &str) -> Value {
    let known: Vec<Value> =
        std::iter::once(Value::Null).chain(known.iter().map(|it| (*it).into())).collect();
    json!({"type": ["null", "string"], "enum": known, "description": description})
}

pub(super) fn member() -> Value {
    json!({
        "name": "member",
        "properties": {
            "member_id": {"type": "string", "description": "The project's id"},
            "image_id": {"type": "string", "pattern": UUID, "description": "The image's id"},
            "created_at": {"type": "string", "description": "When the project was added"},
            "updated_at": {"type": "string", "description": "When its status changed last"},
            "status": {
                "type": "string", "enum": ["pending", "accepted", "rejected"],
                "description": "What the project said of the image",
            },
            "schema": {"type": "string", "readOnly": true},
        },
    })
}

pub(super) fn members() -> Value {
    json!({
        "name": "members",
        "properties": {"members": list(&member()), "schema": {"type": "string"}},
        "links": [link("describedby", "{schema}")],
    })
}

const STATUSES: [&str; 9] = [
    "queued",
    "saving",
    "active",
    "killed",
    "deleted",
    "uploading",
    "importing",
    "pending_delete",
    "deactivated",
];

const UUID: &str =
    "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$";
