//! The names of the fields of a v2 record, which no property can have.

/// The fields that describe the image.
pub const RECORD_FIELDS: &[&str] = &[
    "checksum",
    "container_format",
    "created_at",
    "disk_format",
    "id",
    "min_disk",
    "min_ram",
    "name",
    "os_hash_algo",
    "os_hash_value",
    "os_hidden",
    "owner",
    "protected",
    "size",
    "status",
    "tags",
    "updated_at",
    "virtual_size",
    "visibility",
];

/// The fields that tell where an image is stored or found, and fields of the v1 API. Glance rejects
/// them in a new record, and their values may be secret.
pub const LINK_FIELDS: &[&str] = &[
    "deleted",
    "deleted_at",
    "direct_url",
    "file",
    "location",
    "locations",
    "schema",
    "self",
    "stores",
];
