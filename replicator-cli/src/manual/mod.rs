//! The manual pages: section 1 from the definition of the command line, sections 5 and 7 from the
//! pages of the guide.
//!
//! The pages depend only on the release, so that every build of it writes the same bytes.

mod command;
mod facts;
mod markdown;
mod troff;

use std::collections::BTreeSet;
use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use crate::args::Args;
use crate::guide;

/// A manual page.
pub(crate) struct ManualPage {
    /// The name and the section.
    pub(crate) reference: Reference,
    /// The source for troff.
    pub(crate) source: String,
}

/// The name and the section by which a page is found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) section: u8,
}

/// The date of the release, in the heading of each page.
const RELEASED: &str = "2026-11-30";

const TOOL: &str = "glance-replicator";

/// All pages.
///
/// # Errors
/// Never in practice: the pages are written to memory.
pub(crate) fn pages() -> io::Result<Vec<ManualPage>> {
    let mut tree = Args::tree().version(env!("CARGO_PKG_VERSION"));
    tree.build();
    let mut pages = Vec::new();
    command::pages(&tree, &mut pages)?;
    for page in guide::PAGES {
        pages.push(of_guide(page, &tree)?);
    }
    Ok(pages)
}

/// The manual page of a page of the guide.
fn reference(page: &guide::Page) -> Reference {
    // The page about a file format belongs to the section of file formats.
    let section = if page.topic == "clouds" { 5 } else { 7 };
    Reference { name: format!("{TOOL}-{}", page.topic), section }
}

/// The manual page of a command, such as `report merge`; of the tool itself, if the name is empty.
fn of_command(name: &str) -> Reference {
    let name = [&[TOOL], &*name.split_whitespace().collect::<Vec<_>>()].concat().join("-");
    Reference { name, section: 1 }
}

fn of_guide(page: &guide::Page, tree: &Command) -> io::Result<ManualPage> {
    let own = reference(page);
    let body = markdown::body(page.markdown);
    let mut others = body.references;
    others.insert(of_command(""));
    if tree.find_subcommand(page.topic).is_some() {
        others.insert(of_command(page.topic));
    }
    others.remove(&own);
    let mut end = Roff::new();
    see_also(&mut end, others);
    let mut start = Roff::new();
    start.control("SH", ["NAME"]).text([roman(format!("{} - {}", own.name, page.title()))]);
    let source = [title(&own)?, start.render(), body.source.render(), end.render()].concat();
    Ok(ManualPage { reference: own, source: troff::finished(&source) })
}

/// The heading of a page.
fn title(page: &Reference) -> io::Result<String> {
    let manual = match page.section {
        1 => "User Commands",
        5 => "File Formats",
        _ => "Guide to glance-replicator",
    };
    let man = Man::new(Command::new(TOOL)).title(page.name.to_uppercase());
    let man = man.section(page.section.to_string()).date(RELEASED).manual(manual);
    let man = man.source(format!("{TOOL} {}", env!("CARGO_PKG_VERSION")));
    rendered(|out| man.render_title(out))
}

/// The text that a function writes.
fn rendered(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<String> {
    let mut out = Vec::new();
    write(&mut out)?;
    String::from_utf8(out).map_err(io::Error::other)
}

fn see_also(roff: &mut Roff, pages: BTreeSet<Reference>) {
    let mut text: Vec<Inline> = Vec::new();
    for Reference { name, section } in pages {
        if !text.is_empty() {
            text.push(roman(", "));
        }
        text.extend([bold(name), roman(format!("({section})"))]);
    }
    roff.control("SH", ["SEE ALSO"]).text(text);
}

#[cfg(test)]
mod tests;
