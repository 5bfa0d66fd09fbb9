//! The guide: the pages in `docs/`, which are part of the binary.
//!
//! `replicator-cli/docs` is a link to the folder `docs` of the repository. `cargo package` replaces
//! the link by the pages, so the crate also builds from its package.

mod render;

/// A page of the guide.
#[derive(Debug)]
pub(crate) struct Page {
    /// The word after `help` that prints the page: the name of its file.
    pub(crate) topic: &'static str,
    /// The text in Markdown.
    pub(crate) markdown: &'static str,
}

impl Page {
    /// The title, such as "Selection: select images".
    pub(crate) fn title(&self) -> &'static str {
        let first = self.markdown.lines().next().unwrap_or_default();
        first.trim_start_matches(['#', ' '])
    }

    /// The page as plain text for a terminal with this number of columns.
    pub(crate) fn text(&self, columns: usize) -> String {
        render::text(self.markdown, columns)
    }
}

/// The page about a topic.
pub(crate) fn page(topic: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.topic == topic)
}

macro_rules! pages {
    ($($topic:literal),* $(,)?) => {
        &[$(Page {
            topic: $topic,
            markdown: include_str!(concat!("../../docs/", $topic, ".md")),
        }),*]
    };
}

/// All pages, in the order of `docs/SUMMARY.md`.
pub(crate) const PAGES: &[Page] = pages![
    "install",
    "first-copy",
    "one-image",
    "nightly",
    "air-gap",
    "edge",
    "scale",
    "old-tool",
    "fips",
    "private-ca",
    "exit-codes",
    "troubleshooting",
    "json",
    "security",
    "performance",
    "copy",
    "transfer",
    "selection",
    "sync",
    "mapping",
    "placement",
    "metadefs",
    "verify",
    "recovery",
    "jobs",
    "monitoring",
    "progress",
    "reports",
    "dump-format",
    "oci",
    "serve",
    "sign-in",
    "clouds",
    "tls",
    "proxy",
    "doctor",
    "build",
    "write-a-store",
    "write-a-transport",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::exit::Exit;

    /// The folder `docs`.
    fn docs() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
    }

    #[test]
    fn every_file_of_the_guide_is_a_page() {
        let files = std::fs::read_dir(docs()).unwrap().map(|entry| entry.unwrap().path());
        let files = files.filter(|path| path.extension().is_some_and(|it| it == "md"));
        let names = files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
        let names: BTreeSet<String> = names.filter(|name| name != "SUMMARY").collect();
        let topics: BTreeSet<String> = PAGES.iter().map(|page| page.topic.to_owned()).collect();
        assert_eq!(topics, names);
    }

    #[test]
    fn the_book_has_the_pages_in_the_same_order() {
        let summary = std::fs::read_to_string(docs().join("SUMMARY.md")).unwrap();
        let link = |line: &str| Some(line.split_once("](")?.1.strip_suffix(".md)")?.to_owned());
        let chapters: Vec<String> = summary.lines().filter_map(link).collect();
        let topics: Vec<&str> = PAGES.iter().map(|page| page.topic).collect();
        assert_eq!(chapters, topics);
    }

    #[test]
    fn every_exit_code_has_a_row() {
        let page = page("exit-codes").unwrap();
        let rows = page.markdown.lines().filter_map(|line| line.strip_prefix("| "));
        let codes = rows.filter_map(|row| row.split(" | ").next());
        let codes = codes.flat_map(|cell| cell.split(", ")).filter_map(|code| code.parse().ok());
        let described: BTreeSet<u64> = codes.collect();
        let exists = |code: &u64| Exit::of_code(*code) as u64 == *code;
        let existing: BTreeSet<u64> = (0..256).filter(exists).collect();
        assert_eq!(described, existing);
    }

    #[test]
    fn every_page_fits_the_terminal_and_has_no_markup_left() {
        for page in PAGES {
            for columns in [80, 100] {
                let text = page.text(columns);
                assert!(text.starts_with(page.title()), "{}", page.topic);
                for line in text.lines().filter(|line| !line.starts_with("    ")) {
                    // A single word, such as the name of a test, is not divided.
                    let is_word = !line.trim_start_matches(['-', ' ']).contains(' ');
                    let too_wide = line.chars().count() > columns && !is_word;
                    assert!(!too_wide, "{} at {columns}: {line}", page.topic);
                    let has_markup = ["**", "](", "| --", "```"].iter().any(|it| line.contains(it));
                    assert!(!has_markup, "{}: {line}", page.topic);
                }
            }
        }
    }
}
