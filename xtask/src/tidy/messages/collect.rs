//! The texts of a source: its string literals, without those that no operator reads.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::Lit;

use crate::failure::{Context, Failure};

/// A string literal of a source.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Text {
    /// The line of the literal, from 1.
    pub(super) line: usize,
    /// The value, such as `cannot read {path}`.
    pub(super) value: String,
    /// Whether the literal is the `#[error("…")]` of an error type.
    pub(super) is_error: bool,
}

/// The texts of a Rust source in the order of its lines. Left out are tests, attributes, and what is
/// passed to a macro or a method that reports no fault.
pub(super) fn texts(source: &str) -> Result<Vec<Text>, Failure> {
    let tokens: TokenStream = source.parse().context(|| "not Rust")?;
    let mut found = Vec::new();
    walk(tokens, false, &mut found);
    Ok(found)
}

/// Macros whose texts are no messages: the log below warnings, the report, JSON, and bugs.
const QUIET: &[&str] =
    &["assert", "compile_error", "debug", "info", "json", "out", "trace", "unreachable"];

/// Methods whose texts are no messages: hints, findings of `doctor` that are as they should be, and the
/// help of metrics.
const SILENT: &[&str] = &["fine", "gauge", "hint"];

fn walk(tokens: TokenStream, is_error: bool, found: &mut Vec<Text>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut rest = &tokens[..];
    while let Some((first, after)) = rest.split_first() {
        rest = match (first, after) {
            (TokenTree::Punct(hash), _) if hash.as_char() == '#' => {
                attribute(after, found).unwrap_or(after)
            }
            (TokenTree::Ident(name), [TokenTree::Punct(mark), TokenTree::Group(_), then @ ..])
                if mark.as_char() == '!' && QUIET.iter().any(|quiet| name == quiet) =>
            {
                then
            }
            (TokenTree::Ident(name), [TokenTree::Group(_), then @ ..])
                if SILENT.iter().any(|silent| name == silent) =>
            {
                then
            }
            (TokenTree::Group(group), _) => {
                walk(group.stream(), is_error, found);
                after
            }
            (TokenTree::Literal(literal), _) => {
                if let Lit::Str(text) = Lit::new(literal.clone()) {
                    let line = literal.span().start().line;
                    found.push(Text { line, value: text.value(), is_error });
                }
                after
            }
            _ => after,
        };
    }
}

/// What follows an attribute whose `#` was read, or what follows its item if the item is a test.
fn attribute<'a>(tokens: &'a [TokenTree], found: &mut Vec<Text>) -> Option<&'a [TokenTree]> {
    let tokens = match tokens {
        [TokenTree::Punct(mark), rest @ ..] if mark.as_char() == '!' => rest,
        _ => tokens,
    };
    let (TokenTree::Group(group), rest) = tokens.split_first()? else { return None };
    match name_of(group)?.as_str() {
        "error" => walk(group.stream(), true, found),
        "cfg" if group.stream().to_string() == "cfg (test)" => return Some(after_item(rest)),
        _ => {}
    }
    Some(rest)
}

/// The first word of an attribute.
fn name_of(attribute: &Group) -> Option<String> {
    let is_attribute = attribute.delimiter() == Delimiter::Bracket;
    let first = attribute.stream().into_iter().next().filter(|_| is_attribute)?;
    Some(first.to_string())
}

/// What follows an item: the tokens after its block or its semicolon.
fn after_item(tokens: &[TokenTree]) -> &[TokenTree] {
    let ends = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(mark) => mark.as_char() == ';',
        _ => false,
    };
    tokens.iter().position(ends).map_or(&[], |end| &tokens[end + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of the texts of a source.
    fn values(source: &str) -> Vec<String> {
        texts(source).unwrap().into_iter().map(|text| text.value).collect()
    }

    #[test]
    fn texts_have_lines_and_values() {
        let source =
            "#[error(\"no {0}\")]\nstruct A;\nfn f() {\n g(format!(\"a \\\n  b\"), b\"c\") }";
        let text = |line, value: &str, is_error| Text { line, value: value.into(), is_error };
        let expected = vec![text(1, "no {0}", true), text(4, "a b", false)];
        assert_eq!(texts(source).unwrap(), expected);
    }

    #[test]
    fn tests_attributes_logs_and_hints_are_left_out() {
        for source in [
            "#[cfg(test)] mod tests { fn f() { \"a\" } }",
            "#[cfg(test)] mod tests;",
            "#![doc = \"a\"]",
            "/// a \"b\"\nstruct A;",
            "#[expect(lint, reason = \"a\")] fn f() {}",
            "fn f() { tracing::debug!(\"a\") }",
            "fn f() { json!({\"a\": [\"b\"]}) }",
            "fn f() { error().hint(\"a\") }",
        ] {
            assert_eq!(values(source), [""; 0], "{source}");
        }
    }

    #[test]
    fn what_follows_is_not_left_out() {
        for source in [
            "#[cfg(test)] mod tests { } const A: &str = \"a\";",
            "#[cfg(test)] mod tests; const A: &str = \"a\";",
            "#[cfg(unix)] const A: &str = \"a\";",
            "#[must_use] fn f() { \"a\" }",
            "fn f() { debug!(\"b\"); warn!(\"a\") }",
            "fn f() { error(\"a\").hint(\"b\") }",
        ] {
            assert_eq!(values(source), ["a"], "{source}");
        }
    }
}
