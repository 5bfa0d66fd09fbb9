//! The release, built and tested with the oldest supported Rust: Debian 13's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::debian_root::{HOME, Root, TIME, User, logged};
use crate::dist::vendor;
use crate::failure::{Context, Failure};
use crate::output::say;
use crate::shell::succeed;
use crate::workspace;

/// Unpacks the tarballs of the release in a root, and builds and tests both variants there, as an
/// ordinary user without a network. The optimized builds with the same Rust are those of
/// `cargo xtask dist`.
pub(crate) fn run() -> Result<(), Failure> {
    let target = workspace::target()?;
    let directory = target.join("packages-rust");
    let root = Root::make(&directory, PACKAGES)?;
    let source = unpack(&root, &target.join("dist"))?;
    succeed(root.isolated(User::Builder, "rustc")?.arg("--version"))?;
    for variant in ["rustls", "openssl"] {
        let log = directory.join(format!("check-{variant}.log"));
        say(format_args!("$ make check VARIANT={variant}, see {}", log.display()));
        let mut make = root.isolated(User::Builder, "time")?;
        make.args(TIME).args(["make", "--directory", &source, "check", FLAGS]);
        logged(make.arg(format!("VARIANT={variant}")), &log)?;
        say(format_args!("  {}", root.figures()?));
        say(format_args!("  {} tests passed", passed(&log)?));
    }
    say("packages: Debian's Rust builds both variants, and the tests pass");
    Ok(())
}

/// The number of tests that passed, from the output of `cargo test`.
fn passed(log: &Path) -> Result<u32, Failure> {
    let text = fs::read_to_string(log).context(|| log.display().to_string())?;
    let count = |line: &str| {
        let (number, _) = line.strip_prefix("test result: ok. ")?.split_once(" passed")?;
        number.parse::<u32>().ok()
    };
    match text.lines().filter_map(count).sum() {
        0 => Err(Failure::new(format!("no test ran: see {}", log.display()))),
        passed => Ok(passed),
    }
}

/// Unpacks the source and the vendored crates, and returns the path of the source in the root.
fn unpack(root: &Root, dist: &Path) -> Result<String, Failure> {
    let [source, vendor] = [find(dist, ".tar.gz")?, find(dist, "-vendor.tar.xz")?];
    let inside = format!("{HOME}/source");
    let folder = root.path(&inside);
    succeed(Command::new("rm").args(["-rf", "--one-file-system"]).arg(&folder))?;
    fs::create_dir_all(&folder).context(|| folder.display().to_string())?;
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--strip-components=1", "--directory"]).arg(&folder);
    succeed(tar.arg("--file").arg(source))?;
    let mut tar = Command::new("tar");
    succeed(tar.args(["--extract", "--directory"]).arg(&folder).arg("--file").arg(vendor))?;
    let settings = folder.join("vendored.toml");
    fs::write(&settings, vendor::settings(&format!("{inside}/vendor")))
        .context(|| settings.display().to_string())?;
    root.give_to_builder(&inside)?;
    Ok(inside)
}

/// The tarball of `cargo xtask dist` with this end of its name.
fn find(dist: &Path, end: &str) -> Result<PathBuf, Failure> {
    let pattern = format!("glance-replicator-{}{end}", env!("CARGO_PKG_VERSION"));
    let path = dist.join(pattern);
    match path.exists() {
        true => Ok(path),
        false => Err(Failure::new(format!("{} is missing: run cargo xtask dist", path.display()))),
    }
}

const FLAGS: &str = "CARGOFLAGS=--frozen --config vendored.toml";

/// The build requirements of `packaging/debian`, and what measures the build.
const PACKAGES: &[&str] = &[
    "ca-certificates",
    "cargo",
    "gcc",
    "libc6-dev",
    "libssl-dev",
    "libzstd-dev",
    "make",
    "openssl",
    "pkgconf",
    "rustc",
    "time",
];
