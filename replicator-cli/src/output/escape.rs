//! Escapes untrusted text, such as image names, before it is printed.
//!
//! Every line that is printed, reported or logged is escaped here. Characters that move the cursor,
//! change the terminal's title, reverse the text direction or end a line act only where this
//! program writes them itself.

use std::borrow::Cow;
use std::fmt::Write;

/// Replaces every control character and invisible character of a line by an escape such as `\n` or
/// `\u{1b}`.
pub(crate) fn escaped(line: &str) -> Cow<'_, str> {
    with_escapes(line, is_harmless, |out, c| out.extend(c.escape_default()))
}

/// Replaces the same characters of a JSON document by escapes such as `\u001b`. Line feeds are
/// kept: JSON strings contain none.
pub(super) fn escaped_json(document: &str) -> Cow<'_, str> {
    let is_kept = |c| c == '\n' || is_harmless(c);
    with_escapes(document, is_kept, |out, c| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    })
}

/// The name in double quotes, with inner quotes escaped.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\\\""))
}

/// The name of an image, or its label, in double quotes, unless the image has no name.
pub(crate) fn named(label: &str) -> String {
    match label {
        "" | NO_NAME => NO_NAME.to_owned(),
        name => quoted(name),
    }
}

/// The label of an image without a name.
pub(crate) const NO_NAME: &str = "(no name)";

fn with_escapes(
    text: &str,
    is_kept: impl Fn(char) -> bool,
    escape: impl Fn(&mut String, char),
) -> Cow<'_, str> {
    if text.chars().all(&is_kept) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_kept(c) {
            true => out.push(c),
            false => escape(&mut out, c),
        }
    }
    out.into()
}

/// Whether a character is visible and has no effect on the terminal.
fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}'
            // Letters and a pattern without a glyph: Hangul fillers, Khmer vowels, empty Braille.
            | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}'
            // Widths and joiners, marks of direction.
            | '\u{200b}'..='\u{200f}'
            // Line and paragraph separators, embeddings, overrides and isolates.
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            // Musical controls, tags, and variants beyond those of emoji.
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_quoted_unless_there_is_none() {
        for (label, expected) in [("a", r#""a""#), ("", "(no name)"), ("(no name)", "(no name)")] {
            assert_eq!(named(label), expected);
        }
    }

    #[test]
    fn control_characters_are_escaped() {
        for (text, expected) in [
            ("a name, ä 名前 🖥️ \\n", "a name, ä 名前 🖥️ \\n"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{9b}2J\u{85}\u{7f}", "\\u{9b}2J\\u{85}\\u{7f}"),
            ("a\r\nerror: b\t", "a\\r\\nerror: b\\t"),
            (
                "gpj\u{202e}.exe\u{2066}\u{200f}\u{61c}",
                "gpj\\u{202e}.exe\\u{2066}\\u{200f}\\u{61c}",
            ),
            ("a\u{2028}b\u{2029}", "a\\u{2028}b\\u{2029}"),
            ("ro\u{200b}ot\u{feff}\u{e0041}", "ro\\u{200b}ot\\u{feff}\\u{e0041}"),
            ("a\u{3164}b\u{115f}\u{2800}", "a\\u{3164}b\\u{115f}\\u{2800}"),
            ("\0", "\\u{0}"),
        ] {
            assert_eq!(escaped(text), expected);
        }
    }

    #[test]
    fn escaped_json_has_the_same_value() {
        let value = serde_json::json!({ "a\u{9b}": ["\u{202e}\u{7f}\n\u{1b}", "\u{e0041}", "ä"] });
        let text = format!("{value:#}");
        let shown = escaped_json(&text);
        let escapes = "\\u202e\\u007f\\n\\u001b";
        assert!(shown.contains(escapes) && shown.contains("\\udb40\\udc41"), "{shown}");
        assert!(shown.chars().all(|c| c == '\n' || is_harmless(c)), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
