//! Splits a JSON document into the elements of its list while the document is being received.
//!
//! The document is an object with a list, such as `images`, and a few short values, such as `next`.
//! Each element is passed on as JSON text, and only one is held in memory at a time. This module
//! tracks the structure only, without recursion; the consumer parses the text of each element.

use std::mem::take;

use serde_json::{Map, Value};

use glance_core::body::readable;
use glance_core::image::provenance;

/// A part of the document.
#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    /// An element of the list.
    Element(Element),
    /// The key of another requested value, and the value's text.
    Value(String, Vec<u8>),
}

/// An element of a list.
#[derive(Debug, PartialEq)]
pub(super) enum Element {
    /// The text of the element.
    Whole(Vec<u8>),
    /// An element that exceeds the size limit, with those of its values that identify it.
    TooLong(Map<String, Value>),
}

/// Why a document cannot be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unsplit {
    #[error("not JSON")]
    NotJson,
    #[error("no list named {0}")]
    NoList(&'static str),
    #[error("more than {} outside the list", readable(*.0))]
    TooMuch(usize),
    #[error("an element of the list is longer than {}", readable(*.0))]
    Endless(usize),
}

/// Splits one document.
#[derive(Debug)]
pub(super) struct Splitter {
    /// The key of the list, if one is wanted.
    list: Option<&'static str>,
    /// The keys of other requested values.
    wanted: &'static [&'static str],
    /// How many more bytes may come outside the elements.
    others: usize,
    at: At,
    scan: Scan,
    /// The current key, value or element, as far as it is held.
    text: Vec<u8>,
    key: String,
    /// Scans the rest of an element that is too long to hold.
    look: Option<Box<Look>>,
    has_list: bool,
}

/// The position in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    FirstKey,
    NextKey,
    Key,
    Colon,
    ValueStart,
    Value,
    FirstElement,
    NextElement,
    Element,
    AfterElement,
    AfterValue,
    End,
}

impl Splitter {
    /// Creates a splitter for the list with the key `list`, and the `wanted` other values.
    pub(super) fn of(list: &'static str, wanted: &'static [&'static str]) -> Self {
        Self { list: Some(list), ..Self::new(wanted, OTHERS) }
    }

    fn new(wanted: &'static [&'static str], others: usize) -> Self {
        Self {
            list: None,
            wanted,
            others,
            at: At::Start,
            scan: Scan::default(),
            text: Vec::new(),
            key: String::new(),
            look: None,
            has_list: false,
        }
    }

    /// Processes the next bytes and passes on the pieces that they complete.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        pieces: &mut impl FnMut(Piece),
    ) -> Result<(), Unsplit> {
        while let Some(byte) = bytes.first().copied() {
            bytes = match self.at {
                At::Key | At::Value | At::Element => self.read(bytes, pieces)?,
                _ if byte.is_ascii_whitespace() => self.pass_over(bytes)?,
                at => match self.step(at, byte)? {
                    Step::Over => self.pass_over(bytes)?,
                    Step::Into => bytes,
                },
            };
        }
        Ok(())
    }

    /// Checks that the document is complete.
    pub(super) fn end(&self) -> Result<(), Unsplit> {
        match (self.at, self.list) {
            (At::End, Some(list)) if !self.has_list => Err(Unsplit::NoList(list)),
            (At::End, _) => Ok(()),
            _ => Err(Unsplit::NotJson),
        }
    }

    /// Skips the first byte.
    fn pass_over<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Unsplit> {
        self.spend(1)?;
        Ok(&bytes[1..])
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Unsplit> {
        self.others = self.others.checked_sub(bytes).ok_or(Unsplit::TooMuch(OTHERS))?;
        Ok(())
    }

    /// Processes a structural byte between keys and values.
    fn step(&mut self, at: At, byte: u8) -> Result<Step, Unsplit> {
        let is_list = self.list == Some(self.key.as_str());
        let (at, step) = match (at, byte) {
            (At::Start, b'{') => (At::FirstKey, Step::Over),
            (At::FirstKey | At::AfterValue, b'}') => (At::End, Step::Over),
            (At::FirstKey | At::NextKey, b'"') => (At::Key, Step::Into),
            (At::Colon, b':') => (At::ValueStart, Step::Over),
            (At::ValueStart, b'[') if is_list => {
                self.has_list = true;
                (At::FirstElement, Step::Over)
            }
            (At::ValueStart, _) if is_list => return Err(Unsplit::NoList(self.list.unwrap_or(""))),
            (_, b',') if at == At::AfterValue => (At::NextKey, Step::Over),
            (_, b',') if at == At::AfterElement => (At::NextElement, Step::Over),
            (At::FirstElement | At::AfterElement, b']') => (At::AfterValue, Step::Over),
            (_, b',' | b':' | b']' | b'}') => return Err(Unsplit::NotJson),
            (At::ValueStart, _) => (At::Value, Step::Into),
            (At::FirstElement | At::NextElement, _) => (At::Element, Step::Into),
            _ => return Err(Unsplit::NotJson),
        };
        if step == Step::Into {
            self.scan = Scan::of(byte);
        }
        self.at = at;
        Ok(step)
    }

    /// Reads on in a key, a value or an element, and returns the bytes after it.
    fn read<'a>(
        &mut self,
        bytes: &'a [u8],
        pieces: &mut impl FnMut(Piece),
    ) -> Result<&'a [u8], Unsplit> {
        let end = self.scan.end(bytes);
        let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
        match self.at {
            At::Element => self.hold_element(part)?,
            At::Value if !self.wanted.contains(&self.key.as_str()) => self.spend(part.len())?,
            _ => {
                self.spend(part.len())?;
                let room = HELD.saturating_sub(self.text.len());
                self.text.extend_from_slice(&part[..part.len().min(room)]);
            }
        }
        if end.is_some() {
            self.complete(pieces);
        }
        Ok(rest)
    }

    /// Stores a part of an element; of an oversized one, only the identifying values.
    fn hold_element(&mut self, part: &[u8]) -> Result<(), Unsplit> {
        if let Some(look) = &mut self.look {
            return look.on(part);
        }
        self.text.extend_from_slice(part);
        if self.text.len() > LONGEST {
            let look = self.look.insert(Box::default());
            look.on(&take(&mut self.text))?;
        }
        Ok(())
    }

    /// Completes the current key, value or element.
    fn complete(&mut self, pieces: &mut impl FnMut(Piece)) {
        let text = take(&mut self.text);
        self.at = match self.at {
            At::Key => {
                // A key too long to be held completely is not a requested one.
                self.key = serde_json::from_slice(&text).unwrap_or_default();
                At::Colon
            }
            At::Element => {
                pieces(Piece::Element(match self.look.take() {
                    None => Element::Whole(text),
                    Some(look) => Element::TooLong(look.found),
                }));
                At::AfterElement
            }
            _ => {
                if self.wanted.contains(&self.key.as_str()) {
                    pieces(Piece::Value(take(&mut self.key), text));
                }
                At::AfterValue
            }
        };
    }
}

/// Whether a byte is skipped, or is the first of a key, value or element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Over,
    Into,
}

/// Finds the end of a value.
#[derive(Debug, Clone, Copy, Default)]
struct Scan {
    depth: usize,
    inside: Inside,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Inside {
    #[default]
    Structure,
    Text,
    Escape,
    /// A number or a literal.
    Scalar,
}

impl Scan {
    /// Starts a value whose first byte is `byte`.
    fn of(byte: u8) -> Self {
        let inside = match byte {
            b'"' | b'{' | b'[' => Inside::Structure,
            _ => Inside::Scalar,
        };
        Self { depth: 0, inside }
    }

    /// The number of bytes that belong to the value, if the value ends within `bytes`.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let found = match self.inside {
                Inside::Structure => rest.iter().position(|byte| is_structure(*byte))?,
                Inside::Text => rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?,
                Inside::Escape => 0,
                Inside::Scalar => {
                    return rest
                        .iter()
                        .position(|byte| ends_scalar(*byte))
                        .map(|length| at + length);
                }
            };
            at += found + 1;
            self.inside = match (self.inside, rest[found]) {
                (Inside::Escape, _) | (Inside::Structure, b'"') => Inside::Text,
                (Inside::Text, b'\\') => Inside::Escape,
                (Inside::Structure, b'{' | b'[') => {
                    self.depth += 1;
                    Inside::Structure
                }
                (Inside::Structure, _) => {
                    self.depth = self.depth.saturating_sub(1);
                    Inside::Structure
                }
                _ => Inside::Structure,
            };
            if self.inside == Inside::Structure && self.depth == 0 {
                return Some(at);
            }
        }
        None
    }
}

fn is_structure(byte: u8) -> bool {
    matches!(byte, b'"' | b'{' | b'[' | b']' | b'}')
}

fn ends_scalar(byte: u8) -> bool {
    matches!(byte, b',' | b':' | b']' | b'}') || byte.is_ascii_whitespace()
}

/// Finds the values in an object that identify the image.
#[derive(Debug)]
struct Look {
    splitter: Splitter,
    found: Map<String, Value>,
    left: usize,
    is_over: bool,
}

impl Default for Look {
    fn default() -> Self {
        let splitter = Splitter::new(IDENTITY, usize::MAX);
        Self { splitter, found: Map::new(), left: ENDLESS, is_over: false }
    }
}

impl Look {
    fn on(&mut self, part: &[u8]) -> Result<(), Unsplit> {
        self.left = self.left.checked_sub(part.len()).ok_or(Unsplit::Endless(ENDLESS))?;
        let found = &mut self.found;
        let mut take = |piece| {
            if let Piece::Value(key, text) = piece {
                if let Ok(value) = serde_json::from_slice::<String>(&text) {
                    found.insert(key, value.into());
                }
            }
        };
        // An element that is not an object has no identifying values.
        self.is_over = self.is_over || self.splitter.feed(part, &mut take).is_err();
        Ok(())
    }
}

/// Extracts the identifying values from an element whose text is not valid JSON.
pub(super) fn identity(element: &[u8]) -> Map<String, Value> {
    let mut look = Look::default();
    match look.on(element) {
        Ok(()) => look.found,
        Err(_) => Map::new(),
    }
}

/// The keys that identify an image, and show whether it is a replica made by this tool.
const IDENTITY: &[&str] = &["id", "name", provenance::NEW_ID, provenance::SOURCE_ID];

/// Maximum bytes of an element; several hundred times a typical record.
pub(super) const LONGEST: usize = 1 << 20;

/// Maximum bytes of an element that is skipped.
const ENDLESS: usize = 16 << 20;

/// Maximum bytes of keys, other values and structure outside the elements.
const OTHERS: usize = 1 << 20;

/// Maximum bytes of a requested key or value.
const HELD: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The pieces of a document fed in chunks of this length, and how the document ends.
    fn split(document: &[u8], chunk: usize) -> (Vec<Piece>, Result<(), Unsplit>) {
        let mut splitter = Splitter::of("images", &["next"]);
        let mut pieces = Vec::new();
        for chunk in document.chunks(chunk) {
            if let Err(error) = splitter.feed(chunk, &mut |piece| pieces.push(piece)) {
                return (pieces, Err(error));
            }
        }
        (pieces, splitter.end())
    }

    fn element(text: &str) -> Piece {
        Piece::Element(Element::Whole(text.as_bytes().to_vec()))
    }

    fn next(text: &str) -> Piece {
        Piece::Value("next".to_owned(), text.as_bytes().to_vec())
    }

    #[test]
    fn elements_come_one_by_one_wherever_the_document_is_cut() {
        let document = r#" { "first" : "/v2", "images" :[ {"a": "]}\\\"{", "b": [[1, {}], "x"]} , 1.5,
            "t\"xt", null ,[ ] ], "schema":{"images": [7]}, "next": "?\"x", "n": -1e5 } "#;
        let expected = [
            element(r#"{"a": "]}\\\"{", "b": [[1, {}], "x"]}"#),
            element("1.5"),
            element(r#""t\"xt""#),
            element("null"),
            element("[ ]"),
            next(r#""?\"x""#),
        ];
        for chunk in 1..=document.len() {
            let (pieces, end) = split(document.as_bytes(), chunk);
            assert_eq!((pieces.as_slice(), end), (expected.as_slice(), Ok(())), "{chunk}");
        }
        let (pieces, end) = split(br#"{"next":null,"images":[],"\u0069mages":[2]}"#, 3);
        assert_eq!((pieces, end), (vec![next("null"), element("2")], Ok(())));
    }

    #[test]
    fn what_is_not_such_a_document_is_told() {
        for (document, error) in [
            ("", Unsplit::NotJson),
            ("null", Unsplit::NotJson),
            ("[{}]", Unsplit::NotJson),
            ("<html>", Unsplit::NotJson),
            ("{", Unsplit::NotJson),
            (r#"{"images": ["#, Unsplit::NotJson),
            (r#"{"images": [{}"#, Unsplit::NotJson),
            (r#"{"images": [{}]"#, Unsplit::NotJson),
            (r#"{"images": [{}]} x"#, Unsplit::NotJson),
            (r#"{"images": [,]}"#, Unsplit::NotJson),
            (r#"{"images": [1,]}"#, Unsplit::NotJson),
            (r#"{"images": [1 2]}"#, Unsplit::NotJson),
            (r#"{"images": [1}"#, Unsplit::NotJson),
            (r#"{"images" []}"#, Unsplit::NotJson),
            (r#"{"images": [],}"#, Unsplit::NotJson),
            (r"{images: []}", Unsplit::NotJson),
            ("{}", Unsplit::NoList("images")),
            (r#"{"images": null}"#, Unsplit::NoList("images")),
            (r#"{"images": {}}"#, Unsplit::NoList("images")),
            (r#"{"image": []}"#, Unsplit::NoList("images")),
        ] {
            for chunk in [1, 2, 1000] {
                assert_eq!(split(document.as_bytes(), chunk).1, Err(error), "{document}");
            }
        }
    }

    /// A document of these parts, with the middle one repeated.
    fn long(head: &str, middle: &str, times: usize, tail: &str) -> Vec<u8> {
        [head, &middle.repeat(times), tail].concat().into_bytes()
    }

    #[test]
    fn an_element_that_is_too_long_says_which_it_is_and_the_others_come() {
        let property = format!("\"p\": \"{}\", ", r#"\"]}"#.repeat(20_000));
        for (head, tail) in [
            (r#"{"images": [{"id": "one", "name": "n", "#, r#""z": 1}, 2]}"#),
            (r#"{"images": [{"#, r#""name": "n", "deep": {"id": "two"}, "id": "one"}, 2]}"#),
        ] {
            let document = long(head, &property, 20, tail);
            assert!(document.len() > LONGEST);
            for chunk in [1000, LONGEST - 1, document.len()] {
                let (pieces, end) = split(&document, chunk);
                let known = json!({"id": "one", "name": "n"});
                let known = Element::TooLong(known.as_object().unwrap().clone());
                let known = Piece::Element(known);
                assert_eq!((pieces, end), (vec![known, element("2")], Ok(())));
            }
        }
        let (pieces, end) = split(&long(r#"{"images": [["#, "0,", LONGEST, "0]]}"), 4096);
        assert_eq!((pieces, end), (vec![Piece::Element(Element::TooLong(Map::new()))], Ok(())));
    }

    #[test]
    fn there_is_an_end_to_everything() {
        let (too_much, endless) = (Unsplit::TooMuch(OTHERS), Unsplit::Endless(ENDLESS));
        for (head, middle, times, error) in [
            ("", " ", OTHERS + 1, too_much),
            ("{", " ", OTHERS + 1, too_much),
            (r#"{""#, "a", OTHERS + 1, too_much),
            (r#"{"a": ""#, "a", OTHERS + 1, too_much),
            ("{", r#""a":1,"#, OTHERS, too_much),
            (r#"{"images": [1"#, " ", OTHERS + 1, too_much),
            (r#"{"next": ["#, "[", OTHERS + 1, too_much),
            (r#"{"images": [""#, "a", ENDLESS + 1, endless),
            (r#"{"images": ["#, "[", ENDLESS + 1, endless),
            (r#"{"images": ["#, r#"{"a":"#, ENDLESS / 4, endless),
        ] {
            assert_eq!(split(&long(head, middle, times, ""), 64 << 10).1, Err(error), "{head}");
        }
    }

    #[test]
    fn a_broken_element_says_which_it_is() {
        for (text, known) in [
            (
                &br#"{"name": "n", "id": "one", "x": nonsense}"#[..],
                json!({"id": "one", "name": "n"}),
            ),
            (b"{\"id\": \"one\", \"name\": \"\xff\"}", json!({"id": "one"})),
            (
                br#"{"id": 1, "glance_replicator.new_id": "true"}"#,
                json!({"glance_replicator.new_id": "true"}),
            ),
            (b"[1]", json!({})),
        ] {
            assert_eq!(Value::Object(identity(text)), known);
        }
    }
}
