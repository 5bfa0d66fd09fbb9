//! `cargo xtask examples`: runs the programs of the folder `examples`, counts their lines, and
//! compares them with the code in the guide.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Context, Failure};
use crate::output::say;
use crate::shell::{cargo, succeed};
use crate::workspace;

/// Builds and runs each program, and stops at the first that fails or has too many lines.
pub(crate) fn run() -> Result<(), Failure> {
    cargo(&["build", "-p", "examples", "--examples"])?;
    let built = workspace::target()?.join("debug/examples");
    for source in sources(&workspace::root().join("examples/examples"))? {
        let name = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&source);
        let lines = text.context(|| format!("cannot read {}", source.display()))?.lines().count();
        say(format_args!("$ {name} ({lines} lines)"));
        if lines >= LIMIT {
            return Err(Failure::new(format!("{name} has {lines} lines, not less than {LIMIT}")));
        }
        succeed(&mut Command::new(built.join(name)))?;
    }
    check_excerpts()
}

/// Checks that the Rust code in the guide is code of the programs.
fn check_excerpts() -> Result<(), Failure> {
    let read = |path: &Path| {
        fs::read_to_string(path).context(|| format!("cannot read {}", path.display()))
    };
    let mut programs = String::new();
    for source in sources(&workspace::root().join("examples/examples"))? {
        programs.push_str(&read(&source)?);
    }
    for excerpt in read(&workspace::root().join(GUIDE))?.split("```rust\n").skip(1) {
        let excerpt = excerpt.split("```").next().unwrap_or_default();
        if !programs.contains(excerpt) {
            return Err(Failure::new(format!("{GUIDE}: no program has this:\n{excerpt}")));
        }
    }
    Ok(())
}

/// The page that explains the programs.
const GUIDE: &str = "docs/write-a-store.md";

/// The sources of the programs, in alphabetical order.
pub(super) fn sources(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let cannot = || format!("cannot read {}", folder.display());
    let entries = fs::read_dir(folder).context(cannot)?;
    let paths: Result<Vec<_>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.context(cannot)?;
    paths.sort();
    Ok(paths)
}

/// A program that needs more lines shows that the libraries lack something.
const LIMIT: usize = 100;
