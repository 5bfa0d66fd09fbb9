//! The report of `size`.

use serde_json::json;

use crate::output::{JsonWriter, human_size};

/// Writes the result of `size`, as text with the wording of the old tool.
pub(crate) fn size(images: u64, bytes: u64) {
    let human = human_size(bytes);
    out!("Total size is {bytes} bytes ({human}) across {images} images");
    JsonWriter::to_results().field("size", &json!({ "images": images, "bytes": bytes }));
}
