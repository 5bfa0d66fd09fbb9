//! `report merge`: combines the reports of all shards of a run.
//!
//! The merge works for the reports of every command, because it depends little on their contents:
//! lists are concatenated and numbers are added.

use std::path::{Path, PathBuf};

use glance_core::selection::Shard;
use serde_json::{Map, Value, json};

use crate::args::Output;
use crate::error::CliError;
use crate::exit::Exit;
use crate::report;

/// Runs `report merge`.
pub(super) fn merge(paths: &[PathBuf], output: Output) -> Result<Exit, CliError> {
    let mut parts = files(paths)?.into_iter().map(Part::read).collect::<Result<Vec<_>, _>>()?;
    parts.sort_by_key(|part| part.shard.number());
    belong_together(&parts)?;
    let Some(first) = parts.first() else {
        return Err(CliError::usage("there is no report to merge").hint(HOW));
    };
    let mut run = first.run.clone();
    for side in SIDES {
        run.insert((*side).to_owned(), only_or_all(&parts, side));
    }
    let (all, exit) = (first.shard.of(), worst(&parts));
    let is_there = |number: &u32| parts.iter().any(|part| part.shard.number().get() == *number);
    let missing: Vec<u32> = (1..=all.get()).filter(|number| !is_there(number)).collect();
    let exit = if missing.is_empty() { exit } else { exit.worse(Exit::SomeFailed) };
    let errors: Vec<Value> = parts.iter().filter_map(Part::errors).collect();
    let mut merged = Value::Null;
    for part in parts {
        add(&mut merged, part.body);
    }
    run.insert("shards".to_owned(), json!(all));
    run.insert("missing".to_owned(), json!(missing));
    run.insert("errors".to_owned(), json!(errors));
    run.insert("exit_code".to_owned(), json!(exit as u8));
    merged["run"] = run.into();
    report::merged(output, &merged);
    Ok(exit)
}

/// The report of one shard.
struct Part {
    path: PathBuf,
    shard: Shard,
    exit: Exit,
    errors: Value,
    /// The field `run` of the report: command, stores and selection.
    run: Map<String, Value>,
    /// The other fields of the report.
    body: Value,
}

impl Part {
    fn read(path: PathBuf) -> Result<Self, CliError> {
        let unusable =
            |reason: &str| CliError::usage(format!("{} {reason}", path.display())).hint(HOW);
        let text = std::fs::read(&path).map_err(|error| unreadable(&path, error))?;
        let mut body: Value = serde_json::from_slice(&text)
            .map_err(|error| unusable("is no report").caused_by(error))?;
        let run = body.as_object_mut().and_then(|body| body.remove("run"));
        let Some(Value::Object(mut run)) = run.filter(|run| run["command"].is_string()) else {
            return Err(unusable("does not say what it is a report of"));
        };
        let shard = run.remove("shard").unwrap_or_default();
        let shard = shard.as_str().and_then(|text| text.parse().ok());
        let shard = shard.ok_or_else(|| unusable("is the report of a run without --shard"))?;
        let code = run.remove("exit_code").and_then(|code| code.as_u64());
        let errors = run.remove("errors").unwrap_or_default();
        // All releases assign images to shards in the same way, so the versions may differ.
        run.remove("tool");
        let exit = code.map_or(Exit::SomeFailed, Exit::of_code);
        Ok(Self { path, shard, exit, errors, run, body })
    }

    /// The errors that are not about single images; `None` if there are none.
    fn errors(&self) -> Option<Value> {
        let found = self.errors.as_array().is_some_and(|errors| !errors.is_empty());
        found.then(|| json!({ "shard": self.shard.to_string(), "errors": self.errors }))
    }
}

/// The given files, and the files named `*.json` in the given directories.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, CliError> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        for entry in path.read_dir().map_err(|error| unreadable(path, error))? {
            let path = entry.map_err(|error| unreadable(path, error))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                files.push(path);
            }
        }
    }
    Ok(files)
}

/// Fails unless the reports are of different shards of the same run.
fn belong_together(parts: &[Part]) -> Result<(), CliError> {
    for pair in parts.windows(2) {
        let [one, other] = pair else { continue };
        let differ = |what: &str| {
            let (one, other) = (one.path.display(), other.path.display());
            let what = format!("{one} and {other} do not belong together: {what}");
            Err(CliError::usage(what).hint("merge the reports of one run, one for each shard"))
        };
        if one.shard.of() != other.shard.of() {
            return differ(&format!("one is of shard {}, the other of {}", one.shard, other.shard));
        }
        if one.shard == other.shard {
            return differ(&format!("both are of shard {}", one.shard));
        }
        for (key, value) in &one.run {
            let there = other.run.get(key).unwrap_or(&Value::Null);
            let own = SIDES.contains(&key.as_str()) && is_directory(value) && is_directory(there);
            if value != there && !own {
                return differ(&format!("{key} is {value} in one, {there} in the other"));
            }
        }
    }
    Ok(())
}

/// Whether an address is a directory. Each shard of a dump has a separate directory, so directories
/// may differ.
fn is_directory(address: &Value) -> bool {
    address.as_str().is_some_and(|address| address.starts_with("dir:"))
}

/// The store of this side, or the list of stores if the parts differ.
fn only_or_all(parts: &[Part], side: &str) -> Value {
    let all = parts.iter().filter_map(|part| part.run.get(side).cloned());
    let mut all: Vec<Value> = all.collect();
    all.dedup();
    if all.len() > 1 { all.into() } else { all.pop().unwrap_or_default() }
}

fn worst(parts: &[Part]) -> Exit {
    parts.iter().fold(Exit::Success, |exit, part| exit.worse(part.exit))
}

/// Adds the report of a part to the sum of the others.
fn add(sum: &mut Value, part: Value) {
    match (sum, part) {
        (sum @ Value::Null, part) => *sum = part,
        (Value::Object(sum), Value::Object(part)) => {
            for (key, value) in part {
                match sum.get_mut(&key) {
                    Some(known) if key == "exit_code" => *known = worse(known, &value),
                    Some(known) => add(known, value),
                    None => {
                        sum.insert(key, value);
                    }
                }
            }
        }
        (Value::Array(sum), Value::Array(part)) => sum.extend(part),
        (sum @ Value::Number(_), Value::Number(part)) => {
            let (one, other) = (sum.as_u64().unwrap_or(0), part.as_u64().unwrap_or(0));
            *sum = json!(one.saturating_add(other));
        }
        // Of other values, such as null, the first is kept.
        _ => {}
    }
}

fn worse(one: &Value, other: &Value) -> Value {
    let exit = |code: &Value| code.as_u64().map_or(Exit::SomeFailed, Exit::of_code);
    json!(exit(one).worse(exit(other)) as u8)
}

fn unreadable(path: &Path, error: std::io::Error) -> CliError {
    CliError::usage(format!("cannot read {}", path.display())).caused_by(error)
}

const SIDES: &[&str] = &["source", "target"];

const HOW: &str =
    "reports that can be merged are written by --shard, --output json and --report FILE together";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_added_and_lists_joined_whatever_they_are_of() {
        let parts = [
            json!({"images": [1], "summary": {"bytes": u64::MAX, "states": {"same": 1}, "exit_code": 1}}),
            json!({"images": [], "summary": {"bytes": 1, "states": {"extra": 2}, "exit_code": 6}}),
            json!({"images": [2, 3], "summary": {"bytes": 0, "states": {"same": 2}, "exit_code": 3}}),
        ];
        let mut sum = Value::Null;
        for part in parts {
            add(&mut sum, part);
        }
        let states = json!({"same": 3, "extra": 2});
        let summary = json!({"bytes": u64::MAX, "states": states, "exit_code": 6});
        assert_eq!(sum, json!({"images": [1, 2, 3], "summary": summary}));
    }
}
