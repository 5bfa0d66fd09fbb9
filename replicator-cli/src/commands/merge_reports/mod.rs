//! `report merge`: combines the reports of all shards of a run.
//!
//! The merge works for the reports of every command, because it depends little on their contents:
//! lists are concatenated and numbers are added.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::args::Output;
use crate::error::CliError;
use crate::exit::Exit;
use crate::report::{self, Outline};
use part::Part;

mod part;

/// Runs `report merge`.
pub(super) fn merge(paths: &[PathBuf], output: Output) -> Result<Exit, CliError> {
    let mut parts = files(paths)?.into_iter().map(Part::read).collect::<Result<Vec<_>, _>>()?;
    parts.sort_by_key(|part| part.shard.number());
    belong_together(&parts)?;
    let Some(first) = parts.first() else {
        return Err(CliError::usage("there is no report to merge").hint(HOW));
    };
    let missing = missing(&parts, first.shard.of().get());
    let exit = match missing.as_slice() {
        [] => worst(&parts),
        _ => worst(&parts).worse(Exit::SomeFailed),
    };
    let mut merged = Outline::Value(Value::Null);
    for part in &parts {
        add(&mut merged, part.body.clone());
    }
    merged.insert("run", run(&parts, &first.run, &missing, exit));
    let entries = |place: &[&str], each: &mut dyn FnMut(Value)| {
        parts.iter().try_for_each(|part| part.entries(place, each))
    };
    report::merged(output, &merged, &entries)?;
    Ok(exit)
}

/// The numbers of the shards without a report.
fn missing(parts: &[Part], all: u32) -> Vec<u32> {
    let is_there = |number: &u32| parts.iter().any(|part| part.shard.number().get() == *number);
    (1..=all).filter(|number| !is_there(number)).collect()
}

/// The field `run` of the merged report; `first` is this field of the first part.
fn run(parts: &[Part], first: &Map<String, Value>, missing: &[u32], exit: Exit) -> Value {
    let mut run = first.clone();
    for side in SIDES {
        run.insert((*side).to_owned(), only_or_all(parts, side));
    }
    let all = parts.first().map(|part| part.shard.of());
    let errors: Vec<Value> = parts.iter().filter_map(Part::errors).collect();
    run.insert("shards".to_owned(), json!(all));
    run.insert("missing".to_owned(), json!(missing));
    run.insert("errors".to_owned(), json!(errors));
    run.insert("exit_code".to_owned(), json!(exit as u8));
    run.into()
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
            let what = format!("{one} and {other} are not reports of the same run: {what}");
            Err(CliError::usage(what).hint("merge the reports of one run, one for each shard"))
        };
        if one.shard.of() != other.shard.of() {
            return differ(&format!(
                "the first report is one of {} shards, the second one of {}",
                one.shard.of(),
                other.shard.of()
            ));
        }
        if one.shard == other.shard {
            return differ(&format!("both are of shard {}", one.shard));
        }
        for (key, value) in &one.run {
            let there = other.run.get(key).unwrap_or(&Value::Null);
            let own = SIDES.contains(&key.as_str()) && is_directory(value) && is_directory(there);
            if value != there && !own {
                return differ(&format!("{key} is {value} in the first, {there} in the second"));
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
fn add(sum: &mut Outline, part: Outline) {
    match (sum, part) {
        (sum @ Outline::Value(Value::Null), part) => *sum = part,
        (Outline::Object(sum), Outline::Object(part)) => {
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
        (Outline::Value(sum @ Value::Number(_)), Outline::Value(Value::Number(part))) => {
            let (one, other) = (sum.as_u64().unwrap_or(0), part.as_u64().unwrap_or(0));
            *sum = json!(one.saturating_add(other));
        }
        // The entries of lists are read later. Of other values, such as null, the first is kept.
        _ => {}
    }
}

fn worse(one: &Outline, other: &Outline) -> Outline {
    let exit = |code: &Outline| code.value().as_u64().map_or(Exit::SomeFailed, Exit::of_code);
    Outline::Value(json!(exit(one).worse(exit(other)) as u8))
}

fn unreadable(path: &Path, error: std::io::Error) -> CliError {
    CliError::usage(format!("cannot read {}", path.display())).caused_by(error)
}

const SIDES: &[&str] = &["source", "target"];

const HOW: &str = "write the report of each shard with --shard I/N --output json --report FILE";

#[cfg(test)]
mod tests {
    use super::*;

    /// The merged report of these parts.
    fn merged(parts: &[Value]) -> Value {
        let directory = tempfile::tempdir().unwrap();
        let read = |(number, part): (usize, &Value)| {
            let shard = format!("{}/{}", number + 1, parts.len());
            let mut part = part.clone();
            part["run"] = json!({ "command": "sync", "shard": shard });
            let path = directory.path().join(number.to_string());
            std::fs::write(&path, part.to_string()).unwrap();
            Part::read(path).unwrap()
        };
        let parts: Vec<Part> = parts.iter().enumerate().map(read).collect();
        let mut sum = Outline::Value(Value::Null);
        for part in &parts {
            add(&mut sum, part.body.clone());
        }
        whole(&sum, &mut Vec::new(), &parts)
    }

    /// The outline with the entries of the lists of all parts.
    fn whole<'a>(outline: &'a Outline, place: &mut Vec<&'a str>, parts: &[Part]) -> Value {
        match outline {
            Outline::Value(value) => value.clone(),
            Outline::List => {
                let mut all = Vec::new();
                for part in parts {
                    part.entries(place, &mut |entry| all.push(entry)).unwrap();
                }
                all.into()
            }
            Outline::Object(fields) => {
                let mut object = Map::new();
                for (key, field) in fields {
                    place.push(key);
                    object.insert(key.clone(), whole(field, place, parts));
                    place.pop();
                }
                object.into()
            }
        }
    }

    #[test]
    fn numbers_are_added_and_lists_are_joined() {
        let parts = [
            json!({"images": [1], "summary": {"bytes": u64::MAX, "states": {"same": 1}, "exit_code": 1}}),
            json!({"images": [], "summary": {"bytes": 1, "states": {"extra": 2}, "exit_code": 6}}),
            json!({"images": [2, [3]], "summary": {"bytes": 0, "states": {"same": 2}, "exit_code": 3}}),
        ];
        let states = json!({"same": 3, "extra": 2});
        let summary = json!({"bytes": u64::MAX, "states": states, "exit_code": 6});
        assert_eq!(merged(&parts), json!({"images": [1, 2, [3]], "summary": summary}));
    }

    #[test]
    fn lists_are_joined_at_every_depth() {
        let part = |id: u32| json!({"targets": {"b": {"images": [id]}}, "images": null, "x": "y"});
        let other = json!({"targets": {"c": {"images": [3]}}, "images": [4], "x": "z"});
        let expected = json!({
            "targets": {"b": {"images": [1, 2]}, "c": {"images": [3]}}, "images": [4], "x": "y",
        });
        assert_eq!(merged(&[part(1), part(2), other]), expected);
    }
}
