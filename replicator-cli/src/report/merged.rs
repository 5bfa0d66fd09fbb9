//! The merged report of the shards of a run.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::args::Output;
use crate::error::CliError;
use crate::output::{JsonWriter, quoted};

/// A JSON document without the entries of its lists, so that its size does not depend on the number
/// of images.
#[derive(Debug, Clone)]
pub(crate) enum Outline {
    /// The fields of an object.
    Object(BTreeMap<String, Outline>),
    /// A list.
    List,
    /// Another value.
    Value(Value),
}

/// Reads the entries of the list at a place of the document, a sequence of keys.
type Entries<'a> = &'a dyn Fn(&[&str], &mut dyn FnMut(Value)) -> Result<(), CliError>;

impl Outline {
    /// A field of an object.
    fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.get(key),
            _ => None,
        }
    }

    /// The fields of an object.
    fn fields(&self) -> impl Iterator<Item = (&String, &Self)> {
        let fields = match self {
            Self::Object(fields) => Some(fields),
            _ => None,
        };
        fields.into_iter().flatten()
    }

    /// The value; null if this is an object or a list.
    pub(crate) fn value(&self) -> &Value {
        match self {
            Self::Value(value) => value,
            _ => &Value::Null,
        }
    }

    /// Whether there is a list at this place.
    pub(crate) fn has_list(&self, place: &[&str]) -> bool {
        let found = place.iter().try_fold(self, |outline, key| outline.get(key));
        matches!(found, Some(Self::List))
    }

    /// Removes a field of an object that was read as a value.
    pub(crate) fn remove(&mut self, key: &str) -> Option<Value> {
        let Self::Object(fields) = self else { return None };
        match fields.remove(key)? {
            Self::Value(value) => Some(value),
            _ => None,
        }
    }

    /// Adds a field to an object.
    pub(crate) fn insert(&mut self, key: &str, value: Value) {
        if let Self::Object(fields) = self {
            fields.insert(key.to_owned(), Self::Value(value));
        }
    }
}

/// Prints a merged report: the complete document as JSON, or a summary as text.
pub(crate) fn merged(
    output: Output,
    report: &Outline,
    entries: Entries<'_>,
) -> Result<(), CliError> {
    match output {
        Output::Json => {
            let mut json = JsonWriter::to_results();
            write_fields(&mut json, report, &mut Vec::new(), entries)?;
            json.finish();
            Ok(())
        }
        Output::Text => text(report, entries),
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

fn text(report: &Outline, entries: Entries<'_>) -> Result<(), CliError> {
    // If there are several targets, each has its own report.
    let targets = report.get("targets").into_iter().flat_map(Outline::fields);
    let mut each: Vec<(String, Vec<&str>, &Outline)> = targets
        .map(|(target, report)| (format!("{target}: "), vec!["targets", target], report))
        .collect();
    if each.is_empty() {
        each.push((String::new(), Vec::new(), report));
    }
    for (target, place, _) in &each {
        let images = [place, &["images"][..]].concat();
        entries(&images, &mut |image| failed_image(target, &image))?;
    }
    let run = report.get("run").map_or(&Value::Null, Outline::value);
    for part in run["errors"].as_array().into_iter().flatten() {
        for error in part["errors"].as_array().into_iter().flatten() {
            out!("shard {}: {}", word(&part["shard"]), joined(error, ": "));
        }
    }
    out!("{}", header(run));
    for (target, _, report) in each {
        let mut numbers = Vec::new();
        if let Some(summary) = report.get("summary") {
            collect(summary, &mut numbers);
        }
        let numbers = if numbers.is_empty() { "nothing".to_owned() } else { numbers.join(", ") };
        out!("{target}{numbers}");
    }
    Ok(())
}

/// The command, its stores and the shards that have a report.
fn header(run: &Value) -> String {
    let missing = run["missing"].as_array().map_or(0, Vec::len) as u64;
    let (all, command) = (run["shards"].as_u64().unwrap_or(0), word(&run["command"]));
    let mut shards = format!("all {all} shards");
    if missing > 0 {
        let without = joined(&run["missing"], ", ");
        shards = format!("{} of {all} shards, without {without}", all.saturating_sub(missing));
    }
    let sides = [&run["source"], &run["target"]];
    let sides: Vec<String> = sides.into_iter().filter(|it| !it.is_null()).map(side).collect();
    format!("{command} {}: {shards}", sides.join(" "))
}

fn failed_image(target: &str, image: &Value) {
    let result = image["result"].as_str().unwrap_or_default();
    if ["failed", "in use"].contains(&result) {
        let name = quoted(image["name"].as_str().unwrap_or("(no name)"));
        let id = image["id"].as_str().unwrap_or_default();
        out!("{target}{result}: {id} {name}: {}", joined(&image["detail"], ": "));
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

fn side(address: &Value) -> String {
    match address.as_array() {
        Some(several) => format!("({} directories)", several.len()),
        None => word(address),
    }
}

fn joined(list: &Value, between: &str) -> String {
    list.as_array().into_iter().flatten().map(word).collect::<Vec<_>>().join(between)
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
