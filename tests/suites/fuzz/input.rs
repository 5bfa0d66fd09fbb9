//! Generated inputs: random bytes, and damaged documents.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

/// Random bytes, and the `seeds` with up to a dozen changes, some of which insert one of the
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

/// Like [`bytes`] for JSON, with documents in which some values are replaced.
pub(crate) fn json(seeds: Vec<Vec<u8>>, words: &'static [&'static str]) -> BoxedStrategy<Vec<u8>> {
    let documents: Vec<Value> =
        seeds.iter().map(|seed| serde_json::from_slice(seed).unwrap()).collect();
    let changed =
        (select(documents), vec(value_change(words), 1..5)).prop_map(|(mut document, changes)| {
            for (at, change) in changes {
                let at = at.index(count(&document));
                change.apply(nth(&mut document, &mut { at }).unwrap());
            }
            document.to_string().into_bytes()
        });
    prop_oneof![1 => bytes(seeds, words), 2 => changed].boxed()
}

/// Like [`bytes`], as text.
pub(crate) fn text(seeds: &[&str], words: &'static [&'static str]) -> BoxedStrategy<String> {
    let seeds = seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    let lossy = bytes(seeds, words).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    prop_oneof![1 => any::<String>(), 4 => lossy].boxed()
}

#[derive(Debug, Clone)]
enum Change {
    Byte(Index, u8),
    /// Writes a number of several bytes, mostly into a header.
    Number(Index, Vec<u8>),
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
        2 => (at(), number()).prop_map(|(at, number)| Change::Number(at, number)),
        4 => (at(), word).prop_map(|(at, word)| Change::Word(at, word)),
        1 => at().prop_map(Change::Cut),
        2 => (at(), 1..64_u16).prop_map(|(at, length)| Change::Remove(at, length)),
        2 => (at(), 1..64_u16, 1..300_u16).prop_map(|(at, part, times)| Change::Repeat(at, part, times)),
        1 => (at(), at(), 1..512_u16).prop_map(|(at, from, part)| Change::Splice(at, from, part)),
    ]
}

/// The bytes of a number that is unusual in headers.
pub(crate) fn number() -> impl Strategy<Value = Vec<u8>> {
    let numbers =
        [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, u32::MAX.into(), i64::MAX as u64, u64::MAX];
    (select(numbers.to_vec()), select(vec![2, 4, 8]), any::<bool>()).prop_map(
        |(number, length, big)| match big {
            true => number.to_be_bytes()[8 - length..].to_vec(),
            false => number.to_le_bytes()[..length].to_vec(),
        },
    )
}

impl Change {
    fn apply(self, document: &mut Vec<u8>, donor: &[u8]) {
        let end = document.len();
        let place = |at: &Index| at.index(end + 1);
        match self {
            Self::Byte(at, byte) if end > 0 => document[at.index(end)] = byte,
            Self::Byte(_, byte) => document.push(byte),
            Self::Number(at, number) => {
                let at = at.index(if at.index(2) == 0 { end + 1 } else { end.min(64) + 1 });
                let end = end.min(at + number.len());
                document[at..end].copy_from_slice(&number[..end - at]);
            }
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

/// A change to one value of a document.
#[derive(Debug, Clone)]
enum ValueChange {
    Replace(Value),
    Add(String, Value),
    Wrap(u8),
    Repeat(u8),
}

fn value_change(words: &'static [&'static str]) -> impl Strategy<Value = (Index, ValueChange)> {
    let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let multibyte = (1..30).map(|length| "é".repeat(length)).chain(["x".repeat(5000)]);
    let usual = own(WORDS).into_iter().chain(multibyte).collect::<Vec<_>>();
    let text = prop_oneof![select(own(words)), select(usual)];
    let value = prop_oneof![
        text.clone().prop_map(Value::from),
        select(vec![
            json!(null),
            json!(true),
            json!([]),
            json!({}),
            json!([null]),
            json!({"": ""})
        ]),
        select(vec![json!(-1), json!(0), json!(1), json!(1.5), json!(1e300), json!(u64::MAX)]),
    ];
    let change = prop_oneof![
        4 => value.clone().prop_map(ValueChange::Replace),
        2 => (text, value).prop_map(|(key, value)| ValueChange::Add(key, value)),
        1 => (1..200_u8).prop_map(ValueChange::Wrap),
        1 => any::<u8>().prop_map(ValueChange::Repeat),
    ];
    (any::<Index>(), change)
}

impl ValueChange {
    fn apply(self, value: &mut Value) {
        match (self, value) {
            (Self::Add(key, new), Value::Object(map)) => drop(map.insert(key, new)),
            (Self::Add(_, new), Value::Array(items)) => items.push(new),
            (Self::Replace(new) | Self::Add(_, new), value) => *value = new,
            (Self::Wrap(depth), value) => {
                for _ in 0..depth {
                    *value = json!([value.take()]);
                }
            }
            (Self::Repeat(times), Value::String(text)) => *text = text.repeat(times.into()),
            (Self::Repeat(times), value) => *value = vec![value.take(); times.into()].into(),
        }
    }
}

/// The number of values in a document, including the document.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(map) => map.values().map(count).sum(),
        _ => 0,
    }
}

/// The value that follows `at` others, in order of traversal.
fn nth<'a>(value: &'a mut Value, at: &mut usize) -> Option<&'a mut Value> {
    if *at == 0 {
        return Some(value);
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, at)),
        Value::Object(map) => map.values_mut().find_map(|item| nth(item, at)),
        _ => None,
    }
}

/// Words that have confused parsers before.
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
