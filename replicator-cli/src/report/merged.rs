//! The merged report of the shards of a run.

use glance_core::units::plural;
use serde_json::{Value, json};

use super::files::document::Outline;
use crate::error::CliError;
use crate::output::{self, JsonWriter, named};

/// Reads the entries of the list at a place of the document, a sequence of keys.
type Entries<'a> = &'a dyn Fn(&[&str], &mut dyn FnMut(Value)) -> Result<(), CliError>;

/// What the merged reports are about.
#[derive(Debug)]
pub(crate) struct Merged {
    pub(crate) command: Value,
    pub(crate) selection: Value,
    /// The stores that the shards read.
    pub(crate) sources: Vec<Value>,
    /// The stores that the shards wrote, for each target of the command.
    pub(crate) targets: Vec<Vec<Value>>,
    /// The number of shards of the run.
    pub(crate) shards: u32,
    /// The shards without a report.
    pub(crate) missing: Vec<u32>,
    /// The errors of each shard that are not about single images.
    pub(crate) errors: Vec<Value>,
}

impl Merged {
    fn to_json(&self) -> Value {
        json!({
            "command": self.command, "selection": self.selection, "sources": self.sources,
            "targets": self.targets, "shards": self.shards, "missing": self.missing,
            "errors": self.errors,
        })
    }
}

/// Writes a merged report: the complete document, and a summary as text.
pub(crate) fn merged(
    merged: &Merged,
    report: &Outline,
    entries: Entries<'_>,
) -> Result<(), CliError> {
    let mut json = JsonWriter::to_results();
    json.field("merged", &merged.to_json());
    write_fields(&mut json, report, &mut Vec::new(), entries)?;
    json.finish();
    match output::is_text() {
        true => text(merged, report, entries),
        false => Ok(()),
    }
}

/// Writes the fields of the object at `place`.
fn write_fields<'a>(
    json: &mut JsonWriter,
    object: &'a Outline,
    place: &mut Vec<&'a str>,
    entries: Entries<'_>,
) -> Result<(), CliError> {
    for (key, field) in object.fields() {
        place.push(key);
        match field {
            Outline::Value(value) => json.field(key, value),
            Outline::List => {
                entries(place, &mut |entry| json.entry(key, &entry))?;
                json.end_list(key);
            }
            Outline::Object(_) => {
                json.open_object(key);
                write_fields(json, field, place, entries)?;
                json.close();
            }
        }
        place.pop();
    }
    Ok(())
}

fn text(merged: &Merged, report: &Outline, entries: Entries<'_>) -> Result<(), CliError> {
    let several = merged.targets.len() > 1;
    entries(&["images"], &mut |image| failed_image(several, &image))?;
    for part in &merged.errors {
        for error in part["errors"].as_array().into_iter().flatten() {
            let causes = error["causes"].as_array().into_iter().flatten();
            let all: Vec<String> =
                [&error["message"]].into_iter().chain(causes).map(word).collect();
            out!("shard {}: {}", word(&part["shard"]), all.join(": "));
        }
    }
    out!("{}", header(merged));
    // If there are several targets, each has its own totals.
    let by_target = report.get("by_target").into_iter().flat_map(Outline::fields);
    let mut totals: Vec<(String, &Outline)> =
        by_target.map(|(target, summary)| (format!("{target}: "), summary)).collect();
    if totals.is_empty() {
        totals.extend(report.get("summary").map(|summary| (String::new(), summary)));
    }
    for (target, summary) in totals {
        let mut numbers = Vec::new();
        collect(summary, &mut numbers);
        let numbers = if numbers.is_empty() { "nothing".to_owned() } else { numbers.join(", ") };
        out!("{target}{numbers}");
    }
    Ok(())
}

/// The command, its stores and the shards that have a report.
fn header(merged: &Merged) -> String {
    let Merged { sources, targets, shards: all, missing, .. } = merged;
    let mut shards = format!("all {all} shard{}", plural(*all));
    if !missing.is_empty() {
        let without = missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let there = all.saturating_sub(u32::try_from(missing.len()).unwrap_or(*all));
        shards = format!("{there} of {all} shards, without {without}");
    }
    let sides = [sources].into_iter().chain(targets).filter(|side| !side.is_empty());
    let sides: Vec<String> = sides.map(|side| shown(side)).collect();
    format!("{} {}: {shards}", word(&merged.command), sides.join(" "))
}

/// The store of one side, or their number if the shards have separate directories.
fn shown(stores: &[Value]) -> String {
    match stores {
        [store] => {
            word(if store["address"].is_null() { &store["name"] } else { &store["address"] })
        }
        several => format!("({} directories)", several.len()),
    }
}

fn failed_image(several: bool, image: &Value) {
    let result = image["result"].as_str().unwrap_or_default();
    if ["failed", "in_use"].contains(&result) {
        let result = result.replace('_', " ");
        let target = if several { format!("{}: ", word(&image["target"])) } else { String::new() };
        let name = named(image["name"].as_str().unwrap_or_default());
        let errors = image["errors"].as_array().into_iter().flatten();
        let errors: Vec<String> = errors.map(word).collect();
        out!("{target}{result}: {} {name}: {}", word(&image["id"]), errors.join(": "));
    }
}

/// Collects the numbers of a summary that are not zero, in the form `3 copied`.
fn collect(summary: &Outline, numbers: &mut Vec<String>) {
    for (word, field) in summary.fields().filter(|(word, _)| *word != "exit_code") {
        match field.value().as_u64() {
            None => collect(field, numbers),
            Some(0) => {}
            Some(number) => numbers.push(format!("{number} {}", word.replace('_', " "))),
        }
    }
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
