//! The columns that text takes on a terminal.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The number of columns that a text takes.
pub(crate) fn columns_of(text: &str) -> usize {
    text.width()
}

/// The text, cut off or filled with spaces so that it takes exactly this number of columns. A cut is
/// marked by `…`.
pub(crate) fn fitted(text: &str, columns: usize) -> String {
    let mut fitted = match columns_of(text) > columns {
        true => cut(text, columns),
        false => text.to_owned(),
    };
    let missing = columns.saturating_sub(columns_of(&fitted));
    fitted.extend(std::iter::repeat_n(' ', missing));
    fitted
}

fn cut(text: &str, columns: usize) -> String {
    let Some(most) = columns.checked_sub(1) else { return String::new() };
    let (mut kept, mut used) = (String::new(), 0);
    for next in text.chars() {
        used += next.width().unwrap_or(0);
        if used > most {
            break;
        }
        kept.push(next);
    }
    // A character can join the one before, so the whole may be narrower or wider than its parts.
    while columns_of(&kept) > most {
        kept.pop();
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_takes_the_columns_it_is_given() {
        for (text, columns, expected) in [
            ("abc", 5, "abc  "),
            ("abcdef", 5, "abcd…"),
            ("abcde", 5, "abcde"),
            // Each of these characters takes two columns.
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日… "),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
            ("abc", 1, "…"),
            ("abc", 0, ""),
            ("", 2, "  "),
        ] {
            let found = fitted(text, columns);
            assert_eq!((found.as_str(), columns_of(&found)), (expected, columns), "{text}");
        }
    }
}
