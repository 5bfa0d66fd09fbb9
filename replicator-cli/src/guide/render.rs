//! Markdown as plain text for a terminal. It has no colours, so it reads the same in a pipe.

use std::mem::take;

use comfy_table::{ContentArrangement, Table, presets};
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use textwrap::WordSplitter;

/// The text of a page, wrapped at `columns` except for code.
pub(super) fn text(markdown: &str, columns: usize) -> String {
    let mut renderer = Renderer { columns, ..Renderer::default() };
    let events = Parser::new_ext(markdown, Options::ENABLE_TABLES);
    events.for_each(|event| renderer.event(event));
    renderer.out
}

#[derive(Default)]
struct Renderer {
    columns: usize,
    out: String,
    /// The text of the open heading, paragraph, code block or cell.
    text: String,
    /// The target of the open link, and the place in `text` where the link begins.
    link: Option<(String, usize)>,
    /// The open lists, outermost first.
    lists: Vec<List>,
    /// The mark of the open item, until its first paragraph is written.
    mark: Option<String>,
    /// The rows of the open table; the first one is the heading.
    rows: Vec<Vec<String>>,
}

struct List {
    /// The number of the next item, if items are numbered.
    next: Option<u64>,
    /// The width of the mark of the open item.
    indent: usize,
    /// Whether an item was written.
    has_items: bool,
}

impl Renderer {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(Tag::List(next)) => {
                self.end_paragraph();
                let has_items = !self.lists.is_empty();
                self.lists.push(List { next, indent: 0, has_items });
            }
            Event::Start(Tag::Item) => self.begin_item(),
            Event::Start(Tag::Link { dest_url, .. }) => {
                self.link = Some((dest_url.into_string(), self.text.len()));
            }
            // A picture is its description in words.
            Event::Start(Tag::Image { .. }) => self.text.push_str("(Picture: "),
            Event::Start(Tag::TableHead | Tag::TableRow) => self.rows.push(Vec::new()),
            Event::Text(text) => self.text.push_str(&text),
            Event::Code(code) => self.text.extend(["`", &code, "`"]),
            Event::SoftBreak | Event::HardBreak => self.text.push(' '),
            Event::End(tag) => self.end(tag),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(level) => self.end_heading(level),
            TagEnd::Paragraph | TagEnd::Item => self.end_paragraph(),
            TagEnd::CodeBlock => self.end_code(),
            TagEnd::Link => self.end_link(),
            TagEnd::Image => self.text.push(')'),
            TagEnd::List(_) => drop(self.lists.pop()),
            TagEnd::TableCell => {
                if let Some(row) = self.rows.last_mut() {
                    row.push(take(&mut self.text));
                }
            }
            TagEnd::Table => self.end_table(),
            _ => {}
        }
    }

    fn begin_item(&mut self) {
        let Some(list) = self.lists.last_mut() else { return };
        let mark = match &mut list.next {
            None => "- ".to_owned(),
            Some(number) => {
                *number += 1;
                format!("{}. ", *number - 1)
            }
        };
        list.indent = mark.len();
        self.mark = Some(mark);
    }

    fn end_heading(&mut self, level: HeadingLevel) {
        let title = take(&mut self.text);
        let line = if level == HeadingLevel::H1 { "=" } else { "-" };
        self.block(&format!("{title}\n{}", line.repeat(title.chars().count())));
    }

    fn end_paragraph(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let text = take(&mut self.text);
        let indent: usize = self.lists.iter().map(|list| list.indent).sum();
        let rest = " ".repeat(indent);
        let mark = self.mark.take();
        let first = match &mark {
            Some(mark) => format!("{}{mark}", " ".repeat(indent - mark.len())),
            None => rest.clone(),
        };
        let options = textwrap::Options::new(self.columns)
            .initial_indent(&first)
            .subsequent_indent(&rest)
            .break_words(false)
            .word_splitter(WordSplitter::NoHyphenation);
        let text = textwrap::fill(&text, options);
        match (&mark, self.lists.last_mut()) {
            // The items of a list follow each other without an empty line.
            (Some(_), Some(list)) if list.has_items => self.line(&text),
            (_, list) => {
                if let Some(list) = list {
                    list.has_items = true;
                }
                self.block(&text);
            }
        }
    }

    fn end_code(&mut self) {
        let code = take(&mut self.text);
        let lines: Vec<String> = code.lines().map(|line| format!("    {line}")).collect();
        self.block(&lines.join("\n"));
    }

    /// Writes a link to another page as the command that prints the page.
    fn end_link(&mut self) {
        let Some((target, start)) = self.link.take() else { return };
        let file = target.split('#').next().unwrap_or_default();
        let Some(page) = file.strip_suffix(".md").and_then(super::page) else { return };
        if &self.text[start..] == file {
            self.text.truncate(start);
            self.text.extend(["`help ", page.topic, "`"]);
        } else {
            self.text.extend([" (`help ", page.topic, "`)"]);
        }
    }

    fn end_table(&mut self) {
        let mut rows = take(&mut self.rows).into_iter();
        let mut table = Table::new();
        table.load_preset(presets::ASCII_HORIZONTAL_ONLY);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(self.columns).unwrap_or(u16::MAX));
        table.set_header(rows.next().unwrap_or_default());
        table.add_rows(rows);
        let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        self.block(&lines.join("\n"));
    }

    /// Writes lines after an empty line.
    fn block(&mut self, text: &str) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.line(text);
    }

    fn line(&mut self, text: &str) {
        self.out.extend([text, "\n"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_lists_and_links_become_plain_text() {
        let markdown = "# Title\n\nOne\n`two` **three** ([sync.md](sync.md#states)) and [four](tls.md)\nwords.\n\n\
            1. first\n2. second of\n   the list\n   - inner\n\nEnd, [five](https://a.invalid).\n\n```\nlong  code\n```\n";
        let expected = "Title\n=====\n\nOne `two` three (`help sync`) and\nfour (`help tls`) words.\n\n\
            1. first\n2. second of the list\n   - inner\n\nEnd, five.\n\n    long  code\n";
        assert_eq!(text(markdown, 34), expected);
    }

    #[test]
    fn a_picture_becomes_its_description() {
        let markdown = "One:\n\n![two\nthree](images/four.svg)\n\nFive.\n";
        assert_eq!(text(markdown, 80), "One:\n\n(Picture: two three)\n\nFive.\n");
    }

    #[test]
    fn a_table_fits_the_width() {
        let markdown =
            "| option | effect |\n| --- | --- |\n| `-a` | one two three four |\n| `-b` | five |\n";
        let found = text(markdown, 24);
        assert!(found.lines().all(|line| line.chars().count() <= 24), "{found}");
        for cell in ["option", "effect", "`-a`", "one two", "four", "`-b`", "five"] {
            assert!(found.contains(cell), "{cell} is not in\n{found}");
        }
    }
}
