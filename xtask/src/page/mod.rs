//! `cargo xtask page`: opens HTML reports in a real Chromium, and sorts, filters, prints and examines
//! them there, with the accessibility rules of axe.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::failure::{Context, Failure};
use crate::output::say;
use crate::shell::{cargo, install, succeed};
use crate::stamp::once;
use crate::workspace;

/// Makes the pages of the sample reports and checks them.
pub(crate) fn run() -> Result<(), Failure> {
    let directory = workspace::target()?.join("page");
    fs::create_dir_all(&directory).context(|| directory.display().to_string())?;
    install_programs()?;
    install_packages(&directory)?;
    succeed(script("samples.mjs").arg(&directory))?;
    write_pages(&directory)?;
    succeed(script("check.mjs").arg(&directory).arg(CHROMIUM))?;
    say(format_args!("page: look at the pictures in {}", directory.join("looks").display()));
    Ok(())
}

/// Installs Chromium, poppler's `pdftotext`, and Node.js, unless they are installed.
fn install_programs() -> Result<(), Failure> {
    let is_missing = |(program, option, _): &&(&str, &str, &str)| {
        Command::new(program)
            .arg(option)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_err()
    };
    let missing: Vec<&str> = PROGRAMS.iter().filter(is_missing).map(|found| found.2).collect();
    match missing.is_empty() {
        true => Ok(()),
        false => install(&missing),
    }
}

/// Installs the npm packages, whose versions `package.json` has.
fn install_packages(directory: &Path) -> Result<(), Failure> {
    once(&directory.join("installed"), PACKAGES, || {
        let list = directory.join("package.json");
        fs::write(&list, PACKAGES).context(|| list.display().to_string())?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund"]);
        succeed(npm.current_dir(directory))
    })
}

/// Writes the page of each sample, with the function that the tool uses.
fn write_pages(directory: &Path) -> Result<(), Failure> {
    cargo(&["build", "--package", "glance-replicator", "--example", "page"])?;
    let example = workspace::target()?.join("debug/examples/page");
    for entry in fs::read_dir(directory).context(|| directory.display().to_string())? {
        let report = entry.context(|| directory.display().to_string())?.path();
        let is_sample = report.extension().is_some_and(|extension| extension == "json");
        if is_sample && !report.ends_with("package.json") {
            succeed(Command::new(&example).arg(&report).arg(report.with_extension("html")))?;
        }
    }
    Ok(())
}

/// A script of `xtask/page`.
fn script(name: &str) -> Command {
    let mut node = Command::new("node");
    node.arg(workspace::root().join("xtask/page").join(name));
    node
}

/// Programs, an option that ends them, and their Debian packages.
const PROGRAMS: &[(&str, &str, &str)] = &[
    (CHROMIUM, "--version", "chromium"),
    ("pdftotext", "-v", "poppler-utils"),
    ("node", "--version", "nodejs"),
    ("npm", "--version", "npm"),
];

const CHROMIUM: &str = "/usr/bin/chromium";
const PACKAGES: &str = include_str!("../../page/package.json");
