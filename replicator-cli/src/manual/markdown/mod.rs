//! Markdown as the source of a manual page.

use std::collections::BTreeSet;
use std::mem::take;

use clap_mangen::roff::{Inline, Roff, bold, italic, line_break, roman};
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::{Reference, reference};
use crate::guide;

mod table;

/// A page of the guide for troff.
pub(super) struct Body {
    /// The sections of the page.
    pub(super) source: Roff,
    /// The other pages that the page names.
    pub(super) references: BTreeSet<Reference>,
}

/// The page without its title.
pub(super) fn body(markdown: &str) -> Body {
    let mut renderer = Renderer::default();
    let events = Parser::new_ext(markdown, Options::ENABLE_TABLES);
    events.for_each(|event| renderer.event(event));
    Body { source: renderer.roff, references: renderer.references }
}

#[derive(Default)]
struct Renderer {
    roff: Roff,
    references: BTreeSet<Reference>,
    /// The text of the open heading, paragraph, code block or cell.
    text: Vec<Inline>,
    /// The kinds of text that are open, such as emphasis.
    fonts: Vec<Font>,
    /// The target of the open link, and the place in `text` where the link begins.
    link: Option<(String, usize)>,
    /// The open lists, outermost first.
    lists: Vec<List>,
    /// The mark of the open item, until its first paragraph is written.
    mark: Option<String>,
    /// The rows of the open table; the first one is the heading.
    rows: Vec<table::Row>,
    /// What stands in front of the next block.
    above: Above,
}

enum Font {
    Bold,
    Italic,
}

struct List {
    /// The number of the next item, if items are numbered.
    next: Option<u64>,
    /// Whether the list stands inside an item that has text in front of it.
    is_inner: bool,
}

impl List {
    /// The indentation of the items' text, in characters.
    fn indent(&self) -> usize {
        if self.next.is_some() { 4 } else { 2 }
    }
}

/// What stands in front of a block.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Above {
    /// Nothing of the page: the next block opens its first section.
    #[default]
    Nothing,
    Heading,
    Block,
}

impl Renderer {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => self.push(&text),
            Event::Code(code) => self.text.push(bold(&*code)),
            Event::SoftBreak => self.push(" "),
            Event::HardBreak => self.text.push(line_break()),
            _ => {}
        }
    }

    fn push(&mut self, text: &str) {
        self.text.push(match self.fonts.last() {
            Some(Font::Bold) => bold(text),
            Some(Font::Italic) => italic(text),
            None => roman(text),
        });
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::List(next) => {
                self.end_paragraph();
                let outer = self.lists.last().map(|outer| outer.indent().to_string());
                if let Some(indent) = &outer {
                    self.roff.control("RS", [indent.as_str()]);
                }
                self.lists.push(List { next, is_inner: outer.is_some() });
            }
            Tag::Item => self.begin_item(),
            Tag::Link { dest_url, .. } => {
                self.link = Some((dest_url.into_string(), self.text.len()));
            }
            // A picture is represented by the text that describes it.
            Tag::Image { .. } => self.push("["),
            Tag::Strong => self.fonts.push(Font::Bold),
            Tag::Emphasis => self.fonts.push(Font::Italic),
            Tag::BlockQuote(_) => {
                self.open();
                self.roff.control("RS", ["4"]);
            }
            Tag::TableHead | Tag::TableRow => self.rows.push(Vec::new()),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(level) => self.end_heading(level),
            TagEnd::Paragraph | TagEnd::Item => self.end_paragraph(),
            TagEnd::CodeBlock => self.end_code(),
            TagEnd::Link => self.end_link(),
            TagEnd::Image => self.push("]"),
            TagEnd::Strong | TagEnd::Emphasis => drop(self.fonts.pop()),
            TagEnd::BlockQuote(_) => {
                self.roff.control("RE", []);
            }
            TagEnd::List(_) => self.end_list(),
            TagEnd::TableCell => {
                if let Some(row) = self.rows.last_mut() {
                    row.push(take(&mut self.text));
                }
            }
            TagEnd::Table => {
                self.open();
                self.space();
                table::write(&take(&mut self.rows), &mut self.roff);
            }
            _ => {}
        }
    }

    fn end_list(&mut self) {
        if self.lists.pop().is_some_and(|list| list.is_inner) {
            self.roff.control("RE", []);
        }
    }

    fn begin_item(&mut self) {
        let Some(list) = self.lists.last_mut() else { return };
        self.mark = Some(match &mut list.next {
            None => r"\(bu".to_owned(),
            Some(number) => {
                *number += 1;
                format!("{}.", *number - 1)
            }
        });
    }

    fn end_heading(&mut self, level: HeadingLevel) {
        let text = plain(&take(&mut self.text));
        let name = match level {
            // The title is the NAME section of the page.
            HeadingLevel::H1 => return,
            HeadingLevel::H2 => "SH",
            _ => "SS",
        };
        self.roff.control(name, [&*argument(&text)]);
        self.above = Above::Heading;
    }

    /// Opens the first section, unless a heading has.
    fn open(&mut self) {
        if self.above == Above::Nothing {
            self.roff.control("SH", ["DESCRIPTION"]);
            self.above = Above::Heading;
        }
    }

    /// Separates a block that is no paragraph from the one in front of it.
    fn space(&mut self) {
        if self.above == Above::Block {
            self.roff.control("sp", []);
        }
        self.above = Above::Block;
    }

    fn end_paragraph(&mut self) {
        if self.text.is_empty() {
            return;
        }
        self.open();
        let text = take(&mut self.text);
        match (self.lists.last(), self.mark.take()) {
            (Some(list), Some(mark)) => {
                let indent = list.indent().to_string();
                self.roff.control("IP", [&*mark, &*indent]);
            }
            (Some(_), None) => {
                self.roff.control("IP", []);
            }
            (None, _) if self.above == Above::Block => {
                self.roff.control("PP", []);
            }
            (None, _) => {}
        }
        self.above = Above::Block;
        self.roff.text(text);
    }

    fn end_code(&mut self) {
        let code = plain(&take(&mut self.text));
        self.open();
        self.space();
        let indent = 4 + self.lists.last().map_or(0, List::indent);
        let indent = indent.to_string();
        self.roff.control("RS", [&*indent]).control("EX", []);
        for line in code.lines() {
            self.roff.text([roman(line)]);
        }
        self.roff.control("EE", []).control("RE", []);
    }

    /// Writes a link to another page as a reference to its manual page.
    fn end_link(&mut self) {
        let Some((target, start)) = self.link.take() else { return };
        let text = plain(self.text.get(start..).unwrap_or_default());
        if target.contains("://") {
            if text != target {
                self.text.push(roman(format!(" <{target}>")));
            }
            return;
        }
        let file = target.split('#').next().unwrap_or_default();
        let Some(page) = file.strip_suffix(".md").and_then(guide::page) else { return };
        let Reference { name, section } = reference(page);
        if text == file {
            self.text.truncate(start);
            self.text.extend([bold(&*name), roman(format!("({section})"))]);
        } else {
            self.text.extend([roman(" ("), bold(&*name), roman(format!("({section}))"))]);
        }
        self.references.insert(Reference { name, section });
    }
}

/// The text without fonts.
fn plain(text: &[Inline]) -> String {
    let text = text.iter().map(|part| match part {
        Inline::Roman(text) | Inline::Bold(text) | Inline::Italic(text) => text.as_str(),
        Inline::LineBreak => " ",
    });
    text.collect()
}

/// The text as the argument of a request, which `roff` only puts into quotes.
fn argument(text: &str) -> String {
    text.replace('\\', r"\e").replace('-', r"\-").replace('"', r"\(dq")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of the page after the preamble.
    fn lines(markdown: &str) -> String {
        body(markdown).source.to_roff()
    }

    #[test]
    fn paragraphs_lists_and_code_have_the_macros_of_man() {
        let markdown = "# Title\n\nOne *two* **three** `--four`\nfive.\n\n## A \"part\": `-x`\n\nSix.\n\n\
            - a\n- b\n\n  more\n  1. inner\n\n```\n.code  here\n```\n\nEnd.\n";
        let expected = "\
.SH DESCRIPTION
One \\fItwo\\fR \\fBthree\\fR \\fB\\-\\-four\\fR five.
.SH \"A \\(dqpart\\(dq: \\-x\"
Six.
.IP \\(bu 2
a
.IP \\(bu 2
b
.IP
more
.RS 2
.IP 1. 4
inner
.RE
.sp
.RS 4
.EX
\\&.code  here
.EE
.RE
.PP
End.
";
        assert_eq!(lines(markdown), expected);
    }

    #[test]
    fn links_become_references_and_addresses() {
        let markdown = "See [sync.md](sync.md#states), [trust](tls.md), [here](#x), \
            [site](https://a.invalid), ![two boxes](a.svg).\n";
        let expected = ".SH DESCRIPTION\nSee \\fBglance\\-replicator\\-sync\\fR(7), trust \
            (\\fBglance\\-replicator\\-tls\\fR(7)), here, site <https://a.invalid>, [two boxes].\n";
        assert_eq!(lines(markdown), expected);
        let names: Vec<String> =
            body(markdown).references.into_iter().map(|page| page.name).collect();
        assert_eq!(names, ["glance-replicator-sync", "glance-replicator-tls"]);
    }
}
