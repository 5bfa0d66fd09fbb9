//! The page `docs/troubleshooting.md`: its messages are the lines of its `text` blocks.

/// Where the page is, below the root of the workspace.
pub(super) const PAGE: &str = "docs/troubleshooting.md";

/// The messages of the page, each with the number of its line.
pub(super) fn messages(markdown: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut is_in_block = false;
    for (number, line) in (1..).zip(markdown.lines()) {
        match line {
            "```text" => is_in_block = true,
            "```" => is_in_block = false,
            _ if is_in_block => found.push((number, line)),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::messages;

    #[test]
    fn only_text_blocks_have_messages() {
        let page =
            "# A\n\n```text\nno FILE\nno PATH\n```\n\nB\n\n```sh\nls\n```\n\n```text\nc\n```\n";
        assert_eq!(messages(page), [(4, "no FILE"), (5, "no PATH"), (15, "c")]);
    }
}
