//! `cargo xtask man`: lets the tool write its manual pages, and checks them with the programs that
//! show and index manual pages on a system.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use crate::failure::{Context, Failure};
use crate::output::say;
use crate::shell::{cargo, find, install, succeed};
use crate::workspace;

/// The arguments of `cargo xtask man`.
#[derive(Default, Args)]
pub(crate) struct Arguments {
    /// The tool to run; built when not given.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// Writes every manual page to `target/man`, and fails if one of them has a fault.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    install_checkers()?;
    let binary = match &arguments.binary {
        Some(path) => path.clone(),
        None => built()?,
    };
    let target = workspace::target()?;
    let pages = written(&binary, &target.join("man"))?;
    let indexed = written(&binary, &target.join("man-index"))?;
    let mut faults = Vec::new();
    for (page, again) in pages.iter().zip(&indexed) {
        if page.source()? != again.source()? {
            faults.push(format!("{} differs when it is written again", page.name()));
        }
        faults.extend(remarks("mandoc", &["-T", "lint"], page)?);
        faults.extend(remarks("groff", &["-ww", "-Tutf8", "-man", "-t"], page)?);
    }
    faults.extend(dangling(&pages)?);
    faults.extend(wrong_dates(&pages)?);
    faults.extend(missing_in_index(&target.join("man-index"), &pages)?);
    match faults.is_empty() {
        true => {
            say(format_args!("man: {} pages in {}", pages.len(), target.join("man").display()));
            Ok(())
        }
        false => Err(Failure::new(format!("man:\n  {}", faults.join("\n  ")))),
    }
}

fn install_checkers() -> Result<(), Failure> {
    match ["mandoc", "groff", "tbl", "mandb", "whatis"].iter().all(|name| find(name).is_some()) {
        true => Ok(()),
        false => install(&["mandoc", "groff-base", "man-db"]),
    }
}

fn built() -> Result<PathBuf, Failure> {
    cargo(&["build", "--package", "glance-replicator"])?;
    Ok(workspace::target()?.join("debug/glance-replicator"))
}

/// A manual page in a folder such as `man1`.
struct Page(PathBuf);

impl Page {
    /// The name with the section, such as `glance-replicator(1)`.
    fn name(&self) -> String {
        let stem = self.0.file_stem().unwrap_or_default().to_string_lossy();
        let section = self.0.extension().unwrap_or_default().to_string_lossy();
        format!("{stem}({section})")
    }

    fn source(&self) -> Result<String, Failure> {
        fs::read_to_string(&self.0).context(|| self.0.display().to_string())
    }
}

/// Lets the tool write its pages to an empty directory.
fn written(binary: &Path, directory: &Path) -> Result<Vec<Page>, Failure> {
    if directory.exists() {
        fs::remove_dir_all(directory).context(|| directory.display().to_string())?;
    }
    succeed(Command::new(binary).arg("man").arg(directory))?;
    let mut paths = Vec::new();
    for folder in ["man1", "man5", "man7"].map(|name| directory.join(name)) {
        for entry in fs::read_dir(&folder).context(|| folder.display().to_string())? {
            paths.push(entry.context(|| folder.display().to_string())?.path());
        }
    }
    paths.sort();
    Ok(paths.into_iter().map(Page).collect())
}

/// What a program says about a page. Of the formatted page, only the messages count.
fn remarks(program: &str, arguments: &[&str], page: &Page) -> Result<Vec<String>, Failure> {
    let mut command = Command::new(program);
    let output = command.args(arguments).arg(&page.0).output();
    let output = output.context(|| format!("cannot run {program}"))?;
    let mut said = String::from_utf8_lossy(&output.stderr).into_owned();
    if program == "mandoc" {
        said += &String::from_utf8_lossy(&output.stdout);
    }
    if !output.status.success() && said.is_empty() {
        said = output.status.to_string();
    }
    Ok(said.lines().map(|line| format!("{}: {line}", page.name())).collect())
}

/// References to pages that do not exist.
fn dangling(pages: &[Page]) -> Result<Vec<String>, Failure> {
    let names: BTreeSet<String> = pages.iter().map(Page::name).collect();
    let mut faults = Vec::new();
    for page in pages {
        let mut source = page.source()?.replace(r"\-", "-");
        for escape in [r"\fB", r"\fR", r"\:"] {
            source = source.replace(escape, "");
        }
        for found in references(&source).filter(|found| !names.contains(*found)) {
            faults.push(format!("{} refers to {found}, which does not exist", page.name()));
        }
    }
    Ok(faults)
}

/// The references to our own pages in a text without fonts.
fn references(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("glance-replicator").filter_map(|(at, _)| {
        let rest = text.get(at..)?;
        let end = rest.find(|next: char| !next.is_ascii_lowercase() && next != '-')?;
        let section = rest.get(end..end + 3)?;
        let is_section = ["(1)", "(5)", "(7)"].contains(&section);
        is_section.then(|| rest.get(..end + 3)).flatten()
    })
}

/// Pages with another date than the section of this version in CHANGELOG.md, once it has one.
fn wrong_dates(pages: &[Page]) -> Result<Vec<String>, Failure> {
    let path = workspace::root().join("CHANGELOG.md");
    let changelog = fs::read_to_string(&path).context(|| path.display().to_string())?;
    let Some(date) = release_date(&changelog, env!("CARGO_PKG_VERSION")) else {
        return Ok(Vec::new());
    };
    let mut faults = Vec::new();
    for page in pages {
        let source = page.source()?;
        let heading = source.lines().find(|line| line.starts_with(".TH ")).unwrap_or_default();
        if !heading.split(' ').any(|word| word == date) {
            faults.push(format!("{} has another date than {date}, see RELEASED", page.name()));
        }
    }
    Ok(faults)
}

/// The date behind the version, in a heading such as `## 1.0.0 - 2026-12-31`.
fn release_date<'a>(changelog: &'a str, version: &str) -> Option<&'a str> {
    let mut headings = changelog.lines().filter_map(|line| line.strip_prefix("## "));
    headings.find_map(|heading| {
        let (name, date) = heading.split_once(" - ")?;
        (name.trim_matches(['[', ']']) == version).then_some(date.trim())
    })
}

/// The pages that `whatis` or `apropos` do not find after the index is made.
fn missing_in_index(directory: &Path, pages: &[Page]) -> Result<Vec<String>, Failure> {
    succeed(Command::new("mandb").args(["--create", "--quiet"]).arg(directory))?;
    let asked = |program: &str, word: &str| {
        let mut command = Command::new(program);
        // Without a limit of length, because a long line is cut at a terminal's width.
        command.arg("--long").arg("-M").arg(directory).arg(word);
        let output = command.output().context(|| format!("cannot run {program}"))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let all = asked("apropos", "glance-replicator")?;
    let mut faults = Vec::new();
    for page in pages {
        let name = page.name().replace('(', " (");
        let word = name.split(' ').next().unwrap_or_default();
        let is_good = |line: &str| line.starts_with(&name) && !line.contains("(unknown subject)");
        let lists = |found: &str| found.lines().any(is_good);
        for (program, found) in [("whatis", &asked("whatis", word)?), ("apropos", &all)] {
            if !lists(found) {
                faults.push(format!("{program} does not find {}", page.name()));
            }
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_a_release_is_found() {
        let changelog = "## Unreleased\n\n## [1.10.0] - 2026-12-31\n\n## 1.1.0 - 2026-11-30\n";
        assert_eq!(release_date(changelog, "1.10.0"), Some("2026-12-31"));
        assert_eq!(release_date(changelog, "1.1.0"), Some("2026-11-30"));
        assert_eq!(release_date(changelog, "1.0.0"), None);
    }

    #[test]
    fn references_are_found() {
        let text = "see glance-replicator(1), glance-replicator-dump-format(7) or \
            glance-replicator ls, glance-replicator(8)";
        let found: Vec<&str> = references(text).collect();
        assert_eq!(found, ["glance-replicator(1)", "glance-replicator-dump-format(7)"]);
    }
}
