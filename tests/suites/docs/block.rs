//! Markdown files: their code blocks and the code in their text.

use std::fs;
use std::path::Path;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A Markdown file.
pub(super) struct Page {
    /// Its path below the root of the repository.
    pub(super) name: String,
    pub(super) blocks: Vec<Block>,
    /// Code in the text, with the numbers of its lines.
    pub(super) spans: Vec<(usize, String)>,
}

/// A code block.
pub(super) struct Block {
    pub(super) line: usize,
    pub(super) kind: Kind,
    pub(super) text: String,
}

/// What happens to a code block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Shell,
    Console,
    Host,
    File(String),
    Yaml,
    Text,
    Other,
}

impl Page {
    pub(super) fn read(root: &Path, file: &Path) -> Self {
        let markdown = fs::read_to_string(file).unwrap();
        let name = file.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let mut page = Self { name, blocks: Vec::new(), spans: Vec::new() };
        let mut is_in_block = false;
        for (event, range) in Parser::new_ext(&markdown, Options::ENABLE_TABLES).into_offset_iter()
        {
            let line = markdown[..range.start].lines().count().max(1);
            match event {
                Event::Start(Tag::CodeBlock(info)) => {
                    is_in_block = true;
                    page.blocks.push(Block { line, kind: Kind::of(&info), text: String::new() });
                }
                Event::End(TagEnd::CodeBlock) => is_in_block = false,
                Event::Text(text) if is_in_block => page.blocks.last_mut().unwrap().text += &text,
                Event::Code(code) => page.spans.push((line, code.replace('\n', " "))),
                _ => {}
            }
        }
        page
    }

    /// Whether the page is about the use of the tool, not about its development or its packages.
    pub(super) fn is_for_users(&self) -> bool {
        self.name == "README.md" || self.name.starts_with("docs/")
    }
}

impl Kind {
    fn of(info: &CodeBlockKind<'_>) -> Self {
        let CodeBlockKind::Fenced(info) = info else { return Self::Other };
        match info.split_once(' ').unwrap_or((info, "")) {
            ("sh", "") => Self::Shell,
            ("text", "") => Self::Text,
            ("console", "") => Self::Console,
            ("sh", "host") => Self::Host,
            ("yaml", "") => Self::Yaml,
            ("toml" | "yaml", name) if !name.is_empty() => Self::File(name.to_owned()),
            _ => Self::Other,
        }
    }
}

impl Block {
    pub(super) fn runs(&self) -> bool {
        matches!(self.kind, Kind::Shell | Kind::Console)
    }

    /// The commands of the block, without prompts and output.
    pub(super) fn commands(&self) -> String {
        match self.kind {
            Kind::Console => {
                let steps = self.steps();
                steps.iter().flat_map(|(command, _)| [command, "\n"]).collect()
            }
            Kind::File(_) | Kind::Yaml | Kind::Text => String::new(),
            _ => self.text.clone(),
        }
    }

    /// The commands of the block, each with the lines of output that it shows.
    pub(super) fn steps(&self) -> Vec<(String, Vec<String>)> {
        if self.kind != Kind::Console {
            return vec![(self.text.clone(), Vec::new())];
        }
        let mut steps: Vec<(String, Vec<String>)> = Vec::new();
        for line in self.text.lines() {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push((command.to_owned(), Vec::new())),
                (None, Some((command, _))) if command.ends_with('\\') => {
                    command.extend(["\n", line]);
                }
                (None, Some((_, output))) => output.push(line.to_owned()),
                (None, None) => panic!("a console block begins with a command, not with {line}"),
            }
        }
        steps
    }
}
