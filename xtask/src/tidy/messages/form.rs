//! The form in which texts of the sources and lines of the page are compared.

/// A text without what differs from one error to the next: each placeholder (`{path}` in the sources,
/// `PATH` on the page) is `*`. Quotation marks are left out, and so are blanks, punctuation and
/// placeholders at both ends, because a text is often a part of a longer one.
pub(super) fn form(text: &str) -> String {
    let mut form = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let (length, piece) = piece(rest).unwrap_or((next.len_utf8(), &rest[..next.len_utf8()]));
        match piece {
            "\"" => {}
            "*" if form.ends_with('*') => {}
            blank if blank.trim().is_empty() && (form.is_empty() || form.ends_with(' ')) => {}
            blank if blank.trim().is_empty() => form.push(' '),
            _ => form.push_str(piece),
        }
        rest = &rest[length..];
    }
    form.trim_matches(|c: char| c.is_whitespace() || "*,:;.()".contains(c)).to_owned()
}

/// The length of a placeholder or an escaped brace at the beginning of a text, and what it becomes.
fn piece(text: &str) -> Option<(usize, &'static str)> {
    if text.starts_with("{{") {
        return Some((2, "{"));
    }
    if text.starts_with("}}") {
        return Some((2, "}"));
    }
    if text.starts_with('{') {
        return Some((text.find('}')? + 1, "*"));
    }
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let length = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let is_word = length > 1 && text.starts_with(|c: char| c.is_ascii_uppercase());
    is_word.then_some((length, "*"))
}

#[cfg(test)]
mod tests {
    use super::form;

    #[test]
    fn a_source_and_the_page_have_the_same_form() {
        for (source, page) in [
            ("cannot read {}", "cannot read FILE"),
            ("cannot read {path:?} of {}", "cannot read \"PATH\" of STORE"),
            ("{prefix}the target did not receive {}", "the target did not receive IMAGES"),
            ("; {images} images were not started", "COUNT images were not started"),
            ("the pin{has}", "the pin"),
            ("no TLS library", "no TLS library"),
            ("write `{{` for a brace", "write `{` for a brace"),
            ("{a}{b} differ", "LEFT differ"),
            ("a \n b", "a b"),
        ] {
            assert_eq!(form(source), form(page), "{source}");
        }
    }

    #[test]
    fn other_words_are_another_form() {
        for (source, page) in [
            ("cannot read {}", "cannot write FILE"),
            ("cannot read {} of {}", "cannot read FILE"),
            ("cannot read {}", "cannot read file"),
            ("the name is A", "the name is B"),
        ] {
            assert_ne!(form(source), form(page), "{source}");
        }
    }
}
