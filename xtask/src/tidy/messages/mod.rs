//! Every message of the sources stands in `docs/troubleshooting.md`, and the page has no other
//! messages, so that an operator finds what a message means.
//!
//! - A **text** is a string literal of a shipped crate. Tests, help, debug messages, and what a method
//!   `hint` is given are left out (`collect.rs`).
//! - A text is a **message** if it is the `#[error("…")]` of an error type, or if it has at least three
//!   words and does not begin with an imperative. An imperative begins a hint, such as `check the port`,
//!   or an operation, such as `read the record`. Folders that only print results are left out
//!   (`rule.rs`).
//! - The page has each message on a line of a `text` block. Placeholders are words in capitals there:
//!   `cannot read {}` is `cannot read FILE` (`form.rs`). A message that is built from parts has a line
//!   for each part.
//! - The page may have a line for any other text too, such as a message of two words, but not for a
//!   text that no source has, and no line twice.

use std::collections::BTreeMap;
use std::fs;

use super::source::Source;
use crate::failure::{Context, Failure};
use crate::workspace;

mod collect;
mod form;
mod page;
mod rule;

use collect::Text;
use form::Form;
use page::PAGE;

/// Messages without an entry on the page, and entries without a message.
pub(super) fn breaches(sources: &[Source]) -> Result<Vec<String>, Failure> {
    let page = fs::read_to_string(workspace::root().join(PAGE)).context(|| PAGE)?;
    let mut texts = Vec::new();
    for source in sources.iter().filter(|source| source.is_shipped()) {
        let found = collect::texts(&source.text).context(|| &source.name)?;
        texts.extend(found.into_iter().map(|text| (&*source.name, text)));
    }
    Ok(differences(&texts, &page))
}

/// The differences between texts, each with the name of its file, and the page.
fn differences(texts: &[(&str, Text)], page: &str) -> Vec<String> {
    let lines = page::messages(page);
    let described: Vec<Form> = lines.iter().map(|(_, line)| Form::of_line(line)).collect();
    let said: Vec<Form> = texts.iter().map(|(_, text)| Form::of_source(&text.value)).collect();
    let mut breaches = Vec::new();
    for ((file, text), form) in texts.iter().zip(&said) {
        if rule::is_message(file, text) && !described.iter().any(|line| form.is_in(line)) {
            let place = format!("{file}:{}", text.line);
            breaches.push(format!("{place}: {PAGE} does not have {:?}; describe it", text.value));
        }
    }
    let mut earlier = BTreeMap::new();
    for ((number, line), form) in lines.into_iter().zip(&described) {
        if !said.iter().any(|text| text.is_in(form)) {
            breaches.push(format!("{PAGE}:{number}: no source has {line:?}; remove the line"));
        }
        if let Some(first) = earlier.insert(line, number) {
            breaches.push(format!("{PAGE}:{number}: {line:?} is also in line {first}"));
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE_TEXT: &str = "# Messages\n\n```text\ncannot read FILE\n```\n\nThe disk is broken.\n";

    /// The differences between a source and the page above.
    fn found(source: &str) -> Vec<String> {
        let texts = collect::texts(source).unwrap();
        let texts: Vec<_> = texts.into_iter().map(|text| ("a/src/b.rs", text)).collect();
        differences(&texts, PAGE_TEXT)
    }

    const READ: &str = "fn f() { g(format!(\"cannot read {path}\")) }\n";

    #[test]
    fn a_described_message_is_no_breach() {
        assert_eq!(found(READ), [""; 0]);
    }

    #[test]
    fn a_new_message_is_a_breach_with_its_place() {
        let breaches = found(&format!("{READ}fn h() {{ g(\"there is no such image\") }}"));
        assert_eq!(breaches.len(), 1, "{breaches:?}");
        assert!(breaches[0].starts_with("a/src/b.rs:2: docs/troubleshooting.md does not have"));
    }

    #[test]
    fn a_changed_message_makes_the_line_of_the_page_stale() {
        let breaches = found("fn f() { g(\"cannot open {path}\") }");
        assert_eq!(breaches.len(), 2, "{breaches:?}");
        assert!(breaches[1].starts_with("docs/troubleshooting.md:4: no source has"));
    }

    #[test]
    fn hints_operations_and_short_texts_need_no_line() {
        for other in ["check the address and the port", "read the record", "a hard link"] {
            assert_eq!(found(&format!("{READ}const A: &str = \"{other}\";")), [""; 0], "{other}");
        }
    }

    #[test]
    fn a_line_that_stands_twice_is_a_breach() {
        let page = format!("{PAGE_TEXT}\n```text\ncannot read FILE\n```\n");
        let texts = collect::texts(READ).unwrap().into_iter().map(|text| ("a/src/b.rs", text));
        let breaches = differences(&texts.collect::<Vec<_>>(), &page);
        assert_eq!(breaches.len(), 1, "{breaches:?}");
        assert!(breaches[0].contains("is also in line 4"), "{breaches:?}");
    }
}
