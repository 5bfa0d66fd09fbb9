//! JSON of unknown origin, parsed with bounded memory.

use std::io::{self, ErrorKind, Read};

use serde::de::{DeserializeOwned, Error};

use crate::dir::{Dir, Refused};

/// Limits the number of JSON values in one or several texts. A value of two bytes uses a hundred
/// bytes of memory.
#[derive(Debug)]
pub struct Values {
    left: usize,
}

impl Values {
    /// The limit of one text, or of all texts that are parsed with this value.
    pub fn new() -> Self {
        Self { left: MOST }
    }

    /// Parses a text.
    ///
    /// # Errors
    /// When the text has more values than remain, or is not the JSON of a `T`.
    pub fn parse<T: DeserializeOwned>(&mut self, text: &[u8]) -> Result<T, serde_json::Error> {
        self.left = self.left.checked_sub(count(text)).ok_or_else(|| {
            serde_json::Error::custom(format!(
                "the file has more than {MOST} values, which is the limit"
            ))
        })?;
        serde_json::from_slice(text)
    }
}

impl Default for Values {
    fn default() -> Self {
        Self::new()
    }
}

/// Parses a single text.
///
/// # Errors
/// When the text has too many values, or is not the JSON of a `T`.
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    Values::new().parse(text)
}

/// Reads the text of a JSON file; `None` if there is no such file.
///
/// # Errors
/// [`Refused`] for a file of more than `most` bytes. A long text is also refused if it has more values
/// than [`parse`] accepts, before the whole text is in memory.
pub fn read(dir: &Dir, name: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match dir.open_file(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    if (BUFFER as u64..=most).contains(&file.metadata()?.len()) {
        count_all(file.take(most))?;
    }
    dir.read(name, most)
}

/// Counts the values of a text in small parts.
fn count_all(mut text: impl Read) -> io::Result<()> {
    let (mut counter, mut buffer) = (Counter::default(), vec![0; BUFFER]);
    loop {
        match text.read(&mut buffer)? {
            0 => return Ok(()),
            length => counter.add(&buffer[..length]),
        }
        if counter.values() > MOST {
            return Err(Refused::TooManyValues { most: MOST }.into());
        }
    }
}

const BUFFER: usize = 64 * 1024;

/// An upper bound of the number of values in a text.
fn count(text: &[u8]) -> usize {
    let mut counter = Counter::default();
    counter.add(text);
    counter.values()
}

/// Counts the values of a text that is read in parts.
#[derive(Default)]
struct Counter {
    separators: usize,
    quoted: bool,
    escaped: bool,
}

impl Counter {
    fn add(&mut self, text: &[u8]) {
        for byte in text {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.quoted => self.escaped = true,
                b'"' => self.quoted = !self.quoted,
                b',' | b'[' | b'{' if !self.quoted => self.separators += 1,
                _ => {}
            }
        }
    }

    fn values(&self) -> usize {
        self.separators + 1
    }
}

/// More than the record of an image with 50 000 members has.
const MOST: usize = 200_000;

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn values_are_counted_and_text_is_not() {
        assert_eq!(count(b"{\"a,[{\": [1, 2, \"\\\",,\"]}"), 5);
        let texts = format!("[\"{}\"]", ",".repeat(MOST));
        assert!(parse::<Value>(texts.as_bytes()).is_ok());
        let numbers = format!("[0{}]", ",0".repeat(MOST));
        let error = parse::<Value>(numbers.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("more than 200000 values"), "{error}");
        let half = format!("[0{}]", ",0".repeat(MOST / 2));
        let mut values = Values::new();
        assert!(values.parse::<Value>(half.as_bytes()).is_ok());
        assert!(values.parse::<Value>(half.as_bytes()).is_err());
    }

    #[test]
    fn a_file_with_too_many_values_is_refused_before_it_is_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open(folder.path()).unwrap();
        let read = |text: &str| {
            std::fs::write(folder.path().join("a.json"), text).unwrap();
            read(&dir, "a.json", 16 << 20)
        };
        let text = format!("[\"{}\"]", ",\\\"".repeat(MOST));
        assert_eq!(read(&text).unwrap().unwrap(), text.as_bytes());
        let error = read(&format!("[0{}]", ",0".repeat(MOST))).unwrap_err();
        assert_eq!(Refused::of(&error), Some(&Refused::TooManyValues { most: MOST }));
        let endless = io::Cursor::new(b"[0,").chain(io::repeat(b','));
        assert!(count_all(endless).is_err());
        assert!(super::read(&dir, "b.json", 16 << 20).unwrap().is_none());
    }
}
