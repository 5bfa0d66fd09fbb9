//! Inputs: bytes at random, and documents with damage.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Bytes of any kind, and the `seeds` with up to a dozen changes, some of which put in one of the
/// `words`.
pub(crate) fn bytes(seeds: Vec<Vec<u8>>, words: &'static [&'static str]) -> BoxedStrategy<Vec<u8>> {
    let donors = seeds.clone();
    let damaged = (select(seeds), select(donors), vec(change(words), 0..12)).prop_map(
        |(mut document, donor, changes)| {
            for change in changes {
                change.apply(&mut document, &donor);
            }
            document
        },
    );
    prop_oneof![1 => vec(any::<u8>(), 0..2000), 6 => damaged].boxed()
}

/// The same as text.
pub(crate) fn text(seeds: &[&str], words: &'static [&'static str]) -> BoxedStrategy<String> {
    let seeds = seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    let lossy = bytes(seeds, words).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    prop_oneof![1 => any::<String>(), 4 => lossy].boxed()
}

#[derive(Debug, Clone)]
enum Change {
    Byte(Index, u8),
    Word(Index, &'static str),
    Cut(Index),
    Remove(Index, u16),
    Repeat(Index, u16, u16),
    Splice(Index, Index, u16),
}

fn change(words: &'static [&'static str]) -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    let word = select(words.iter().chain(WORDS).copied().collect::<Vec<_>>());
    prop_oneof![
        3 => (at(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        4 => (at(), word).prop_map(|(at, word)| Change::Word(at, word)),
        1 => at().prop_map(Change::Cut),
        2 => (at(), 1..64_u16).prop_map(|(at, length)| Change::Remove(at, length)),
        2 => (at(), 1..64_u16, 1..300_u16).prop_map(|(at, part, times)| Change::Repeat(at, part, times)),
        1 => (at(), at(), 1..512_u16).prop_map(|(at, from, part)| Change::Splice(at, from, part)),
    ]
}

impl Change {
    fn apply(self, document: &mut Vec<u8>, donor: &[u8]) {
        let end = document.len();
        let place = |at: &Index| at.index(end + 1);
        match self {
            Self::Byte(at, byte) if end > 0 => document[at.index(end)] = byte,
            Self::Byte(_, byte) => document.push(byte),
            Self::Word(at, word) => put(document, place(&at), word.as_bytes()),
            Self::Cut(at) => document.truncate(place(&at)),
            Self::Remove(at, length) => {
                let at = place(&at);
                document.drain(at..end.min(at + usize::from(length)));
            }
            Self::Repeat(at, length, times) => {
                let at = place(&at);
                let part = &document[at..end.min(at + usize::from(length))];
                let again = part.repeat(times.into());
                put(document, at, &again);
            }
            Self::Splice(at, from, length) if !donor.is_empty() => {
                let from = from.index(donor.len());
                let part = &donor[from..donor.len().min(from + usize::from(length))];
                put(document, place(&at), part);
            }
            Self::Splice(..) => {}
        }
    }
}

fn put(document: &mut Vec<u8>, at: usize, part: &[u8]) {
    document.splice(at..at, part.iter().copied());
}

/// What has tripped parsers before.
const WORDS: &[&str] = &[
    "",
    "\0",
    "\u{feff}",
    "\u{202e}",
    "é磁😀",
    "\\u0000",
    "\\ud800",
    "\r\n",
    "-1",
    "0",
    "1e999",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775808",
    "-9223372036854775809",
    "99999999999999999999999999",
    "null",
    "true",
    "{}",
    "[]",
    "[[[[[[[[",
    "{\"\":",
    "\"",
    "'",
    "%00",
    "%",
    "../../",
    "2026-01-31T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "-009999-01-01T00:00:00Z",
];
