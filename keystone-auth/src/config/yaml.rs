//! YAML with every scalar kept as text: `password: 0123` remains `0123`.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use secrecy::zeroize::Zeroizing;

/// Maximum bytes of memory that aliases may add. Some files repeat a block; none needs more.
const ALIAS_LIMIT: usize = 1 << 20;

/// The memory of a value without its contents.
const NODE: usize = size_of::<Node>();

/// The maximum nesting depth of a file, because the reader recurses.
const DEPTH_LIMIT: usize = 64;

/// The tags that keep a scalar as text, or make it null.
const SCALARS: &[&str] = &["str", "int", "float", "bool", "null"];

/// A map in a file.
pub(super) type Map = BTreeMap<String, Node>;

/// A value in a file. As it may be a secret, it has no `Debug`, and its memory is wiped when it is
/// dropped.
#[derive(Clone)]
pub(super) enum Node {
    Null,
    Text(Zeroizing<String>),
    List(Vec<Node>),
    Map(Map),
}

impl Node {
    /// Parses a file with a single document. The error says what is wrong on which line, and quotes
    /// no value.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut reader = Reader {
            parser: Parser::new_from_str(text),
            anchors: BTreeMap::new(),
            budget: ALIAS_LIMIT,
            line: 1,
        };
        let mut document = None;
        loop {
            match reader.event()? {
                Event::StreamEnd => return Ok(document.unwrap_or(Self::Null)),
                Event::StreamStart
                | Event::DocumentStart(_)
                | Event::DocumentEnd
                | Event::Nothing => {}
                _ if document.is_some() => return reader.fail("a second document begins"),
                event => document = Some(reader.node(event, 0)?),
            }
        }
    }

    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(Zeroizing::new(text.into()))
    }

    /// Replaces `-` by `_` in keys, at every depth. Fails if a key then occurs twice.
    pub(super) fn normalised(self) -> Result<Self, String> {
        match self {
            Self::Map(map) => {
                let mut normalised = Map::new();
                for (key, value) in map {
                    let key = key.replace('-', "_");
                    if normalised.contains_key(&key) {
                        return Err(key);
                    }
                    normalised.insert(key, value.normalised()?);
                }
                Ok(Self::Map(normalised))
            }
            Self::List(items) => {
                items.into_iter().map(Self::normalised).collect::<Result<_, _>>().map(Self::List)
            }
            other => Ok(other),
        }
    }

    /// Merges `over` into this value: maps key by key, anything else as a whole.
    pub(super) fn merge(&mut self, over: Self) {
        match (self, over) {
            (Self::Map(below), Self::Map(over)) => {
                for (key, value) in over {
                    below.entry(key).or_insert(Self::Null).merge(value);
                }
            }
            (below, over) => *below = over,
        }
    }

    /// The approximate memory of the value, in bytes.
    fn weight(&self) -> usize {
        let more = match self {
            Self::Null => 0,
            Self::Text(text) => text.len(),
            Self::List(items) => items.iter().map(Self::weight).sum(),
            Self::Map(map) => {
                map.iter().map(|(key, value)| 2 * NODE + key.len() + value.weight()).sum()
            }
        };
        NODE + more
    }
}

/// A boolean in any spelling that YAML ever had; `None` for anything else.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" | "1" => Some(true),
        "false" | "no" | "off" | "n" | "0" => Some(false),
        _ => None,
    }
}

/// Builds nodes from parser events. The library's own loader distinguishes the keys `'a'` and `a`,
/// and recurses without a limit.
struct Reader<'input> {
    parser: Parser<'input, StrInput<'input>>,
    anchors: BTreeMap<usize, Node>,
    budget: usize,
    line: usize,
}

impl<'input> Reader<'input> {
    fn event(&mut self) -> Result<Event<'input>, String> {
        let next: Option<Result<(Event<'input>, Span), ScanError>> = self.parser.next();
        match next {
            None => Ok(Event::StreamEnd),
            Some(Ok((event, span))) => {
                self.line = span.start.line();
                Ok(event)
            }
            Some(Err(error)) => Err(format!("line {}: {}", error.marker().line(), error.info())),
        }
    }

    fn fail<T>(&self, reason: &str) -> Result<T, String> {
        Err(format!("line {}: {reason}", self.line))
    }

    fn node(&mut self, event: Event<'input>, depth: usize) -> Result<Node, String> {
        if depth > DEPTH_LIMIT {
            return self.fail("nested too deeply");
        }
        let (anchor, node) = match event {
            Event::Alias(anchor) => return self.alias(anchor),
            Event::Scalar(text, style, anchor, tag) => {
                let null = match self.tag(tag.as_deref(), SCALARS)? {
                    Some(tag) => tag == "null",
                    None => {
                        style == ScalarStyle::Plain
                            && matches!(&*text, "" | "~" | "null" | "Null" | "NULL")
                    }
                };
                (anchor, if null { Node::Null } else { Node::text(text) })
            }
            Event::SequenceStart(anchor, tag) => {
                self.tag(tag.as_deref(), &["seq"])?;
                (anchor, self.list(depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                self.tag(tag.as_deref(), &["map"])?;
                (anchor, self.map(depth)?)
            }
            _ => return self.fail("expected a value"),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// The name of a standard YAML tag, if there is a tag. Other tags, such as `!vault` and `!ENV`,
    /// change the meaning of the value and require a program that supports them.
    fn tag(
        &self,
        tag: Option<&Tag>,
        known: &[&'static str],
    ) -> Result<Option<&'static str>, String> {
        let Some(tag) = tag else { return Ok(None) };
        let whole = format!("{}{}", tag.handle, tag.suffix);
        let own = whole.strip_prefix("tag:yaml.org,2002:");
        // A lone `!` means: take the scalar as text.
        if let Some(name) = known.iter().find(|name| Some(**name) == own || whole == "!") {
            return Ok(Some(name));
        }
        let shown = own.map_or(whole.clone(), |name| format!("!!{name}"));
        self.fail(&format!("the tag {shown} is not supported; write the decrypted value"))
    }

    fn list(&mut self, depth: usize) -> Result<Node, String> {
        let mut items = Vec::new();
        loop {
            match self.event()? {
                Event::SequenceEnd => return Ok(Node::List(items)),
                event => items.push(self.node(event, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Node, String> {
        let mut map = BTreeMap::new();
        let mut merged = None;
        loop {
            let key = match self.event()? {
                Event::MappingEnd => break,
                Event::Scalar(key, style, _, tag) => {
                    self.tag(tag.as_deref(), &["str"])?;
                    (key.into_owned(), style)
                }
                _ => return self.fail("a key is not a plain word"),
            };
            let event = self.event()?;
            let line = self.line;
            let value = self.node(event, depth + 1)?;
            let twice = match key {
                (key, ScalarStyle::Plain) if key == "<<" => merged.replace(value).is_some(),
                (key, _) if map.contains_key(&key) => {
                    return Err(format!("line {line}: the key `{key}` occurs twice"));
                }
                (key, _) => map.insert(key, value).is_some(),
            };
            if twice {
                return Err(format!("line {line}: the key `<<` occurs twice"));
            }
        }
        if let Some(merged) = merged {
            self.merge_key(&mut map, merged)?;
        }
        Ok(Node::Map(map))
    }

    /// `<<: *base` or `<<: [*first, *second]`: adds the missing keys, the first map first.
    fn merge_key(&self, map: &mut BTreeMap<String, Node>, merged: Node) -> Result<(), String> {
        match merged {
            Node::Map(base) => {
                for (key, value) in base {
                    map.entry(key).or_insert(value);
                }
                Ok(())
            }
            Node::List(bases) if bases.iter().all(|base| matches!(base, Node::Map(_))) => {
                bases.into_iter().try_for_each(|base| self.merge_key(map, base))
            }
            _ => self.fail("`<<` can merge only maps"),
        }
    }

    fn alias(&mut self, anchor: usize) -> Result<Node, String> {
        let Some(node) = self.anchors.get(&anchor) else {
            return self.fail("an alias refers to an incomplete value");
        };
        match self.budget.checked_sub(node.weight()) {
            Some(budget) => {
                let node = node.clone();
                self.budget = budget;
                Ok(node)
            }
            None => self.fail("aliases make the file too large"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
        let Node::Map(map) = node else { return None };
        map.get(key)
    }

    fn text(node: &Node, key: &str) -> String {
        match get(node, key) {
            Some(Node::Text(text)) => text.to_string(),
            _ => panic!("{key} is not text"),
        }
    }

    #[test]
    fn scalars_stay_text() {
        let node =
            Node::read("a: 0123\nb: 12:34:56\nc: 1e3\nd: no\ne: 'null'\nf: ~\ng-h: 1_000").unwrap();
        for (key, expected) in [
            ("a", "0123"),
            ("b", "12:34:56"),
            ("c", "1e3"),
            ("d", "no"),
            ("e", "null"),
            ("g-h", "1_000"),
        ] {
            assert_eq!(text(&node, key), expected);
        }
        assert!(matches!(get(&node, "f"), Some(Node::Null)));
    }

    #[test]
    fn duplicate_keys_are_an_error() {
        for file in ["a: secret\n'a': 2", "x: {a: 1, a: 2}", "<<: {a: 1}\n<<: {b: 1}"] {
            let error = Node::read(file).err().unwrap();
            assert!(error.contains("twice"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn merge_keys_fill_in() {
        let file =
            "b: &b {x: 1, y: 1}\nc: &c {x: 2, z: 2}\nd:\n  <<: [*b, *c]\n  y: 3\ne: {<<: *c}";
        let node = Node::read(file).unwrap();
        let d = get(&node, "d").unwrap();
        assert_eq!(
            (text(d, "x"), text(d, "y"), text(d, "z")),
            ("1".into(), "3".into(), "2".into())
        );
        assert_eq!(text(get(&node, "e").unwrap(), "x"), "2");
        assert!(Node::read("a: {<<: 1}").is_err());
    }

    #[test]
    fn aliases_and_depth_are_bounded() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let below = format!("*a{}", level - 1);
            let line = format!("a{level}: &a{level} [{}]\n", vec![below; 10].join(", "));
            bomb.push_str(&line);
        }
        assert!(Node::read(&bomb).err().unwrap().contains("aliases"));
        let long = format!("a: &a {}\nb: [{}]", "x".repeat(10_000), "*a, ".repeat(200));
        assert!(Node::read(&long).err().unwrap().contains("aliases"));
        assert!(Node::read(&"- ".repeat(100_000)).is_err());
        assert!(Node::read("a: &a [*a]").is_err());
    }

    #[test]
    fn merge_is_deep() {
        let mut node = Node::read("a: {x: 1, y: 1}\nb: [1]").unwrap();
        node.merge(Node::read("a: {y: 2}\nb: 3").unwrap());
        let a = get(&node, "a").unwrap();
        assert_eq!(
            (text(a, "x"), text(a, "y"), text(&node, "b")),
            ("1".into(), "2".into(), "3".into())
        );
    }

    #[test]
    fn tags_of_other_programs_are_refused_with_their_line() {
        for (tagged, tag) in [
            ("!vault |\n  hush", "!vault"),
            ("!ENV ${HUSH}", "!ENV"),
            ("!<tag:example.com,2000:x> hush", "tag:example.com,2000:x"),
            ("!include {y: hush}", "!include"),
            ("!reset [hush]", "!reset"),
            ("!!binary aHVzaA==", "!!binary"),
            ("!!timestamp 2024-01-01", "!!timestamp"),
            ("!!set {hush}", "!!set"),
            ("!!str {y: hush}", "!!str"),
            ("{!secret hush: 1}", "!secret"),
        ] {
            let error = Node::read(&format!("a: 1\nb: {tagged}")).err().unwrap();
            let said = format!("line 2: the tag {tag} is not supported; write the decrypted value");
            assert!(error.starts_with(&said), "{tagged}: {error}");
            assert!(!error.contains("hush"), "{error}");
        }
        let own = "a: !!str 0123\nb: !<tag:yaml.org,2002:str> 0123\nc: ! 0123\nd: !!int 0123\n\
                   !!str e: !!map {f: !!seq [!!bool no]}";
        let node = Node::read(own).unwrap();
        assert!(["a", "b", "c", "d"].iter().all(|key| text(&node, key) == "0123"));
        assert!(matches!(get(&Node::read("a: !!null x").unwrap(), "a"), Some(Node::Null)));
    }

    #[test]
    fn broken_files_name_the_line() {
        assert!(Node::read("a: 1\nb: [").err().unwrap().starts_with("line "));
        assert!(Node::read("a: 1\n---\nb: 1").err().unwrap().contains("second document"));
    }
}
