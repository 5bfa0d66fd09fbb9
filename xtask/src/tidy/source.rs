//! The Rust files of the workspace.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Failure};
use crate::workspace;

/// A Rust file.
pub(super) struct Source {
    /// Its path below the workspace's root.
    pub(super) name: String,
    pub(super) text: String,
}

impl Source {
    /// Every Rust file of the workspace.
    pub(super) fn all() -> Result<Vec<Self>, Failure> {
        let root = workspace::root();
        let mut paths = Vec::new();
        walk(&root, &mut paths)?;
        let read = |path: PathBuf| {
            let text = fs::read_to_string(&path).context(|| path.display().to_string())?;
            let name = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned();
            Ok(Self { name, text })
        };
        paths.into_iter().map(read).collect()
    }

    /// The package and the top-level module of a file below `src`; tests are in none.
    pub(super) fn place(&self) -> Option<(&str, &str)> {
        let (package, path) = self.name.split_once("/src/")?;
        let is_test = path.split('/').any(|part| part == "tests" || part == "tests.rs");
        let module = path.split(['/', '.']).next()?;
        (!is_test).then_some((package, module))
    }

    /// Whether the file is part of a crate that users run or build on.
    pub(super) fn is_shipped(&self) -> bool {
        let is_test = |module| ["conformance", "testing"].contains(&module);
        self.place().is_some_and(|(package, module)| {
            !["tests", "xtask"].contains(&package) && !is_test(module)
        })
    }

    /// The path from the file's module to the crate's root, by `super::`.
    pub(super) fn path_to_root(&self) -> String {
        let path = self.name.split_once("/src/").map_or("", |(_, path)| path);
        let depth = path.split('/').filter(|part| *part != "mod.rs").count();
        "super::".repeat(depth)
    }

    /// Lines of the program itself: neither tests nor conformance suites.
    pub(super) fn program_lines(&self) -> Option<(&str, usize)> {
        let (package, module) = self.place()?;
        let lines = program(&self.text).lines().count();
        (module != "conformance").then_some((package, lines))
    }
}

fn walk(directory: &Path, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    for entry in fs::read_dir(directory).context(|| directory.display().to_string())? {
        let path = entry.context(|| directory.display().to_string())?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            walk(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// The text without the test module at its end.
fn program(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod tests {").map_or(text, |at| &text[..at])
}

/// The numbered lines of the program, without comments.
pub(super) fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = program(text).lines().enumerate().map(|(number, line)| (number + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}
