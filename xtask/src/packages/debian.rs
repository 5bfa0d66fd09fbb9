//! The Debian packages: installed, used, replaced by each other and purged.

use std::fs;
use std::path::{Path, PathBuf};

use super::snapshot::Snapshot;
use super::system::{System, expect};
use super::{glance, lintian};
use crate::debian_root::Root;
use crate::failure::{Context, Failure};
use crate::output::say;
use crate::workspace;

/// A package of the tool.
pub(crate) struct Package {
    pub(crate) name: &'static str,
    file: PathBuf,
    symbols: PathBuf,
    /// What `--version` says about the TLS library.
    library: &'static str,
}

/// Checks both packages in a fresh Debian 13 each, and next to Glance.
pub(crate) fn run() -> Result<(), Failure> {
    let packages = built(&workspace::target()?.join("dist"))?;
    let directory = workspace::target()?.join("packages-debian");
    let root = Root::make(&directory, PACKAGES)?;
    let copy = directory.join("copy");
    let files = packages.each_ref().map(|package| &*package.file);
    lintian::check(System::copy(&root, &copy)?, &files)?;
    let system = System::copy(&root, &copy)?;
    system.update()?;
    for package in &packages {
        say(format_args!("packages: {}", package.name));
        one_package(&system, package)?;
    }
    say("packages: one variant replaces the other");
    replacement(&system, &packages)?;
    system.remove()?;
    for package in &packages {
        say(format_args!("packages: {} next to Glance", package.name));
        let system = System::copy(&root, &copy)?;
        glance::check(&system, package.name, &system.bring(&package.file)?)?;
        system.remove()?;
    }
    say("packages: the Debian packages pass");
    Ok(())
}

/// The packages in the directory of `cargo xtask dist`.
fn built(dist: &Path) -> Result<[Package; 2], Failure> {
    let package = |name, library| {
        let (file, symbols) = (find(dist, name)?, find(dist, &format!("{name}-dbgsym"))?);
        Ok::<_, Failure>(Package { name, file, symbols, library })
    };
    Ok([package("glance-replicator", "rustls")?, package("glance-replicator-openssl", "OpenSSL")?])
}

/// The file of a package.
fn find(dist: &Path, name: &str) -> Result<PathBuf, Failure> {
    let start = format!("{name}_");
    if let Ok(entries) = fs::read_dir(dist) {
        for entry in entries {
            let path = entry.context(|| dist.display().to_string())?.path();
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            if file.starts_with(&start) && file.ends_with(".deb") {
                return Ok(path);
            }
        }
    }
    let text = format!("{} has no package {name}: run cargo xtask dist", dist.display());
    Err(Failure::new(text))
}

/// Installs a package, uses everything in it, and purges it.
fn one_package(system: &System, package: &Package) -> Result<(), Failure> {
    let file = system.bring(&package.file)?;
    system.download(&[&file])?;
    let before = Snapshot::of(system)?;
    let accounts = accounts(system)?;
    system.install(&[&file])?;
    use_tool(system, package)?;
    read_manual(system)?;
    complete(system)?;
    units(system, &accounts)?;
    debug_symbols(system, package)?;
    list_of_crates(system)?;
    purge(system, package)?;
    before.expect_same(&Snapshot::of(system)?)?;
    // Only this test system loses the account, so that the next package creates it again.
    system.run(&["userdel", ACCOUNT]).map(drop)
}

/// Asks the tool what it is, and runs the package's own test: `doctor`, a refused copy, and a
/// copy between two servers over HTTPS.
fn use_tool(system: &System, package: &Package) -> Result<(), Failure> {
    let said = system.run_as_user(&["glance-replicator", "--version"])?;
    expect(&said, &[env!("CARGO_PKG_VERSION"), package.library])?;
    let test = system.bring(&workspace::root().join("packaging/debian/tests/copy"))?;
    expect(&system.run_as_user(&["sh", &test])?, &["2 copied and verified", "passed"])
}

/// Reads the manual as a user does, and searches it.
fn read_manual(system: &System) -> Result<(), Failure> {
    let page = system.run_as_user(&["sh", "-c", "man glance-replicator | head -n 12"])?;
    expect(&page, &["NAME", "glance-replicator"])?;
    let found = system.run_as_user(&["apropos", "glance-replicator"])?;
    let pages = ["glance-replicator (1)", "glance-replicator-livecopy (1)"];
    expect(&found, &pages)?;
    expect(&found, &["glance-replicator-clouds (5)", "glance-replicator-tls (7)"])
}

/// Completes a command in bash, which finds the completions as it does at a terminal.
fn complete(system: &System) -> Result<(), Failure> {
    let said = system.run_as_user(&["bash", "-c", COMPLETE])?;
    match said.lines().any(|line| line.trim_end() == "livecopy") {
        true => Ok(()),
        false => Err(Failure::new("bash does not complete `livec`")),
    }
}

/// The account of the units exists, and nothing else is new. Nothing was started.
fn units(system: &System, before: &str) -> Result<(), Failure> {
    let new: Vec<String> = accounts(system)?
        .lines()
        .filter(|line| !before.lines().any(|known| known == *line))
        .map(str::to_owned)
        .collect();
    match new.as_slice() {
        [account] if account.starts_with("glance-replicator:") => say(account),
        other => return Err(Failure::new(format!("these accounts are new: {other:?}"))),
    }
    for unit in ["glance-replicator@.service", "glance-replicator@.timer"] {
        system.run(&["test", "-f", &format!("/usr/lib/systemd/system/{unit}")])?;
    }
    let enabled = system.run(&["find", "/etc/systemd", "-name", "glance-replicator*"])?;
    match enabled.is_empty() {
        true => Ok(()),
        false => Err(Failure::new("the installation enabled a unit")),
    }
}

fn accounts(system: &System) -> Result<String, Failure> {
    let file = system.path("/etc/passwd");
    fs::read_to_string(&file).context(|| file.display().to_string())
}

/// The package of debug symbols belongs to exactly this binary.
fn debug_symbols(system: &System, package: &Package) -> Result<(), Failure> {
    system.install(&[&system.bring(&package.symbols)?])?;
    let notes = system.run(&["readelf", "--notes", "/usr/bin/glance-replicator"])?;
    let id = notes.lines().find_map(|line| line.trim().strip_prefix("Build ID: "));
    let (start, rest) = id.and_then(|id| id.split_at_checked(2)).ok_or_else(no_build_id)?;
    system.run(&["test", "-f", &format!("/usr/lib/debug/.build-id/{start}/{rest}.debug")])?;
    system.run(&["apt-get", "purge", "-y", &format!("{}-dbgsym", package.name)]).map(drop)
}

/// The binary lists its crates for `cargo audit`.
fn list_of_crates(system: &System) -> Result<(), Failure> {
    let sections = ["readelf", "--sections", "--wide", "/usr/bin/glance-replicator"];
    expect(&system.run(&sections)?, &[".dep-v0"])
}

fn no_build_id() -> Failure {
    Failure::new("the binary has no build id")
}

/// Purging removes what runs wrote for themselves, and keeps what the administrator put there.
fn purge(system: &System, package: &Package) -> Result<(), Failure> {
    write_state(system)?;
    system.run(&["apt-get", "remove", "-y", package.name])?;
    expect_state(system, "/journal/run.ndjson /digests.ndjson /metrics/a.prom /dump/disk.img")?;
    system.run(&["apt-get", "purge", "-y", "--autoremove", package.name])?;
    expect_state(system, "/dump/disk.img")?;
    system.run(&["rm", "-r", STATE]).map(drop)
}

/// Writes what the units would write, and a dump of the administrator.
fn write_state(system: &System) -> Result<(), Failure> {
    for file in ["journal/run.ndjson", "digests.ndjson", "metrics/a.prom", "dump/disk.img"] {
        system.write(&format!("{STATE}/{file}"), "written by a test\n")?;
    }
    Ok(())
}

/// Fails unless the state directory has exactly these files.
fn expect_state(system: &System, files: &str) -> Result<(), Failure> {
    let found = system.run(&["find", STATE, "-type", "f", "-printf", "/%P\n"])?;
    let mut found: Vec<&str> = found.lines().collect();
    let mut wanted: Vec<&str> = files.split(' ').collect();
    found.sort_unstable();
    wanted.sort_unstable();
    match found == wanted {
        true => Ok(()),
        false => Err(Failure::new(format!("{STATE} has {found:?} instead of {wanted:?}"))),
    }
}

/// Installing one variant removes the other one and keeps the state, also when the removed variant
/// is purged later.
fn replacement(system: &System, packages: &[Package; 2]) -> Result<(), Failure> {
    let before = Snapshot::of(system)?;
    let [first, second] = packages;
    let all = "/journal/run.ndjson /digests.ndjson /metrics/a.prom /dump/disk.img";
    system.install(&[&system.bring(&first.file)?])?;
    write_state(system)?;
    for (old, new) in [(first, second), (second, first)] {
        system.install(&[&system.bring(&new.file)?])?;
        expect(&system.run(&["glance-replicator", "--version"])?, &[new.library])?;
        system.run(&["apt-get", "purge", "-y", old.name])?;
        expect_state(system, all)?;
        no_broken_package(system, &[new.name])?;
    }
    system.run(&["apt-get", "purge", "-y", "--autoremove", first.name])?;
    expect_state(system, "/dump/disk.img")?;
    system.run(&["rm", "-r", STATE])?;
    before.expect_same(&Snapshot::of(system)?)
}

/// dpkg finds no half-installed package, and every file of these packages as it was packed.
pub(crate) fn no_broken_package(system: &System, names: &[&str]) -> Result<(), Failure> {
    let audit = system.run(&["dpkg", "--audit"])?;
    let verified = system.run(&[&["dpkg", "--verify"], names].concat())?;
    match audit.is_empty() && verified.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(format!("dpkg finds faults:\n{audit}{verified}"))),
    }
}

const ACCOUNT: &str = "glance-replicator";
const STATE: &str = "/var/lib/glance-replicator";

/// Asks bash for the completions of `glance-replicator livec`.
const COMPLETE: &str = r#"
source /usr/share/bash-completion/bash_completion
_comp_load glance-replicator || exit 1
function=$(complete -p glance-replicator | sed 's/.* -F \([^ ]*\) .*/\1/')
COMP_WORDS=(glance-replicator livec) COMP_CWORD=1 COMP_TYPE=9 COMP_KEY=9
COMP_LINE='glance-replicator livec' COMP_POINT=23
$function glance-replicator livec glance-replicator
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// What the checks use, and what the packages depend on: the comparison of files before and after
/// is then about our packages alone.
const PACKAGES: &[&str] = &[
    "bash-completion",
    "binutils",
    "ca-certificates",
    "man-db",
    "openssl",
    "systemd-standalone-sysusers",
];
