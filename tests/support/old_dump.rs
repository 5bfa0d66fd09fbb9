//! Dumps in the format of the old tool.

use std::fs;
use std::path::Path;

pub(crate) const ID: &str = "6d55dd55-053a-4765-b7bc-b30df0ea3861";
pub(crate) const OTHER_ID: &str = "7d55dd55-053a-4765-b7bc-b30df0ea3862";

/// Writes an image as the old tool dumped it: MD5 of `abc`, values as strings, a null property.
pub(crate) fn write_old_image(directory: &Path, id: &str, size: u64, data: &[u8]) {
    let record = serde_json::json!({
        "id": id, "name": "oneiric", "status": "active", "size": size, "virtual_size": null,
        "disk_format": "aki", "container_format": null, "min_disk": "0", "min_ram": 0,
        "is_public": "False", "checksum": "900150983cd24fb0d6963f7d28e17f72", "owner": "8aef",
        "protected": false, "deleted": false, "deleted_at": null,
        "properties": { "architecture": "x86_64", "note": null, "size": "large" },
    });
    fs::write(directory.join(id), record.to_string()).unwrap();
    fs::write(directory.join(format!("{id}.img")), data).unwrap();
}
