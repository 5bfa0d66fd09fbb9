//! `cargo xtask crates`: makes the packages, and builds a program outside the workspace from the
//! packages alone, without a network.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Library, examples};
use crate::failure::{Context, Failure};
use crate::shell::{cargo, cargo_output, succeed};
use crate::workspace;

/// Makes the packages, lists their files, and runs the programs of `examples` on them.
pub(crate) fn run() -> Result<(), Failure> {
    let libraries = Library::all()?;
    let mut package = vec!["package", "--quiet", "--offline", "--allow-dirty", "--no-verify"];
    for library in &libraries {
        package.extend(["-p", &library.package]);
    }
    cargo(&package)?;
    let outside = env::temp_dir().join("glance-replicator-outside");
    let crates = unpack(&libraries, &outside)?;
    write_program(&outside, &crates)?;
    for source in examples::sources(&outside.join("src/bin"))? {
        let program = source.file_stem().unwrap_or_default();
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(["run", "--quiet", "--offline", "--bin"]).arg(program);
        command.env("CARGO_TARGET_DIR", workspace::target()?.join("outside"));
        succeed(command.current_dir(&outside))?;
    }
    Ok(())
}

/// A package of the workspace, as others get it.
struct Unpacked {
    package: String,
    folder: PathBuf,
}

/// Unpacks the packages into the folder `crates`.
fn unpack(libraries: &[Library], outside: &Path) -> Result<Vec<Unpacked>, Failure> {
    let crates = outside.join("crates");
    if outside.exists() {
        fs::remove_dir_all(outside).context(|| format!("cannot empty {}", outside.display()))?;
    }
    fs::create_dir_all(&crates).context(|| format!("cannot make {}", crates.display()))?;
    let mut unpacked = Vec::new();
    for library in libraries {
        let id = cargo_output(&["pkgid", "-p", &library.package])?;
        let version = id.trim().rsplit(['#', '@']).next().unwrap_or_default();
        let stem = format!("{}-{version}", library.package);
        let file = workspace::target()?.join("package").join(format!("{stem}.crate"));
        let mut tar = Command::new("tar");
        succeed(tar.arg("-xzf").arg(file).arg("-C").arg(&crates))?;
        let package = library.package.clone();
        unpacked.push(Unpacked { package, folder: crates.join(stem) });
    }
    Ok(unpacked)
}

/// Writes a package with the programs of the folder `examples`. Its manifest is that of `examples`
/// with the packages instead of the workspace.
fn write_program(outside: &Path, crates: &[Unpacked]) -> Result<(), Failure> {
    let root = workspace::root();
    let read = |path: PathBuf| {
        fs::read_to_string(&path).context(|| format!("cannot read {}", path.display()))
    };
    let write = |name: &str, text: &str| {
        let path = outside.join(name);
        fs::write(&path, text).context(|| format!("cannot write {}", path.display()))
    };
    let bin = outside.join("src/bin");
    fs::create_dir_all(&bin).context(|| format!("cannot make {}", bin.display()))?;
    for source in examples::sources(&root.join("examples/examples"))? {
        let name = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
        write(&format!("src/bin/{name}"), &read(source)?)?;
    }
    let (ours, used) = (read(root.join("Cargo.toml"))?, read(root.join("examples/Cargo.toml"))?);
    write("Cargo.toml", &manifest(&ours, &used, crates))?;
    write("Cargo.lock", &read(root.join("Cargo.lock"))?)
}

fn manifest(workspace: &str, examples: &str, crates: &[Unpacked]) -> String {
    let section = |text: &str, title: &str| {
        let rest = text.split_once(title).map(|(_, rest)| rest).unwrap_or_default();
        rest.split("\n[").next().unwrap_or_default().to_owned()
    };
    let versions = section(workspace, "[workspace.dependencies]\n");
    let dependencies = section(examples, "[dev-dependencies]\n");
    // A workspace of its own, with the versions that ours has, but no path into ours.
    let versions: Vec<String> = versions
        .lines()
        .map(|line| match line.split_once(", path = ") {
            None => line.to_owned(),
            Some((before, after)) => {
                let after = after.split_once(", ").map(|(_, after)| after).unwrap_or_default();
                format!("{before}, {after}")
            }
        })
        .filter(|line| !line.starts_with("tests = "))
        .collect();
    let patches = crates.iter().map(|Unpacked { package, folder }| {
        format!("{package} = {{ path = {:?} }}\n", folder.display().to_string())
    });
    format!(
        "[workspace]\n\n[package]\nname = \"outside\"\nedition = \"2024\"\n\n\
         [workspace.dependencies]\n{}\n\n[dependencies]\n{dependencies}\n\n\
         [patch.crates-io]\n{}",
        versions.join("\n"),
        patches.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_outside_has_the_versions_but_no_path_into_the_workspace() {
        let workspace = "[workspace]\nmembers = []\n\n[workspace.dependencies]\n\
            glance-core = { package = \"glance-replicator-core\", path = \"glance-core\", version = \"1.2.3\" }\n\
            tests = { path = \"tests\", version = \"1.2.3\" }\nbytes = \"1.10\"\n\n[workspace.lints.rust]\n";
        let examples = "[package]\n\n[dev-dependencies]\nbytes.workspace = true\n";
        let folder = PathBuf::from("/outside/glance-replicator-core-1.2.3");
        let package = "glance-replicator-core".to_owned();
        let written = manifest(workspace, examples, &[Unpacked { package, folder }]);
        for line in [
            "glance-core = { package = \"glance-replicator-core\", version = \"1.2.3\" }",
            "[dependencies]\nbytes.workspace = true",
            "glance-replicator-core = { path = \"/outside/glance-replicator-core-1.2.3\" }",
        ] {
            assert!(written.contains(line), "{line} is not in {written}");
        }
        assert_eq!(written.matches("path = ").count(), 1);
        assert!(!written.contains("lints") && !written.contains("tests = "));
    }
}
