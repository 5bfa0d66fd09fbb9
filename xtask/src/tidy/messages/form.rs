//! The form in which texts of the sources and lines of the page are compared.

/// The form of a text of the sources, with placeholders such as `{path}`.
pub(super) fn of_source(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        let end = from.find('}').unwrap_or(0) + 1;
        (plain, rest) = match from.get(..2) {
            Some("{{") => (plain + "{", &from[2..]),
            Some("}}") => (plain + "}", &from[2..]),
            _ => (plain + "PLACEHOLDER", &from[end..]),
        };
    }
    of_line(&(plain + rest))
}

/// The form of a line of the page: each word in capitals, such as `PATH`, is `*`. Quotation marks are
/// left out, and so are blanks, punctuation and placeholders at both ends, because a text is often a
/// part of a longer one.
pub(super) fn of_line(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut form = String::new();
    let mut rest = &*words.join(" ");
    while let Some(next) = rest.chars().next() {
        let length = capitals(rest);
        match (length > 1, next) {
            (true, _) => form.push('*'),
            (false, '"') => {}
            (false, _) => form.push(next),
        }
        rest = &rest[length.max(next.len_utf8())..];
    }
    form.trim_matches(|c: char| " *,:;.()".contains(c)).to_owned()
}

/// The length of the word in capitals at the beginning of a text.
fn capitals(text: &str) -> usize {
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let length = text.find(|c| !is_part(c)).unwrap_or(text.len());
    if text.starts_with(|c: char| c.is_ascii_uppercase()) { length } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_and_the_page_have_the_same_form() {
        for (source, page) in [
            ("cannot read {}", "cannot read FILE"),
            ("cannot read {path:?} of {}", "cannot read \"PATH\" of STORE"),
            ("{prefix}the target did not receive {}", "the target did not receive IMAGES"),
            ("; {images} images were not started", "COUNT images were not started"),
            ("the pin{has}, wrong", "the pinREST, wrong"),
            ("{owner}_domain", "OWNER_domain"),
            ("no TLS library", "no TLS library"),
            ("write {{job}} in {path}, or {{", "write {job} in PATH, or {"),
            ("{a}{b} differ", "LEFT differ"),
            ("a \n b", "a b"),
        ] {
            assert_eq!(of_source(source), of_line(page), "{source}");
        }
    }

    #[test]
    fn other_words_are_another_form() {
        for (source, page) in [
            ("cannot read {}", "cannot write FILE"),
            ("cannot read {} of {}", "cannot read FILE"),
            ("cannot read {} now", "cannot read file now"),
            ("the name is A", "the name is B"),
            ("write {{job}} in the path", "write JOB in the path"),
        ] {
            assert_ne!(of_source(source), of_line(page), "{source}");
        }
    }
}
