//! Namespaces of metadata definitions, and their differences.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};

/// A namespace as `GET /v2/metadefs/namespaces/{namespace}` returns it, without the values that are
/// specific to one Glance (times and links). Unknown fields are preserved.
#[derive(Debug, Clone, PartialEq)]
pub struct Namespace {
    name: String,
    /// The fields other than the name: title, description, visibility, protection, owner.
    fields: Map<String, Value>,
    /// The contents by name. A tag has only a name.
    parts: BTreeMap<Part, BTreeMap<String, Value>>,
}

/// The kinds of parts of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A field of the namespace itself.
    Field,
    /// A resource type that the namespace is intended for.
    ResourceType,
    /// A property.
    Property,
    /// An object, which is a group of properties.
    Object,
    /// A tag.
    Tag,
}

/// A difference between two namespaces.
#[derive(Debug, Clone, PartialEq)]
pub struct NamespaceDifference {
    /// The kind of the part.
    pub part: Part,
    /// The name of the part.
    pub name: String,
    /// The value at the source; `None` if the source does not have the part.
    pub source: Option<Value>,
    /// The value at the target; `None` if the target does not have the part.
    pub target: Option<Value>,
}

impl Namespace {
    /// Parses a namespace from the API's JSON; `None` if the JSON is not a namespace.
    pub fn of(shown: &Value) -> Option<Self> {
        let mut fields = own(shown)?;
        let name = fields.remove("namespace")?.as_str()?.to_owned();
        let mut parts = BTreeMap::new();
        for part in [Part::ResourceType, Part::Property, Part::Object, Part::Tag] {
            let shown = fields.remove(part.key()).unwrap_or_default();
            parts.insert(part, by_name(part, &shown)?);
        }
        // The API's defaults for missing fields.
        fields.entry("visibility").or_insert_with(|| "private".into());
        fields.entry("protected").or_insert(Value::Bool(false));
        Some(Self { name, fields, parts })
    }

    /// The namespace's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The project that owns the namespace, if specified.
    pub fn owner(&self) -> Option<&str> {
        self.fields.get("owner").and_then(Value::as_str)
    }

    /// Sets the project that owns the namespace.
    pub fn set_owner(&mut self, owner: Option<String>) {
        match owner {
            Some(owner) => self.fields.insert("owner".to_owned(), owner.into()),
            None => self.fields.remove("owner"),
        };
    }

    /// Sets the owner to that of `from`.
    pub fn take_owner(&mut self, from: &Self) {
        self.set_owner(from.owner().map(str::to_owned));
    }

    /// Whether the contents are protected from removal.
    pub fn is_protected(&self) -> bool {
        self.fields.get("protected") == Some(&Value::Bool(true))
    }

    /// A copy of the namespace with or without protection.
    #[must_use]
    pub fn protected(&self, is_protected: bool) -> Self {
        let mut changed = self.clone();
        changed.fields.insert("protected".to_owned(), is_protected.into());
        changed
    }

    /// The complete namespace as JSON of the API.
    pub fn to_json(&self) -> Value {
        let mut all = self.head();
        for (part, entries) in self.parts.iter().filter(|(_, entries)| !entries.is_empty()) {
            let entries = match part {
                Part::Property => entries.clone().into_iter().collect::<Map<_, _>>().into(),
                _ => entries.values().cloned().collect::<Vec<_>>().into(),
            };
            all.insert(part.key().to_owned(), entries);
        }
        Value::Object(all)
    }

    /// The name and fields, without the contents.
    pub fn head(&self) -> Map<String, Value> {
        let mut head = self.fields.clone();
        head.insert("namespace".to_owned(), self.name.clone().into());
        head
    }

    /// The tags as JSON of the API.
    pub fn tags(&self) -> Vec<Value> {
        self.entries(Part::Tag).values().cloned().collect()
    }

    /// The differences between this namespace (the source) and `found` (the target).
    pub fn differences(&self, found: &Self) -> Vec<NamespaceDifference> {
        let fields =
            |of: &Self| -> BTreeMap<String, Value> { of.fields.clone().into_iter().collect() };
        let mut differences = compared(Part::Field, &fields(self), &fields(found));
        for part in self.parts.keys() {
            differences.extend(compared(*part, self.entries(*part), found.entries(*part)));
        }
        differences
    }

    /// Adds the contents that only `found` has, and returns them.
    pub fn take_surplus(&mut self, found: &Self) -> Vec<NamespaceDifference> {
        let mut surplus = self.differences(found);
        surplus.retain(|difference| difference.part != Part::Field && difference.source.is_none());
        for NamespaceDifference { part, name, target, .. } in &surplus {
            let entries = self.parts.entry(*part).or_default();
            entries.extend(target.clone().map(|value| (name.clone(), value)));
        }
        surplus
    }

    fn entries(&self, part: Part) -> &BTreeMap<String, Value> {
        const NONE: &BTreeMap<String, Value> = &BTreeMap::new();
        self.parts.get(&part).unwrap_or(NONE)
    }
}

fn compared(
    part: Part,
    source: &BTreeMap<String, Value>,
    target: &BTreeMap<String, Value>,
) -> Vec<NamespaceDifference> {
    let names: BTreeSet<&String> = source.keys().chain(target.keys()).collect();
    let differ = names.into_iter().filter(|name| source.get(*name) != target.get(*name));
    let difference = |name: &String| NamespaceDifference {
        part,
        name: name.clone(),
        source: source.get(name).cloned(),
        target: target.get(name).cloned(),
    };
    differ.map(difference).collect()
}

/// The entries under one key of a namespace, by name; `None` if their form is not valid.
fn by_name(part: Part, shown: &Value) -> Option<BTreeMap<String, Value>> {
    match (part, shown) {
        (_, Value::Null) => Some(BTreeMap::new()),
        (Part::Property, Value::Object(properties)) => {
            let property = |(name, of): (&String, &Value)| {
                let mut fields = own(of)?;
                // Glance repeats the name of a property that was not created together with its
                // namespace.
                fields.remove("name");
                Some((name.clone(), fields.into()))
            };
            properties.iter().map(property).collect()
        }
        (Part::Property, _) => None,
        (_, Value::Array(entries)) => {
            let entry = |entry: &Value| {
                Some((entry["name"].as_str()?.to_owned(), Value::Object(own(entry)?)))
            };
            entries.iter().map(entry).collect()
        }
        _ => None,
    }
}

/// The fields that are not null and not specific to one Glance.
fn own(shown: &Value) -> Option<Map<String, Value>> {
    let mut fields = shown.as_object()?.clone();
    fields.retain(|name, value| !NOT_TAKEN.contains(&&**name) && !value.is_null());
    Some(fields)
}

/// Fields that Glance rejects as read-only, or that are links.
const NOT_TAKEN: &[&str] = &["self", "schema", "created_at", "updated_at"];

impl Part {
    /// The key of this kind in the JSON of a namespace and in URLs.
    fn key(self) -> &'static str {
        match self {
            Self::Field => "",
            Self::ResourceType => "resource_type_associations",
            Self::Property => "properties",
            Self::Object => "objects",
            Self::Tag => "tags",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Field => "field",
            Self::ResourceType => "resource type",
            Self::Property => "property",
            Self::Object => "object",
            Self::Tag => "tag",
        })
    }
}

impl fmt::Display for NamespaceDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            Part::Field => f.write_str(&self.name),
            part => write!(f, "{part} {:?}", self.name),
        }
    }
}
