//! Records as the v2 API writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Attributes, Image, InvalidRecord, Owner};

impl Image {
    /// Reads a record of the v2 API. Custom properties that are null are left out; numbers and
    /// booleans, which a site's schema may allow, become their text.
    pub fn from_json(mut record: Map<String, Value>) -> Result<Self, InvalidRecord> {
        let stores = record.get("stores").and_then(Value::as_str).unwrap_or_default();
        let stores = stores.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        for link in LINKS {
            record.remove(*link);
        }
        let mut fields = Fields(record);
        Ok(Self {
            id: fields.required("id")?,
            status: fields.required("status")?,
            size: fields.number("size")?,
            virtual_size: fields.number("virtual_size")?,
            checksum: fields.text("checksum")?,
            os_hash_algo: fields.text("os_hash_algo")?,
            os_hash_value: fields.text("os_hash_value")?,
            created_at: fields.text("created_at")?,
            updated_at: fields.text("updated_at")?,
            stores,
            attributes: Attributes::from_fields(fields)?,
        })
    }

    /// Writes the record as the v2 API shows it, without links.
    pub fn to_json(&self) -> Map<String, Value> {
        let mut record = self.attributes.to_json();
        let facts = [
            ("checksum", &self.checksum),
            ("os_hash_algo", &self.os_hash_algo),
            ("os_hash_value", &self.os_hash_value),
            ("created_at", &self.created_at),
            ("updated_at", &self.updated_at),
        ];
        record.extend(facts.map(|(key, value)| (key.to_owned(), value.clone().into())));
        record.insert("id".into(), self.id.as_str().into());
        record.insert("status".into(), self.status.as_str().into());
        record.insert("size".into(), self.size.into());
        record.insert("virtual_size".into(), self.virtual_size.into());
        record
    }
}

impl Attributes {
    /// Writes every attribute, and the custom properties beside them.
    pub fn to_json(&self) -> Map<String, Value> {
        let properties = self.properties.iter();
        let mut record: Map<String, Value> =
            properties.map(|(key, value)| (key.clone(), value.clone().into())).collect();
        let tags: Vec<Value> = self.tags.iter().map(|tag| tag.clone().into()).collect();
        let base = [
            ("name", self.name.clone().into()),
            ("visibility", self.visibility.as_str().into()),
            ("protected", self.protected.into()),
            ("os_hidden", self.os_hidden.into()),
            ("disk_format", self.disk_format.clone().into()),
            ("container_format", self.container_format.clone().into()),
            ("min_disk", self.min_disk.into()),
            ("min_ram", self.min_ram.into()),
            ("tags", tags.into()),
        ];
        record.extend(base.map(|(key, value)| (key.to_owned(), value)));
        if self.owner != Owner::Unsaid {
            record.insert("owner".to_owned(), self.owner.project().into());
        }
        record
    }

    fn from_fields(mut fields: Fields) -> Result<Self, InvalidRecord> {
        Ok(Self {
            name: fields.text("name")?,
            owner: fields.owner()?,
            visibility: fields.required("visibility")?,
            protected: fields.flag("protected")?,
            os_hidden: fields.flag("os_hidden")?,
            disk_format: fields.text("disk_format")?,
            container_format: fields.text("container_format")?,
            min_disk: fields.number("min_disk")?.unwrap_or(0),
            min_ram: fields.number("min_ram")?.unwrap_or(0),
            tags: fields.tags()?,
            properties: fields.properties(),
        })
    }
}

impl Serialize for Image {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Image {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(Map::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A record whose known fields are taken out one by one, so that the rest are custom properties.
struct Fields(Map<String, Value>);

impl Fields {
    fn required<T: FromStr<Err = InvalidRecord>>(&mut self, key: &str) -> Result<T, InvalidRecord> {
        let text = self.text(key)?;
        text.ok_or_else(|| InvalidRecord(format!("the record has no {key:?}")))?.parse()
    }

    fn text(&mut self, key: &str) -> Result<Option<String>, InvalidRecord> {
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(unexpected(key, "a string", &other)),
        }
    }

    fn owner(&mut self) -> Result<Owner, InvalidRecord> {
        let is_said = self.0.contains_key("owner");
        Ok(match self.text("owner")? {
            Some(project) => Owner::Project(project),
            None if is_said => Owner::Nobody,
            None => Owner::Unsaid,
        })
    }

    fn number(&mut self, key: &str) -> Result<Option<u64>, InvalidRecord> {
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                value.as_u64().map(Some).ok_or_else(|| unexpected(key, "a whole number", &value))
            }
        }
    }

    fn flag(&mut self, key: &str) -> Result<bool, InvalidRecord> {
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(other) => Err(unexpected(key, "true or false", &other)),
        }
    }

    fn tags(&mut self) -> Result<BTreeSet<String>, InvalidRecord> {
        let tags = self.0.remove("tags").unwrap_or(Value::Null);
        match &tags {
            Value::Null => Ok(BTreeSet::new()),
            Value::Array(items) => items
                .iter()
                .map(|tag| tag.as_str().map(str::to_owned))
                .collect::<Option<_>>()
                .ok_or_else(|| unexpected("tags", "a list of strings", &tags)),
            _ => Err(unexpected("tags", "a list of strings", &tags)),
        }
    }

    fn properties(self) -> BTreeMap<String, String> {
        let text = |value| match value {
            Value::Null => None,
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        };
        self.0.into_iter().filter_map(|(key, value)| Some((key, text(value)?))).collect()
    }
}

fn unexpected(key: &str, wanted: &str, found: &Value) -> InvalidRecord {
    InvalidRecord(format!("{key:?} is {found}, not {wanted}"))
}

/// Keys of a record that mean something at its own site only.
const LINKS: &[&str] = &["self", "file", "schema", "direct_url", "locations", "stores"];
