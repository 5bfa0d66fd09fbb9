//! The merged report of all shards.

use serde_json::{Value, json};

use super::site::IMAGES;
use crate::failure::{Context, Failure};

/// Fails unless the JSON report says that all 8 shards have put every image in place, verified.
pub(crate) fn expect_complete(text: &str) -> Result<(), Failure> {
    let report: Value = serde_json::from_str(text).context(|| "the merged report is no JSON")?;
    let (merged, summary) = (&report["merged"], &report["summary"]);
    let count = |value: &Value| value.as_u64().unwrap_or_default();
    let in_place = count(&summary["copied"]) + count(&summary["in_place"]);
    let proofs = &summary["proofs"];
    let proved = count(&proofs["verified"]) + count(&proofs["records"]);
    let found = json!([
        report["exit_code"],
        merged["shards"],
        merged["missing"],
        summary["failed"],
        in_place,
        proved
    ]);
    let wanted = json!([0, 8, [], 0, IMAGES, IMAGES]);
    match found == wanted {
        true => Ok(()),
        false => {
            Err(Failure::new(format!("the merged report says {found}, not {wanted}:\n{text}")))
        }
    }
}
