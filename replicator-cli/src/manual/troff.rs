//! The source of a manual page, made fit for groff and mandoc: the crate `roff` leaves special
//! characters, empty lines and long lines to its users.

/// The page in its final form. `source` is what `roff` and `clap_mangen` wrote, in several parts.
pub(super) fn finished(source: &str) -> String {
    let mut page = Finished::default();
    source.lines().filter(|line| !PREAMBLE.contains(line)).for_each(|line| page.line(line));
    // The first line of a page with tables names the preprocessor that formats them.
    let first = if page.out.contains("\n.TS\n") { "'\\\" t\n" } else { "" };
    format!("{first}{}\n{}", PREAMBLE.join("\n"), page.out)
}

/// What `roff` writes in front of each part: the string `Aq` is an apostrophe.
const PREAMBLE: [&str; 2] = [r".ie \n(.g .ds Aq \(aq", ".el .ds Aq '"];

/// The longest line that mandoc accepts without a remark, in bytes.
const LONGEST: usize = 79;

/// Names of options and files must not be hyphenated, and narrow columns cannot be justified. The
/// macros of groff turn both on again after each paragraph, unless HY and AD say otherwise.
const STYLE: &str = ".nr HY 0\n.nh\n.ds AD l\n.ad l";

/// The longest word that is not divided, in bytes.
const LONGEST_WORD: usize = 40;

/// The same in a table.
const LONGEST_IN_TABLE: usize = 29;

#[derive(Default)]
struct Finished {
    out: String,
    kind: Kind,
    gap: Gap,
}

/// What the next line of text is.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Kind {
    #[default]
    Text,
    /// Code, which is kept as it is.
    Code,
    /// The description of the columns of a table.
    Layout,
    /// The text of a table.
    Table,
    /// The tag of a paragraph, which must stay on one line.
    Tag,
    /// The name of the page, which `mandb` reads.
    Name,
}

/// What separates the next line of text from the one in front of it.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Gap {
    #[default]
    Nothing,
    Break,
    Paragraph,
}

impl Finished {
    fn line(&mut self, line: &str) {
        let text = escaped(line);
        if let Some(request) = text.strip_prefix('.') {
            return self.request(request);
        }
        match self.kind {
            Kind::Code => self.push(&text.replace('`', r"\(ga")),
            Kind::Layout => {
                if text.ends_with('.') {
                    self.kind = Kind::Table;
                }
                self.push(&text);
            }
            _ if text.trim().is_empty() => self.gap = Gap::Paragraph,
            _ => self.text(text.trim_end()),
        }
    }

    fn text(&mut self, text: &str) {
        match std::mem::take(&mut self.gap) {
            Gap::Nothing => {}
            Gap::Break => self.push(".br"),
            Gap::Paragraph => self.push(".IP"),
        }
        let text = emphasized(text);
        let divided = |longest| wrapped(text.split(' ').map(|word| divisible(word, longest)));
        let text = match self.kind {
            Kind::Name => wrapped(text.split(' ')),
            Kind::Table if text.contains('\t') => text,
            Kind::Table => divided(LONGEST_IN_TABLE),
            Kind::Tag => text,
            _ => divided(LONGEST_WORD),
        };
        if self.kind == Kind::Tag {
            self.kind = Kind::Text;
        }
        self.push(&text);
    }

    fn request(&mut self, request: &str) {
        if request == "br" {
            // Of a break and a new paragraph, only the paragraph is needed.
            self.gap = if self.gap == Gap::Paragraph { Gap::Paragraph } else { Gap::Break };
            return;
        }
        self.gap = Gap::Nothing;
        self.kind = match request {
            "EX" => Kind::Code,
            "TS" => Kind::Layout,
            "TP" => Kind::Tag,
            "SH NAME" => Kind::Name,
            _ => Kind::Text,
        };
        self.push(&format!(".{request}"));
        if request.starts_with("TH ") {
            self.push(STYLE);
        }
    }

    fn push(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }
}

/// The line with the characters escaped that `roff` leaves as they are.
fn escaped(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        match character {
            // `\\` is a backslash only outside of macros and tables.
            '\\' => match rest.next() {
                Some('\\') => text.push_str(r"\e"),
                next => text.extend(['\\'].into_iter().chain(next)),
            },
            '^' => text.push_str(r"\(ha"),
            '~' => text.push_str(r"\(ti"),
            other if other.is_ascii() => text.push(other),
            other => text.extend([r"\[u", &format!("{:04X}", u32::from(other)), "]"]),
        }
    }
    text
}

/// The text with words in backticks in bold, as the help texts write commands and options.
fn emphasized(text: &str) -> String {
    let mut parts = text.split('`');
    let mut out = parts.next().unwrap_or_default().to_owned();
    let parts: Vec<&str> = parts.collect();
    for pair in parts.chunks(2) {
        match pair {
            [code, after] => out.extend([r"\fB", code, r"\fR", after]),
            rest => out.extend([r"\(ga", &rest.concat()]),
        }
    }
    out
}

/// The words in lines that are not too long. A line never begins like a request.
fn wrapped<T: AsRef<str>>(words: impl Iterator<Item = T>) -> String {
    let (mut out, mut width) = (String::new(), 0);
    for word in words {
        let word = word.as_ref();
        if width > 0 && width + 1 + word.len() > LONGEST {
            out.push('\n');
            width = 0;
        } else if width > 0 {
            out.push(' ');
            width += 1;
        }
        if width == 0 && !out.is_empty() && word.starts_with(['.', '\'']) {
            out.push_str(r"\&");
        }
        out.push_str(word);
        width += word.len();
    }
    out
}

/// The word, with places where a line may break if the word is longer than `longest`.
fn divisible(word: &str, longest: usize) -> String {
    let mut out = String::new();
    for (at, character) in word.char_indices() {
        out.push(character);
        let is_inside = word[at..].chars().nth(1).is_some_and(char::is_alphanumeric);
        if word.len() > longest && is_inside && "._/,=-".contains(character) {
            out.push_str(r"\:");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of the page after the preamble.
    fn body(source: &str) -> String {
        let page = finished(source);
        page.split_once("Aq '\n").unwrap().1.to_owned()
    }

    #[test]
    fn special_characters_survive() {
        assert_eq!(body(r"a\-b \\ ^ ~ → `x`"), "a\\-b \\e \\(ha \\(ti \\[u2192] \\fBx\\fR\n");
        assert_eq!(body(".EX\na  `b`\n\nc\n.EE"), ".EX\na  \\(gab\\(ga\n\nc\n.EE\n");
        assert_eq!(body("one ` two"), "one \\(ga two\n");
    }

    #[test]
    fn a_paragraph_of_an_option_is_indented_and_breaks_are_dropped() {
        let source = ".TP\n\\fB\\-x\\fR\nfirst\n\nsecond\n.br\n\n.br\n\\fIvalues:\\fR";
        let expected = ".TP\n\\fB\\-x\\fR\nfirst\n.IP\nsecond\n.IP\n\\fIvalues:\\fR\n";
        assert_eq!(body(source), expected);
    }

    #[test]
    fn long_lines_are_wrapped_and_never_begin_like_a_request() {
        let text = format!("{} .json ends", "word ".repeat(15).trim_end());
        let expected = format!("{}\n\\&.json ends\n", "word ".repeat(15).trim_end());
        assert_eq!(body(&text), expected);
        let tag = "x".repeat(50) + " " + &"y".repeat(50);
        assert_eq!(body(&format!(".TP\n{tag}")), format!(".TP\n{tag}\n"));
    }

    #[test]
    fn long_words_can_be_divided() {
        let long = "test_images.BasicOperationsOfImages/getting.";
        let divided = "test_\\:images.\\:BasicOperationsOfImages/\\:getting.\n";
        assert_eq!(body(long), divided);
        assert_eq!(body("docs/tls.md"), "docs/tls.md\n");
    }

    #[test]
    fn only_a_page_with_tables_asks_for_the_preprocessor() {
        assert!(finished("a\n.TS\nl.\na\n.TE").starts_with("'\\\" t\n.ie"));
        assert!(finished("text").starts_with(".ie"));
    }
}
