//! The entries of the document's lists as test cases: what was expected of each, and what went wrong.

use serde_json::Value;

use crate::output::escaped;

/// The lists whose entries are cases.
pub(super) const LISTS: &[&[&str]] =
    &[&["images"], &["files"], &["metadefs", "namespaces"], &["leftovers"], &["stores"]];

/// An entry of the document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Case {
    /// The image's name and id, or the name of something else.
    pub(super) name: String,
    /// The target of the image, if the entry names one.
    pub(super) target: Option<String>,
    /// The result as a word of the document.
    pub(super) word: String,
    pub(super) verdict: CaseVerdict,
    /// What went wrong, or why nothing was done.
    pub(super) lines: Vec<String>,
    pub(super) hint: Option<String>,
    pub(super) request_ids: Vec<String>,
}

/// The verdict on an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CaseVerdict {
    Passed,
    Skipped,
    Failed,
}

impl Case {
    pub(super) fn of(entry: &Value) -> Self {
        let mut words = ["result", "verdict", "standing", "state"].into_iter();
        let word = words.find_map(|field| entry[field].as_str()).unwrap_or_default();
        let case = Self {
            name: name(entry),
            target: text(&entry["target"]),
            word: word.to_owned(),
            verdict: verdict(word),
            lines: lines(entry),
            hint: text(&entry["hint"]),
            request_ids: texts(&entry["request_ids"]),
        };
        match entry["findings"].as_array() {
            Some(findings) => case.with_findings(findings),
            None => case,
        }
    }

    /// A store, judged by what was found about it.
    fn with_findings(self, findings: &[Value]) -> Self {
        let is_fault = |finding: &&Value| {
            let verdict = finding["verdict"].as_str().unwrap_or_default().to_ascii_lowercase();
            !matches!(verdict.as_str(), "ok" | "note" | "warn")
        };
        let faults: Vec<&Value> = findings.iter().filter(is_fault).collect();
        let line = |finding: &&Value| {
            let topic = text(&finding["topic"]).unwrap_or_default();
            format!("{topic}: {}", texts(&finding["found"]).join(": "))
        };
        let verdict = match faults.is_empty() {
            true => CaseVerdict::Passed,
            false => CaseVerdict::Failed,
        };
        let hint = faults.iter().find_map(|finding| text(&finding["hint"]));
        Self { verdict, lines: faults.iter().map(line).collect(), hint, ..self }
    }
}

/// The meaning of a word of the document.
fn verdict(word: &str) -> CaseVerdict {
    match word {
        "copied" | "updated" | "in_place" | "removed" | "same" | "verified" | "no_data"
        | "made" | "changed" => CaseVerdict::Passed,
        // Another run has an image in work that is in use: that run reports it.
        "skipped" | "not_chosen" | "in_use" => CaseVerdict::Skipped,
        _ => CaseVerdict::Failed,
    }
}

fn name(entry: &Value) -> String {
    let id = text(&entry["id"]);
    match (text(&entry["name"]), id) {
        (Some(name), Some(id)) => format!("{name} ({id})"),
        (None, Some(id)) => id,
        _ => {
            let mut others = ["namespace", "file", "store"].into_iter();
            others.find_map(|field| text(&entry[field])).unwrap_or_default()
        }
    }
}

fn lines(entry: &Value) -> Vec<String> {
    let difference = |one: &Value| {
        let said = |value: &Value| match value.as_str() {
            Some(text) => escaped(text).into_owned(),
            None => escaped(&value.to_string()).into_owned(),
        };
        let field = ["field", "name", "part"].into_iter().find_map(|field| text(&one[field]));
        let (source, target) = (said(&one["source"]), said(&one["target"]));
        format!("{}: {source} at the source, {target} at the target", field.unwrap_or_default())
    };
    let differences = entry["differences"].as_array().into_iter().flatten().map(difference);
    let losses = entry["losses"].as_array().into_iter().flatten();
    let losses = losses.filter_map(|loss| Some(format!("lost: {}", text(&loss["detail"])?)));
    let mut lines = texts(&entry["errors"]);
    lines.extend(text(&entry["reason"]));
    lines.extend(texts(&entry["details"]));
    lines.extend(differences);
    lines.extend(losses);
    lines
}

/// The text of a value, with control characters escaped.
pub(super) fn text(value: &Value) -> Option<String> {
    Some(escaped(value.as_str()?).into_owned())
}

/// The texts of a list.
pub(super) fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn entries_are_judged_by_their_words() {
        let case = |entry: Value| Case::of(&entry);
        let failed = case(json!({
            "id": "1", "name": "a\u{1b}", "target": "b", "result": "failed",
            "errors": ["one", "two"], "hint": "do it", "request_ids": ["req-1"],
        }));
        assert_eq!((failed.name.as_str(), failed.verdict), ("a\\u{1b} (1)", CaseVerdict::Failed));
        assert_eq!((failed.lines.len(), failed.hint.as_deref()), (2, Some("do it")));
        let skipped = case(json!({ "id": "2", "result": "skipped", "reason": "why" }));
        assert_eq!(
            (skipped.verdict, skipped.lines),
            (CaseVerdict::Skipped, vec!["why".to_owned()])
        );
        let in_use = case(json!({ "id": "2", "result": "in_use", "errors": ["by process 7"] }));
        assert_eq!((in_use.verdict, in_use.lines.len()), (CaseVerdict::Skipped, 1));
        let verified = json!({ "id": "3", "state": "same", "verdict": "verified" });
        assert_eq!(case(verified).verdict, CaseVerdict::Passed);
        let different = case(json!({
            "id": "4", "state": "metadata",
            "differences": [{ "field": "min_disk", "source": 1, "target": null }],
        }));
        assert_eq!(different.lines, ["min_disk: 1 at the source, null at the target"]);
        let store = case(json!({ "store": "a", "findings": [
            { "topic": "trust", "verdict": "ok", "found": ["x"] },
            { "topic": "list", "verdict": "FAIL", "found": ["no", "reason"], "hint": "sign in" },
        ] }));
        assert_eq!(
            (store.verdict, store.lines),
            (CaseVerdict::Failed, vec!["list: no: reason".to_owned()])
        );
    }
}
