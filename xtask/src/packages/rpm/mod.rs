//! The RPM packages: inspected, installed, used and erased, also next to RDO's Glance.

mod old_glance;
mod requirements;

use std::path::{Path, PathBuf};

use super::snapshot::Snapshot;
use super::system::{System, expect};
use crate::debian_root::Root;
use crate::failure::Failure;
use crate::output::say;
use crate::workspace;

/// The tool with one TLS library.
struct Variant {
    name: &'static str,
    /// What `--version` says about the TLS library.
    library: &'static str,
}

impl Variant {
    /// The package in which the program has another name.
    fn renamed(&self) -> String {
        format!("{}-rs", self.name)
    }

    /// The file of one of its packages, in the directory of `cargo xtask dist`.
    fn file(dist: &Path, package: &str) -> Result<PathBuf, Failure> {
        let name = format!("{package}-{}-1.x86_64.rpm", env!("CARGO_PKG_VERSION"));
        let file = dist.join(name);
        match file.exists() {
            true => Ok(file),
            false => Err(Failure::new(format!("no {}: run cargo xtask dist", file.display()))),
        }
    }
}

/// Checks the packages of both variants, in a Debian 13 that has rpm.
pub(crate) fn run() -> Result<(), Failure> {
    let dist = workspace::target()?.join("dist");
    let directory = workspace::target()?.join("packages-rpm");
    let root = Root::make(&directory, PACKAGES)?;
    for variant in &VARIANTS {
        say(format_args!("packages: the RPM packages of {}", variant.name));
        let system = System::copy(&root, &directory.join("copy"))?;
        let files = bring(&system, &dist, variant)?;
        inspect(&system, &files)?;
        provide_libraries(&system, &files)?;
        one_package(&system, variant, &files[0])?;
        debug_symbols(&system, variant, &files)?;
        one_at_a_time(&system, &dist, variant, &files)?;
        old_glance::check(&system, variant, &files)?;
        system.remove()?;
    }
    say("packages: the RPM packages pass");
    Ok(())
}

/// Copies a variant's packages into the system: the program, the renamed program, and the debug
/// symbols of both.
fn bring(system: &System, dist: &Path, variant: &Variant) -> Result<[String; 4], Failure> {
    let bring = |package: &str| system.bring(&Variant::file(dist, package)?);
    let renamed = variant.renamed();
    Ok([
        bring(variant.name)?,
        bring(&renamed)?,
        bring(&format!("{}-debuginfo", variant.name))?,
        bring(&format!("{renamed}-debuginfo"))?,
    ])
}

/// The digests are right, every file is where packages have it, and rpmlint finds nothing that
/// `rpmlint.toml` does not explain.
fn inspect(system: &System, files: &[String; 4]) -> Result<(), Failure> {
    for file in files {
        expect(&system.run(&["rpm", "--checksig", file])?, &["digests OK"])?;
    }
    for (file, suffix) in [(&files[0], ""), (&files[1], "-rs")] {
        let list = system.run(&["rpm", "--query", "--list", "--package", file])?;
        let lines: Vec<&str> = list.lines().collect();
        for path in NAMED {
            let path = path.replace("NAME", &format!("glance-replicator{suffix}"));
            let is_there = |line: &&str| **line == path || **line == format!("{path}.gz");
            if !lines.iter().any(is_there) {
                return Err(Failure::new(format!("{file} has no {path}")));
            }
        }
    }
    let config = system.bring(&workspace::root().join("packaging/rpm/rpmlint.toml"))?;
    let spec = system.bring(&workspace::root().join("packaging/rpm/glance-replicator.spec"))?;
    let mut line = vec!["rpmlint", "--strict", "--config", &config, &spec];
    line.extend(files.iter().map(String::as_str));
    system.run_as_user(&line).map(drop)
}

/// Provides what the packages require; rpm does not know the libraries of Debian.
fn provide_libraries(system: &System, files: &[String; 4]) -> Result<(), Failure> {
    let mut all = String::new();
    for file in files {
        all += &requirements::of(system, file)?;
    }
    requirements::provide(system, &all)
}

/// Installs the package, uses it, and erases it. The account of the units is all that stays, as in
/// every RPM distribution.
fn one_package(system: &System, variant: &Variant, file: &str) -> Result<(), Failure> {
    let before = Snapshot::of(system)?;
    system.run(&["rpm", "--install", file])?;
    let said = system.run_as_user(&["glance-replicator", "--version"])?;
    expect(&said, &[env!("CARGO_PKG_VERSION"), variant.library])?;
    let test = system.bring(&workspace::root().join("packaging/debian/tests/copy"))?;
    expect(&system.run_as_user(&["sh", &test])?, &["2 copied and verified", "passed"])?;
    system.run(&["rpm", "--verify", variant.name])?;
    system.run(&["getent", "passwd", "glance-replicator"])?;
    system.run(&["rpm", "--erase", variant.name])?;
    before.expect_same(&Snapshot::of(system)?)
}

/// The package of debug symbols belongs to exactly this program.
fn debug_symbols(system: &System, variant: &Variant, files: &[String; 4]) -> Result<(), Failure> {
    let symbols = format!("{}-debuginfo", variant.name);
    system.run(&["rpm", "--install", &files[0], &files[2]])?;
    let notes = system.run(&["readelf", "--notes", "/usr/bin/glance-replicator"])?;
    let id = notes.lines().find_map(|line| line.trim().strip_prefix("Build ID: "));
    let (start, rest) = id
        .and_then(|id| id.split_at_checked(2))
        .ok_or_else(|| Failure::new("the program has no build id"))?;
    system.run(&["test", "-f", &format!("/usr/lib/debug/.build-id/{start}/{rest}.debug")])?;
    system.run(&["rpm", "--erase", &symbols, variant.name]).map(drop)
}

/// A package of this program refuses every other one: the other TLS library, the other name.
fn one_at_a_time(
    system: &System,
    dist: &Path,
    variant: &Variant,
    files: &[String; 4],
) -> Result<(), Failure> {
    system.run(&["rpm", "--install", &files[0]])?;
    let before = Snapshot::of(system)?;
    let mut others = vec![files[1].clone()];
    for other in VARIANTS.iter().filter(|other| other.name != variant.name) {
        others.push(system.bring(&Variant::file(dist, other.name)?)?);
        others.push(system.bring(&Variant::file(dist, &other.renamed())?)?);
    }
    for other in &others {
        let said = system.refuses(&["rpm", "--install", other])?;
        expect(&said, &["glance-replicator-program", "conflicts with"])?;
    }
    before.expect_same(&Snapshot::of(system)?)?;
    system.run(&["rpm", "--erase", variant.name]).map(drop)
}

/// Both variants.
const VARIANTS: [Variant; 2] = [
    Variant { name: "glance-replicator", library: "rustls" },
    Variant { name: "glance-replicator-openssl", library: "OpenSSL" },
];

/// Paths that depend on the name of the program.
const NAMED: &[&str] = &[
    "/usr/bin/NAME",
    "/usr/lib/systemd/system/NAME@.service",
    "/usr/lib/systemd/system/NAME@.timer",
    "/usr/share/bash-completion/completions/NAME",
    "/usr/share/fish/vendor_completions.d/NAME.fish",
    "/usr/share/man/man1/NAME.1",
    "/usr/share/man/man1/NAME-livecopy.1",
    "/usr/share/man/man5/glance-replicator-clouds.5",
    "/usr/share/zsh/site-functions/_NAME",
];

/// What the checks use, and the libraries of the program.
const PACKAGES: &[&str] = &[
    "binutils",
    "ca-certificates",
    "libssl3t64",
    "libzstd1",
    "openssl",
    // debootstrap does not know what provides a name that rpmlint's dependencies have.
    "python3-cffi-backend",
    "rpm",
    "rpmlint",
];
