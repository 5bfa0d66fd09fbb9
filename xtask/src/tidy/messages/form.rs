//! The form in which texts of the sources and lines of the page are compared.

use std::collections::BTreeSet;

/// A text or a line without what differs from one error to the next.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// Each word in capitals and each placeholder is `*`. Quotation marks are left out, and so are
    /// blanks, punctuation and `*` at both ends, because a text is often a part of a longer one.
    pub(super) text: String,
    /// The words in capitals.
    capitals: BTreeSet<String>,
}

impl Form {
    /// The form of a text of the sources, with placeholders such as `{path}`. The placeholder `{s}`
    /// is the plural, as in `image{s}`. Another placeholder that follows a letter is left out.
    pub(super) fn of_source(text: &str) -> Self {
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            plain.push_str(before);
            let end = from.find('}').unwrap_or(0) + 1;
            let (piece, length) = match from.get(..2) {
                Some("{{") => ("{", 2),
                Some("}}") => ("}", 2),
                _ if from.starts_with("{s}") => ("s", end),
                _ if plain.ends_with(char::is_lowercase) => ("", end),
                _ => ("{}", end),
            };
            plain.push_str(piece);
            rest = &from[length..];
        }
        Self::of_line(&(plain + rest))
    }

    /// The form of a line of the page, with placeholders such as `PATH`.
    pub(super) fn of_line(line: &str) -> Self {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (mut form, mut capitals) = (String::new(), BTreeSet::new());
        let mut rest = &*words.join(" ");
        while let Some(next) = rest.chars().next() {
            let word = placeholder(rest);
            match (word, next) {
                ("", '"') => {}
                ("", _) => form.push(next),
                _ if form.ends_with('*') => {}
                _ => form.push('*'),
            }
            capitals.extend((word.starts_with(char::is_uppercase)).then(|| word.to_owned()));
            rest = &rest[word.len().max(next.len_utf8())..];
        }
        let text = form.trim_matches(|c: char| " *,:;.()".contains(c)).to_owned();
        Self { text, capitals }
    }

    /// Whether a line of the page is for a text of the sources with this form. The line has other
    /// words in capitals, too: those for the placeholders.
    pub(super) fn is_in(&self, line: &Self) -> bool {
        self.text == line.text && self.capitals.is_subset(&line.capitals)
    }
}

/// The word in capitals or in braces at the beginning of a text, or nothing.
fn placeholder(text: &str) -> &str {
    if let Some(end) = text.find('}').filter(|_| text.starts_with('{')) {
        let is_name = text[1..end].chars().all(|c| c.is_alphanumeric() || c == '_');
        return if is_name { &text[..=end] } else { "" };
    }
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let length = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let is_word = length > 1 && text.starts_with(|c: char| c.is_ascii_uppercase());
    if is_word { text[..length].trim_end_matches('_') } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_described(source: &str, page: &str) -> bool {
        Form::of_source(source).is_in(&Form::of_line(page))
    }

    #[test]
    fn a_source_is_on_the_page() {
        for (source, page) in [
            ("cannot read {}", "cannot read FILE"),
            ("cannot read {path:?} of {}", "cannot read \"PATH\" of STORE"),
            ("{prefix}the target did not receive {}", "the target did not receive IMAGES"),
            ("; {images} image{s} not started", "COUNT images not started"),
            ("image{s} of {}, wrong", "images of STORE, wrong"),
            ("plural{ending} of {}", "plural of STORE"),
            ("{owner}_domain", "OWNER_domain"),
            ("no TLS library of {}", "no TLS library of NAME"),
            ("write {{job}} in {path}, or {{", "write {job} in PATH, or {"),
            ("the address has no {id}: wrong", "the address has no {id}: wrong"),
            ("{a}{b} differ", "LEFT differ"),
            ("a \n b", "a b"),
        ] {
            assert!(is_described(source, page), "{source}");
        }
    }

    #[test]
    fn other_words_are_another_message() {
        for (source, page) in [
            ("cannot read {}", "cannot write FILE"),
            ("cannot read {} of {}", "cannot read FILE"),
            ("cannot read {} now", "cannot read file now"),
            ("{} is not a URL", "TEXT is not a PIN"),
            ("the name is A", "the name is B"),
        ] {
            assert!(!is_described(source, page), "{source}");
        }
    }
}
