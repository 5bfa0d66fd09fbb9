//! Parses JSON into the same tree as YAML. The YAML reader does not support JSON's escapes for
//! characters beyond 16 bits.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::yaml::{Map, Node};

impl Node {
    /// Parses a JSON document. The error gives the line, and quotes no value.
    pub(super) fn read_json(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::text(value.to_string()))
    }

    /// A long number, possibly a password, would lose digits.
    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        match value.abs() < EXACT {
            true => Ok(Node::text(value.to_string())),
            false => {
                Err(E::custom("a number is too long to keep exactly: write the number in quotes"))
            }
        }
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Map::new();
        while let Some((key, value)) = entries.next_entry::<String, Node>()? {
            if map.contains_key(&key) {
                return Err(Error::custom(format!("the key `{key}` occurs twice")));
            }
            map.insert(key, value);
        }
        Ok(Node::Map(map))
    }
}

/// Below this limit, every integer is represented exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_line_and_quote_no_value() {
        for broken in
            ["{\"a\":\n\"hush\", \"a\": 1}", "{\"a\":\n\"hush\"", "{\"a\":\n\"hush\" \"hush\"}"]
        {
            let error = Node::read_json(broken).err().unwrap();
            assert!(error.contains("line 2"), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
        assert!(Node::read_json(&"[".repeat(100_000)).is_err());
    }
}
