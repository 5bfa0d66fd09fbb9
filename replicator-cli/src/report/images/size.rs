//! The report of `size`.

use std::collections::BTreeMap;

use serde_json::json;

use crate::output::{JsonWriter, human_size};

/// Writes the result of `size`, as text with the wording of the old tool, and the numbers of images
/// without data by their status.
pub(crate) fn size(images: u64, bytes: u64, without_data: &BTreeMap<&str, u64>) {
    let human = human_size(bytes);
    out!("Total size is {bytes} bytes ({human}) across {images} images");
    if !without_data.is_empty() {
        let each: Vec<String> =
            without_data.iter().map(|(status, number)| format!("{number} {status}")).collect();
        out!("not counted, because they have no data: {}", each.join(", "));
    }
    let without_data: u64 = without_data.values().sum();
    let size = json!({ "images": images, "bytes": bytes, "without_data": without_data });
    JsonWriter::to_results().field("size", &size);
}
