//! `cargo xtask api`: writes the public API of each library to the folder `api`, one item per line,
//! so that a change of it is seen in review.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Library;
use crate::failure::{Context, Failure};
use crate::output::say;
use crate::shell::{cargo, cargo_with, output};
use crate::workspace;

/// Writes the files.
pub(crate) fn write() -> Result<(), Failure> {
    let folder = workspace::root().join("api");
    fs::create_dir_all(&folder).context(|| format!("cannot make {}", folder.display()))?;
    for (path, text) in files()? {
        fs::write(&path, text).context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Fails if a file does not have the present API.
pub(crate) fn check() -> Result<(), Failure> {
    let files = files()?;
    let is_old =
        |(path, text): &&(PathBuf, String)| fs::read_to_string(path).ok().as_ref() != Some(text);
    let old: Vec<String> =
        files.iter().filter(is_old).map(|(path, _)| path.display().to_string()).collect();
    match old.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "{} does not have the public API of this tree; run `cargo xtask api`, and review the change",
            old.join(", ")
        ))),
    }
}

/// The files with the present API; none if this Rust describes it in another form.
fn files() -> Result<Vec<(PathBuf, String)>, Failure> {
    let (libraries, described) = (Library::all()?, workspace::target()?.join("doc"));
    describe(&libraries)?;
    cargo(&["build", "--quiet", "-p", "xtask", "--features", "api", "--bin", "list-api"])?;
    let lister = workspace::target()?.join("debug/list-api");
    let mut files = Vec::new();
    for library in libraries {
        let json = described.join(format!("{}.json", library.name));
        if !is_readable(&json)? {
            say("left out: the public API, because this Rust describes it in another form");
            return Ok(Vec::new());
        }
        let api = output(Command::new(&lister).arg(&json))?;
        let name = library.folder.display().to_string();
        files.push((workspace::root().join("api").join(name + ".txt"), api));
    }
    Ok(files)
}

/// Lets rustdoc describe the libraries, with all features.
fn describe(libraries: &[Library]) -> Result<(), Failure> {
    let rustdoc = rustdoc()?.display().to_string();
    for library in libraries {
        let features = library.features.join(",");
        let mut line = vec!["rustdoc", "--quiet", "--lib", "-p", &library.package];
        line.extend(["--features", &features, "--"]);
        line.extend(["-Zunstable-options", "--output-format=json", "--cap-lints=allow"]);
        cargo_with(&line, &[("RUSTDOC", &rustdoc)])?;
    }
    Ok(())
}

/// A program that runs rustdoc with its unstable options, of which the JSON format is one. If the
/// variable were set for cargo, it would compile all dependencies anew.
fn rustdoc() -> Result<PathBuf, Failure> {
    let program = workspace::target()?.join("rustdoc-unstable");
    let cannot = || format!("cannot write {}", program.display());
    fs::write(&program, "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n").context(cannot)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).context(cannot)?;
    Ok(program)
}

/// Whether the file has the form that the library `public-api` reads.
fn is_readable(json: &Path) -> Result<bool, Failure> {
    let json = fs::read_to_string(json).context(|| format!("cannot read {}", json.display()))?;
    Ok(json.contains(&format!("\"format_version\":{FORMAT}")))
}

/// The version of the form. It belongs to the version of `public-api` in `Cargo.toml`.
const FORMAT: u32 = 57;
