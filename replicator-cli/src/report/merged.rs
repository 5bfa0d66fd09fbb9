//! The merged report of the shards of a run.

use serde_json::Value;

use crate::args::Output;
use crate::output::quoted;

/// Prints a merged report: the complete document as JSON, or a summary as text.
pub(crate) fn merged(output: Output, report: &Value) {
    match output {
        Output::Json => out_json!("{report:#}"),
        Output::Text => text(report),
    }
}

fn text(report: &Value) {
    let run = &report["run"];
    // If there are several targets, each has its own report.
    let targets = report["targets"].as_object().into_iter().flatten();
    let mut each: Vec<(String, &Value)> =
        targets.map(|(target, report)| (format!("{target}: "), report)).collect();
    if each.is_empty() {
        each.push((String::new(), report));
    }
    for (target, report) in &each {
        failed_images(target, report);
    }
    for part in run["errors"].as_array().into_iter().flatten() {
        for error in part["errors"].as_array().into_iter().flatten() {
            out!("shard {}: {}", word(&part["shard"]), joined(error, ": "));
        }
    }
    let missing = run["missing"].as_array().map_or(0, Vec::len) as u64;
    let (all, command) = (run["shards"].as_u64().unwrap_or(0), word(&run["command"]));
    let mut shards = format!("all {all} shards");
    if missing > 0 {
        let without = joined(&run["missing"], ", ");
        shards = format!("{} of {all} shards, without {without}", all.saturating_sub(missing));
    }
    let sides = [&run["source"], &run["target"]];
    let sides: Vec<String> = sides.into_iter().filter(|it| !it.is_null()).map(side).collect();
    out!("{command} {}: {shards}", sides.join(" "));
    for (target, report) in each {
        let mut numbers = Vec::new();
        collect(&report["summary"], &mut numbers);
        let numbers = if numbers.is_empty() { "nothing".to_owned() } else { numbers.join(", ") };
        out!("{target}{numbers}");
    }
}

fn failed_images(target: &str, report: &Value) {
    for image in report["images"].as_array().into_iter().flatten() {
        if image["result"] == "failed" {
            let name = quoted(image["name"].as_str().unwrap_or("(no name)"));
            let id = image["id"].as_str().unwrap_or_default();
            out!("{target}failed: {id} {name}: {}", joined(&image["detail"], ": "));
        }
    }
}

/// Collects the numbers of a summary that are not zero, in the form `3 copied`.
fn collect(summary: &Value, numbers: &mut Vec<String>) {
    for (word, value) in summary.as_object().into_iter().flatten() {
        match value.as_u64() {
            _ if word == "exit_code" => {}
            None => collect(value, numbers),
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
