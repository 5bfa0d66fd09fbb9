//! `report merge`: combines the reports of all shards of a run.
//!
//! The merge works for the reports of every command, because it depends little on their contents:
//! lists are concatenated and numbers are added.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::error::CliError;
use crate::exit::Exit;
use crate::report::{self, Merged, Outline};
use crate::resolve::directories::DirectoryPlace;
use part::Part;

mod part;

/// Runs `report merge`.
pub(super) fn merge(paths: &[PathBuf]) -> Result<Exit, CliError> {
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
    let mut sum = Outline::Value(Value::Null);
    for part in &parts {
        add(&mut sum, part.body.clone());
    }
    let of_target =
        |target: usize| distinct(parts.iter().filter_map(|part| part.targets.get(target)));
    let merged = Merged {
        command: first.command.clone(),
        selection: first.selection.clone(),
        sources: distinct(parts.iter().map(|part| &part.source)),
        targets: (0..first.targets.len()).map(of_target).collect(),
        shards: first.shard.of().get(),
        missing,
        errors: parts.iter().filter_map(Part::errors).collect(),
    };
    let entries = |place: &[&str], each: &mut dyn FnMut(Value)| {
        parts.iter().try_for_each(|part| part.entries(place, each))
    };
    report::merged(&merged, &sum, &entries)?;
    Ok(exit)
}

/// The different stores among these, of which each shard may have its own.
fn distinct<'a>(stores: impl Iterator<Item = &'a Value>) -> Vec<Value> {
    let mut distinct: Vec<Value> = Vec::new();
    for store in stores.filter(|store| !store.is_null()) {
        match distinct.iter_mut().find(|known| is_same(known, store)) {
            None => distinct.push(store.clone()),
            // A store that could not be opened has no address.
            Some(known) if known["address"].is_null() => *known = store.clone(),
            Some(_) => {}
        }
    }
    distinct
}

/// The numbers of the shards without a report.
fn missing(parts: &[Part], all: u32) -> Vec<u32> {
    let is_there = |number: &u32| parts.iter().any(|part| part.shard.number().get() == *number);
    (1..=all).filter(|number| !is_there(number)).collect()
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
        for (what, in_one, in_other) in [
            ("command", &one.command, &other.command),
            ("selection", &one.selection, &other.selection),
        ] {
            if in_one != in_other {
                return differ(&format!(
                    "{what} is {in_one} in the first, {in_other} in the second"
                ));
            }
        }
        let (mut sides, mut others) = (one.sides(), other.sides());
        while let (Some((side, store)), Some((_, there))) = (sides.next(), others.next()) {
            let are_own = is_directory(store) && is_directory(there);
            if !are_own && !is_same(store, there) {
                let (store, there) = (&store["address"], &there["address"]);
                return differ(&format!("{side} is {store} in the first, {there} in the second"));
            }
        }
        if one.targets.len() != other.targets.len() {
            return differ("the numbers of targets differ");
        }
    }
    Ok(())
}

/// Whether two reports name the same store: by its address or, if the store could not be opened, by
/// its argument on the command line.
fn is_same(one: &Value, other: &Value) -> bool {
    match one["address"].is_null() || other["address"].is_null() {
        true => one["name"] == other["name"],
        false => one["address"] == other["address"],
    }
}

/// Whether a store is a directory. Each shard of a dump has a separate directory, so directories may
/// differ.
fn is_directory(store: &Value) -> bool {
    store["address"].as_str().is_some_and(|it| DirectoryPlace::by_scheme(it).is_some())
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

const HOW: &str = "write the report of each shard with --shard I/N --report FILE.json";

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    /// The merged report of these parts.
    fn merged(parts: &[Value]) -> Value {
        let directory = tempfile::tempdir().unwrap();
        let read = |(number, part): (usize, &Value)| {
            let shard = format!("{}/{}", number + 1, parts.len());
            let mut part = part.clone();
            part["schema_version"] = json!(1);
            part["command"] = json!("sync");
            part["shard"] = json!(shard);
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
        let part = |id: u32| json!({"sites": {"b": {"images": [id]}}, "images": null, "x": "y"});
        let other = json!({"sites": {"c": {"images": [3]}}, "images": [4], "x": "z"});
        let expected = json!({
            "sites": {"b": {"images": [1, 2]}, "c": {"images": [3]}}, "images": [4], "x": "y",
        });
        assert_eq!(merged(&[part(1), part(2), other]), expected);
    }
}
