//! The report of a run of several shards.

use serde_json::Value;

use crate::args::Output;

/// A merged report: as it is, or what it comes to.
pub(crate) fn merged(output: Output, report: &Value) {
    match output {
        Output::Json => out!("{report:#}"),
        Output::Text => text(report),
    }
}

fn text(report: &Value) {
    let run = &report["run"];
    for image in report["images"].as_array().into_iter().flatten() {
        if image["result"] == "failed" {
            let name = image["name"].as_str().unwrap_or("(no name)");
            let id = image["id"].as_str().unwrap_or_default();
            out!("failed: {id} {name:?}: {}", joined(&image["detail"], ": "));
        }
    }
    for part in run["errors"].as_array().into_iter().flatten() {
        for error in part["errors"].as_array().into_iter().flatten() {
            out!("shard {}: {}", word(&part["shard"]), joined(error, ": "));
        }
    }
    let missing = run["missing"].as_array().map_or(0, Vec::len);
    let (all, command) = (run["shards"].as_u64().unwrap_or(0), word(&run["command"]));
    let shards = match missing {
        0 => format!("all {all} shards"),
        _ => format!(
            "{} of {all} shards, without {}",
            all - missing as u64,
            joined(&run["missing"], ", ")
        ),
    };
    let sides = [&run["source"], &run["target"]];
    let sides: Vec<String> = sides.into_iter().filter(|it| !it.is_null()).map(side).collect();
    out!("{command} {}: {shards}", sides.join(" "));
    let mut numbers = Vec::new();
    collect(&report["summary"], &mut numbers);
    out!("{}", if numbers.is_empty() { "nothing".to_owned() } else { numbers.join(", ") });
}

/// The numbers of a summary that say something, as `3 copied`.
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
