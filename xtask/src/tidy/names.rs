//! Names and sizes: no public type name stands twice, no folder is crowded, and the log knows every
//! crate.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, code_lines};

/// Source files side by side in one folder.
const MOST_FILES: usize = 12;

/// Crates that are no part of the product.
const APART: [&str; 3] = ["examples", "tests", "xtask"];

/// Public type names that stand twice.
pub(super) fn doubled_types(sources: &[Source]) -> Vec<String> {
    let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for source in sources {
        let Some((package, _)) = source.place() else { continue };
        if APART.contains(&package) {
            continue;
        }
        for (_, line) in code_lines(&source.text) {
            if let Some(name) = public_type(line) {
                found.entry(name).or_default().insert(&source.name);
            }
        }
    }
    found.retain(|_, places| places.len() > 1);
    let text = |(name, places): (&str, BTreeSet<&str>)| {
        let places: Vec<&str> = places.into_iter().collect();
        format!("the public type name {name} stands twice: {}", places.join(", "))
    };
    found.into_iter().map(text).collect()
}

fn public_type(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub ")?;
    let kinds = ["struct ", "enum ", "trait ", "type "];
    let rest = kinds.iter().find_map(|kind| rest.strip_prefix(kind))?;
    rest.split(|next: char| !next.is_alphanumeric() && next != '_').next()
}

/// Folders with too many source files.
pub(super) fn crowded_folders<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        *counts.entry(folder).or_default() += 1;
    }
    counts.retain(|_, count| *count > MOST_FILES);
    let text =
        |(folder, count)| format!("{folder} has {count} source files, more than {MOST_FILES}");
    counts.into_iter().map(text).collect()
}

/// Crates whose messages the log drops.
pub(super) fn unlogged_crates(sources: &[Source]) -> Vec<String> {
    let packages: BTreeSet<&str> =
        sources.iter().filter_map(|source| Some(source.place()?.0)).collect();
    let logging = sources.iter().find(|source| source.name == LOGGING);
    let is_listed = |package: &str| {
        let name = format!("\"{}\"", package.replace('-', "_"));
        logging.is_some_and(|source| source.text.contains(&name))
    };
    let missing = packages.into_iter().filter(|name| !APART.contains(name) && !is_listed(name));
    missing.map(|name| format!("{LOGGING} does not list the crate {name}")).collect()
}

const LOGGING: &str = "replicator-cli/src/logging/mod.rs";

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, text: &str) -> Source {
        Source { name: name.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_type_name_in_two_crates_is_named_with_both() {
        let sources = [
            source("glance-core/src/a.rs", "pub struct Rule<T>(T);\n"),
            source("format-dump/src/b.rs", "    pub enum Rule {\n"),
            source("tests/src/c.rs", "pub enum Rule {\n"),
        ];
        let found = doubled_types(&sources);
        assert_eq!(found.len(), 1);
        assert!(found[0].ends_with("format-dump/src/b.rs, glance-core/src/a.rs"), "{found:?}");
        assert!(doubled_types(&sources[1..]).is_empty());
    }

    #[test]
    fn thirteen_files_are_too_many() {
        let names: Vec<String> = (0..13).map(|number| format!("a/src/{number}.rs")).collect();
        assert_eq!(crowded_folders(names.iter().map(String::as_str)).len(), 1);
        assert!(crowded_folders(names[1..].iter().map(String::as_str)).is_empty());
    }

    #[test]
    fn a_crate_that_the_log_does_not_list_is_named() {
        let sources = [source(LOGGING, "\"replicator_cli\""), source("new-crate/src/lib.rs", "")];
        assert_eq!(unlogged_crates(&sources).len(), 1);
    }
}
