//! The merged report of all shards.

use serde_json::{Value, json};

use super::site::IMAGES;
use crate::failure::{Context, Failure};

/// Fails unless the JSON report says that all 8 shards have put every image in place, verified.
pub(crate) fn expect_complete(text: &str) -> Result<(), Failure> {
    let report: Value = serde_json::from_str(text).context(|| "the merged report is not JSON")?;
    let merged = &report["merged"];
    let images = report["images"].as_array().into_iter().flatten();
    let is_proved = |image: &&Value| {
        let is_in_place = image["result"] == "copied" || image["result"] == "in_place";
        is_in_place && image["proof"]["algorithm"] == "sha512"
    };
    let proved = images.filter(is_proved).count();
    let found = json!([report["exit_code"], merged["shards"], merged["missing"], proved]);
    let wanted = json!([0, 8, [], IMAGES]);
    match found == wanted {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "exit code, shards, missing shards and proved images should be {wanted}, not {found}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(images: u64) -> Value {
        let image =
            json!({ "result": "in_place", "proof": { "by": "records", "algorithm": "sha512" } });
        let images: Vec<_> = (0..images).map(|_| image.clone()).collect();
        json!({ "exit_code": 0, "merged": { "shards": 8, "missing": [] }, "images": images })
    }

    #[test]
    fn a_report_is_complete_only_with_every_shard_and_every_image_proved() {
        expect_complete(&report(IMAGES).to_string()).unwrap();
        expect_complete(&report(IMAGES - 1).to_string()).unwrap_err();
        let changes = [
            ("/exit_code", json!(3)),
            ("/merged/missing", json!([3])),
            ("/images/0/proof", Value::Null),
            ("/images/0/result", json!("failed")),
        ];
        for (path, value) in changes {
            let mut report = report(IMAGES);
            *report.pointer_mut(path).unwrap() = value;
            expect_complete(&report.to_string()).unwrap_err();
        }
    }
}
