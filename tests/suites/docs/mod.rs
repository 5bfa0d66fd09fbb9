//! The documents: every command line that they show is accepted, and the commands of the guide and
//! of the README work, in the order in which they stand there.
//!
//! The kind of a code block says what happens to it:
//!
//! | block | |
//! | --- | --- |
//! | `sh` | runs in bash; a command fails the test unless it succeeds |
//! | `console` | lines that begin with `$ ` run; each other line must be in the output of the command above it, where `…` stands for any text |
//! | `sh host` | not run, because it needs root, systemd, a package manager or a cluster; its syntax is checked |
//! | `toml NAME`, `yaml NAME` | written to the file `NAME` before the next command |
//! | `text` | nothing: messages and other text |
//!
//! A command with the comment `# exit code N`, or `# …; exit code N`, must end with this code.

mod block;
mod line;
mod page_run;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use block::{Block, Kind, Page};

use crate::support::stage::Stage;

/// Every Markdown file of the repository.
fn pages() -> Vec<Page> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    markdown_files(root, &mut files);
    files.sort();
    let pages: Vec<Page> = files.iter().map(|file| Page::read(root, file)).collect();
    assert!(pages.iter().any(|page| page.name == "README.md"));
    assert!(pages.iter().any(|page| page.name == "docs/install.md"));
    pages
}

fn markdown_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_link = path.is_symlink();
        if path.is_dir()
            && !is_link
            && name != "target"
            && name != "vendor"
            && !name.starts_with('.')
        {
            markdown_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// Fails the test with all faults at once.
#[track_caller]
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_command_line_is_accepted() {
    let mut faults = Vec::new();
    let mut checked = 0;
    for page in pages() {
        let texts = page.blocks.iter().map(|block| (block.line, block.commands()));
        let spans = page.spans.iter().filter(|(_, text)| text.starts_with("glance-replicator "));
        for (line, text) in texts.chain(spans.cloned()) {
            for words in line::command_lines(&text).into_iter().chain(line::bare_options(&text)) {
                checked += 1;
                if let Some(fault) = line::fault(&words) {
                    faults.push(format!("{}:{line}: {}: {fault}", page.name, words.join(" ")));
                }
            }
        }
    }
    none(&faults);
    assert!(checked > 120, "only {checked} command lines were found");
}

#[test]
fn every_option_exists() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for page in pages().iter().filter(|page| page.is_for_users()) {
        for (line, code) in &page.spans {
            for name in line::option_names(code) {
                places.entry(name).or_default().push(format!("{}:{line}", page.name));
            }
        }
    }
    assert!(places.len() > 100, "only {} options were found", places.len());
    let unknown = places.iter().filter(|(name, _)| !line::option_exists(name));
    let fault = |(name, places): (&String, &Vec<String>)| {
        format!("there is no option {name}: {}", places.join(", "))
    };
    none(&unknown.map(fault).collect::<Vec<_>>());
}

#[test]
fn every_shell_block_has_a_kind_and_valid_syntax() {
    let mut faults = Vec::new();
    for page in pages() {
        for block in &page.blocks {
            let place = format!("{}:{}", page.name, block.line);
            let begins = |line: &str| line.starts_with("glance-replicator ");
            if block.kind == Kind::Other && block.text.lines().any(begins) {
                faults.push(format!("{place}: write ```sh, ```console or ```sh host"));
            }
            if block.kind == Kind::Other {
                continue;
            }
            let mut bash = Command::new("bash");
            let checked = bash.args(["-n", "-c", &block.commands()]).output().unwrap();
            if !checked.status.success() {
                faults.push(format!("{place}: {}", String::from_utf8_lossy(&checked.stderr)));
            }
        }
    }
    none(&faults);
}

#[test]
fn the_clouds_of_the_first_page_can_be_used() {
    let pages = pages();
    let page = pages.iter().find(|page| page.name == "docs/first-copy.md").unwrap();
    let texts = page.blocks.iter().filter(|block| block.kind == Kind::Yaml);
    let texts: Vec<&str> = texts.map(|block| &*block.text).collect();
    let [clouds, secure] = texts[..] else { panic!("{texts:?}") };
    let stage = Stage::new();
    let path = |name: &str| stage.directory.path().join(name);
    let ca = path("ca.pem").display().to_string();
    fs::write(path("clouds.yaml"), clouds.replace("/etc/ssl/private-ca.pem", &ca)).unwrap();
    fs::write(path("secure.yaml"), secure).unwrap();
    let run = stage.run("glance-replicator clouds", 0);
    for said in ["sign-in   v3applicationcredential at", "sign-in   password at", "secure.yaml"] {
        assert!(run.stdout.contains(said), "{said}: {}", run.stdout);
    }
    assert!(!run.stdout.contains("unusable"), "{}", run.stdout);
}

/// Pages with commands that need jq or openssl. Everything else needs only what every system has.
const WITH_OTHER_TOOLS: &[&str] = &["docs/json.md", "docs/private-ca.md", "docs/reports.md"];

#[test]
fn the_commands_work() {
    let runs = |page: &Page| {
        let has_tools = cfg!(feature = "full") || !WITH_OTHER_TOOLS.contains(&&*page.name);
        has_tools && page.is_for_users() && page.blocks.iter().any(Block::runs)
    };
    let pages: Vec<Page> = pages().into_iter().filter(runs).collect();
    assert!(pages.len() > 15, "only {} pages have commands", pages.len());
    let halves = pages.chunks(pages.len().div_ceil(4));
    let faults: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = halves
            .map(|pages| {
                scope.spawn(|| pages.iter().flat_map(page_run::faults).collect::<Vec<_>>())
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    none(&faults);
}
