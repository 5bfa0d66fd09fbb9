//! The licences of the crates in the binary.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::variant::Variant;
use crate::failure::{Context, Failure};
use crate::output::say;
use crate::shell::cargo_output;

/// Writes every licence text that the vendored crates in the binary of a variant contain. Fails if
/// a crate contains none.
pub(crate) fn write(vendor: &Path, variant: Variant, file: &Path) -> Result<(), Failure> {
    say(format_args!("collecting the licences of {}", variant.name()));
    let mut tree = vec!["tree", "--frozen", "--package", super::release::NAME];
    tree.extend(["--edges", "normal", "--target", "x86_64-unknown-linux-gnu"]);
    tree.extend(["--prefix", "none", "--format", "{p}"]);
    tree.extend(variant.features());
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in crates(&cargo_output(&tree)?) {
        let folder = vendor.join(&name);
        let files = licence_files(&folder)?;
        if files.is_empty() {
            return Err(Failure::new(format!("{} has no licence text", folder.display())));
        }
        for path in files {
            let bytes = fs::read(&path).context(|| path.display().to_string())?;
            let text = String::from_utf8_lossy(&bytes).replace('\r', "");
            let inside = path.strip_prefix(vendor).unwrap_or(&path);
            texts.entry(text.trim().to_owned()).or_default().push(inside.display().to_string());
        }
    }
    fs::write(file, document(texts)).context(|| file.display().to_string())
}

/// The name of the file.
pub(crate) fn file(variant: Variant) -> String {
    format!("THIRD-PARTY-NOTICES-{}", variant.name())
}

/// The folders of the crates of others, such as `bytes-1.10.0`, from the output of `cargo tree`. The
/// project's own crates have their path behind the version.
fn crates(tree: &str) -> BTreeSet<String> {
    let lines = tree.lines().filter(|line| !line.contains("(/"));
    lines
        .filter_map(|line| line.split(' ').next().zip(line.split(' ').nth(1)))
        .map(folder)
        .collect()
}

fn folder((name, version): (&str, &str)) -> String {
    format!("{name}-{}", version.trim_start_matches('v'))
}

/// The files with licences in a folder and the folders below it, sorted.
fn licence_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).context(|| folder.display().to_string())? {
        let path = entry.context(|| folder.display().to_string())?.path();
        match path.is_dir() {
            true => files.extend(licence_files(&path)?),
            false if is_licence(&path) => files.push(path),
            false => {}
        }
    }
    files.sort();
    Ok(files)
}

fn is_licence(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let (stem, rest) = name.split_at(name.find(['-', '.', '_']).unwrap_or(name.len()));
    let is_source = [".rs", ".toml", ".pm", ".yml", ".py"].iter().any(|end| rest.ends_with(end));
    !is_source && STEMS.contains(&stem)
}

/// How the names of files with licences begin.
const STEMS: [&str; 6] = ["licence", "license", "copying", "copyright", "notice", "unlicense"];

/// Each text once, below the files that contain it.
fn document(texts: BTreeMap<String, Vec<String>>) -> String {
    let mut sections: Vec<(Vec<String>, String)> =
        texts.into_iter().map(|(text, files)| (files, text)).collect();
    sections.sort();
    let mut document = INTRODUCTION.to_owned();
    for (files, text) in sections {
        let line = "=".repeat(80);
        let _ = write!(document, "\n{line}\n{}\n{line}\n\n{text}\n", files.join("\n"));
    }
    document
}

const INTRODUCTION: &str = "\
The program glance-replicator contains the crates that are named below, NAME-VERSION. Each text is that of
the files above it, from these crates.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_of_the_project_are_left_out_and_others_are_named_once() {
        let tree = "glance-replicator v0.9.0 (/source/cli)\nserde v1.0.0\nserde_derive v1.0.0 \
            (proc-macro)\nserde v1.0.0 (*)\n";
        let found: Vec<String> = crates(tree).into_iter().collect();
        assert_eq!(found, ["serde-1.0.0", "serde_derive-1.0.0"]);
    }

    #[test]
    fn licences_are_known_by_their_names() {
        for name in ["LICENSE", "LICENSE-MIT", "license.md", "COPYING", "LICENSE_1_0.txt", "NOTICE"]
        {
            assert!(is_licence(Path::new(name)), "{name}");
        }
        for name in ["license.rs", "licensed", "README.md", "copyright.pm"] {
            assert!(!is_licence(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn a_text_that_several_crates_have_is_written_once() {
        let files = ["a-1/LICENSE", "b-2/LICENSE"].map(str::to_owned).to_vec();
        let text = document(BTreeMap::from([("Do what you want.".to_owned(), files)]));
        assert_eq!(text.matches("Do what you want.").count(), 1);
        assert!(text.contains("\na-1/LICENSE\nb-2/LICENSE\n"), "{text}");
    }
}
