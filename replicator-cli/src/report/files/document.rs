//! Reads a JSON document without holding the entries of its lists, such as images, in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// A JSON document without the entries of its lists, so that its size does not depend on the number
/// of images.
#[derive(Debug, Clone)]
pub(crate) enum Outline {
    /// The fields of an object.
    Object(BTreeMap<String, Outline>),
    /// A list.
    List,
    /// Another value.
    Value(Value),
}

impl Outline {
    /// A field of an object.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.get(key),
            _ => None,
        }
    }

    /// The fields of an object.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&String, &Self)> {
        let fields = match self {
            Self::Object(fields) => Some(fields),
            _ => None,
        };
        fields.into_iter().flatten()
    }

    /// The value; null if this is an object or a list.
    pub(crate) fn value(&self) -> &Value {
        match self {
            Self::Value(value) => value,
            _ => &Value::Null,
        }
    }

    /// Whether there is a list at this place.
    pub(crate) fn has_list(&self, place: &[&str]) -> bool {
        let found = place.iter().try_fold(self, |outline, key| outline.get(key));
        matches!(found, Some(Self::List))
    }

    /// Removes a field of an object that was read as a value.
    pub(crate) fn remove(&mut self, key: &str) -> Option<Value> {
        let Self::Object(fields) = self else { return None };
        match fields.remove(key)? {
            Self::Value(value) => Some(value),
            _ => None,
        }
    }
}

/// Reads a document, except the entries of its lists. The lists of the envelope are read.
///
/// # Errors
/// When the document cannot be read, or is not JSON.
pub(crate) fn outline(document: impl Read) -> serde_json::Result<Outline> {
    let mut reader = serde_json::Deserializer::from_reader(document);
    let outline = OutlineReader { whole: ENVELOPE }.deserialize(&mut reader)?;
    reader.end().map(|()| outline)
}

/// Passes on the entries of the list at `place`, a sequence of keys.
///
/// # Errors
/// When the document cannot be read, or is not JSON.
pub(crate) fn entries(
    document: impl Read,
    place: &[&str],
    each: &mut dyn FnMut(Value),
) -> serde_json::Result<()> {
    let mut reader = serde_json::Deserializer::from_reader(document);
    EntryReader { place, each }.deserialize(&mut reader)
}

/// The fields of the envelope that are or contain lists.
const ENVELOPE: &[&str] =
    &["tool", "source", "targets", "selection", "certificates", "errors", "merged"];

/// Reads a document without the entries of its lists.
struct OutlineReader {
    /// The outermost fields that are read with their lists.
    whole: &'static [&'static str],
}

impl<'de> DeserializeSeed<'de> for OutlineReader {
    type Value = Outline;

    fn deserialize<D: Deserializer<'de>>(self, document: D) -> Result<Outline, D::Error> {
        document.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OutlineReader {
    type Value = Outline;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outline, A::Error> {
        let mut fields = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            let part = match self.whole.contains(&key.as_str()) {
                true => Outline::Value(map.next_value()?),
                false => map.next_value_seed(Self { whole: &[] })?,
            };
            fields.insert(key, part);
        }
        Ok(Outline::Object(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Outline, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Outline::List)
    }

    fn visit_unit<E>(self) -> Result<Outline, E> {
        Ok(Outline::Value(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Outline, E> {
        Ok(Outline::Value(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Outline, E> {
        Ok(Outline::Value(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Outline, E> {
        Ok(Outline::Value(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Outline, E> {
        Ok(Outline::Value(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Outline, E> {
        Ok(Outline::Value(value.into()))
    }
}

/// Reads the entries of one list of a document.
struct EntryReader<'a> {
    place: &'a [&'a str],
    each: &'a mut dyn FnMut(Value),
}

impl<'de> DeserializeSeed<'de> for EntryReader<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, document: D) -> Result<(), D::Error> {
        document.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for EntryReader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the list that was here before")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match self.place.split_first() {
                Some((first, rest)) if *first == key => {
                    map.next_value_seed(EntryReader { place: rest, each: &mut *self.each })?;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(entry) = list.next_element()? {
            (self.each)(entry);
        }
        Ok(())
    }
}
