//! JSON of unknown origin, parsed with bounded memory.

use serde::de::{DeserializeOwned, Error};

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

/// An upper bound of the number of values in a text.
fn count(text: &[u8]) -> usize {
    let (mut count, mut quoted, mut escaped) = (1, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' | b'[' | b'{' if !quoted => count += 1,
            _ => {}
        }
    }
    count
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
}
