//! Image records as JSON of the v2 API.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{
    Attributes, Image, InvalidRecord, Member, NO_PROJECT, Owner, Status, Visibility, beginning,
};

/// A record that cannot be read completely.
#[derive(Debug)]
pub struct Misread {
    /// The readable part of the record; `None` if not even the id can be read.
    pub image: Option<Box<Image>>,
    /// The first error.
    pub fault: InvalidRecord,
}

impl Misread {
    /// A record of which only the values in `known` are available.
    pub fn of(known: Map<String, Value>, fault: String) -> Self {
        let image = match Image::read(known) {
            Ok(image) => Some(Box::new(image)),
            Err(misread) => misread.image,
        };
        Self { image, fault: InvalidRecord(fault) }
    }
}

impl Image {
    /// Reads a record of the v2 API. Custom properties with the value null are dropped; numbers and
    /// booleans, which a site's schema may allow, are converted to text. An empty digest or time
    /// counts as null.
    pub fn from_json(record: Map<String, Value>) -> Result<Self, InvalidRecord> {
        Self::read(record).map_err(|misread| misread.fault)
    }

    /// Reads a record; the error contains the readable part.
    pub fn read(mut record: Map<String, Value>) -> Result<Self, Misread> {
        let stores = record.get("stores").and_then(Value::as_str).unwrap_or_default();
        let stores = stores.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        for link in LINKS {
            record.remove(*link);
        }
        let mut fields = Fields { record, fault: None };
        let Some(id) = fields.required("id") else {
            return Err(Misread { image: None, fault: fields.fault.unwrap_or_else(no_id) });
        };
        let image = Self {
            id,
            status: fields.required("status").unwrap_or(Status::Queued),
            size: fields.number("size"),
            virtual_size: fields.number("virtual_size"),
            checksum: fields.said("checksum").map(|digest| digest.to_ascii_lowercase()),
            os_hash_algo: fields.said("os_hash_algo").map(|name| name.to_ascii_lowercase()),
            os_hash_value: fields.said("os_hash_value").map(|digest| digest.to_ascii_lowercase()),
            created_at: fields.said("created_at"),
            updated_at: fields.said("updated_at"),
            stores,
            attributes: Attributes::from_fields(&mut fields),
        };
        match fields.fault {
            None => Ok(image),
            Some(fault) => Err(Misread { image: Some(Box::new(image)), fault }),
        }
    }

    /// Writes the record as the v2 API returns it, without links.
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
    /// Writes every attribute and the custom properties.
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

    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            name: fields.text("name"),
            owner: fields.owner(),
            visibility: fields.required("visibility").unwrap_or(Visibility::Private),
            protected: fields.flag("protected"),
            os_hidden: fields.flag("os_hidden"),
            disk_format: fields.text("disk_format"),
            container_format: fields.text("container_format"),
            min_disk: fields.number("min_disk").unwrap_or(0),
            min_ram: fields.number("min_ram").unwrap_or(0),
            tags: fields.tags(),
            properties: fields.properties(),
        }
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

/// As in the v2 API, without the id of the image and the times.
impl Serialize for Member {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = [("member_id", self.project.as_str()), ("status", self.status.as_str())];
        serializer.collect_map(fields)
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let mut text = |key| match fields.remove(key) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(D::Error::custom(format!("the member has no {key:?}"))),
        };
        let (project, status) = (text("member_id")?, text("status")?);
        Ok(Self { project, status: status.parse().map_err(D::Error::custom)? })
    }
}

/// A record whose known fields are removed one by one, so that the custom properties remain.
struct Fields {
    record: Map<String, Value>,
    /// The error of the first field that cannot be read. The other fields are still read.
    fault: Option<InvalidRecord>,
}

impl Fields {
    fn wrong(&mut self, fault: InvalidRecord) {
        self.fault.get_or_insert(fault);
    }

    fn required<T: FromStr<Err = InvalidRecord>>(&mut self, key: &str) -> Option<T> {
        if self.record.get(key).is_none_or(Value::is_null) {
            self.wrong(InvalidRecord(format!("the record has no {key:?}")));
        }
        let parsed = self.text(key)?.parse();
        parsed.map_err(|fault| self.wrong(fault)).ok()
    }

    fn text(&mut self, key: &str) -> Option<String> {
        match self.record.remove(key) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text),
            Some(other) => {
                self.wrong(unexpected(key, "a string", &other));
                None
            }
        }
    }

    /// A text that is not blank.
    fn said(&mut self, key: &str) -> Option<String> {
        self.text(key).filter(|text| !text.trim().is_empty())
    }

    fn owner(&mut self) -> Owner {
        let is_said = self.record.contains_key("owner");
        match self.text("owner") {
            Some(project) if project == NO_PROJECT => Owner::Unsaid,
            Some(project) => Owner::Project(project),
            None if is_said => Owner::NoProject,
            None => Owner::Unsaid,
        }
    }

    fn number(&mut self, key: &str) -> Option<u64> {
        let value = self.record.remove(key).filter(|value| !value.is_null())?;
        if !value.is_u64() {
            self.wrong(unexpected(key, "a whole number", &value));
        }
        value.as_u64()
    }

    fn flag(&mut self, key: &str) -> bool {
        match self.record.remove(key) {
            None | Some(Value::Null) => false,
            Some(Value::Bool(flag)) => flag,
            Some(other) => {
                self.wrong(unexpected(key, "true or false", &other));
                false
            }
        }
    }

    fn tags(&mut self) -> BTreeSet<String> {
        let tags = self.record.remove("tags").unwrap_or(Value::Null);
        let read = match &tags {
            Value::Null => Some(BTreeSet::new()),
            Value::Array(items) => {
                items.iter().map(|tag| tag.as_str().map(str::to_owned)).collect()
            }
            _ => None,
        };
        if read.is_none() {
            self.wrong(unexpected("tags", "a list of strings", &tags));
        }
        read.unwrap_or_default()
    }

    fn properties(&mut self) -> BTreeMap<String, String> {
        let text = |value| match value {
            Value::Null => None,
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        };
        let rest = std::mem::take(&mut self.record).into_iter();
        rest.filter_map(|(key, value)| Some((key, text(value)?))).collect()
    }
}

fn no_id() -> InvalidRecord {
    InvalidRecord("the record has no id".to_owned())
}

fn unexpected(key: &str, wanted: &str, found: &Value) -> InvalidRecord {
    InvalidRecord(format!("{key:?} is {}, not {wanted}", beginning(&found.to_string())))
}

/// Keys of a record that are meaningful only at the record's own site.
const LINKS: &[&str] = &["self", "file", "schema", "direct_url", "locations", "stores"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::digest::Algorithm;

    fn record(fields: &[(&str, Value)]) -> Map<String, Value> {
        let base = json!({
            "id": "6d55dd55-053a-4765-b7bc-b30df0ea3861", "name": "n", "status": "active",
            "visibility": "private",
        });
        let mut record = base.as_object().unwrap().clone();
        record.extend(fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        record
    }

    #[test]
    fn an_empty_digest_or_time_says_nothing() {
        for nothing in [json!(""), json!(" "), Value::Null] {
            let keys = ["checksum", "os_hash_algo", "os_hash_value", "created_at", "updated_at"];
            let image = Image::from_json(record(&keys.map(|key| (key, nothing.clone())))).unwrap();
            let texts = [image.checksum, image.os_hash_algo, image.os_hash_value];
            assert_eq!(texts, [const { None }; 3]);
            assert_eq!((image.created_at, image.updated_at), (None, None));
        }
    }

    #[test]
    fn digests_mean_the_same_in_capitals() {
        let fields = [("os_hash_algo", "SHA512"), ("os_hash_value", "00FF"), ("checksum", "AB")];
        let image =
            Image::from_json(record(&fields.map(|(key, text)| (key, json!(text))))).unwrap();
        let all: Vec<_> = image.digests().collect();
        assert_eq!(all, [(Algorithm::Sha512, "00ff"), (Algorithm::Md5, "ab")]);
    }

    #[test]
    fn of_an_odd_record_the_rest_is_read() {
        for (key, odd, said) in [
            ("min_disk", json!("20"), "\"min_disk\" is \"20\", not a whole number"),
            ("size", json!(-1), "\"size\" is -1, not a whole number"),
            ("tags", json!([1]), "\"tags\" is [1], not a list of strings"),
            ("protected", json!("yes"), "\"protected\" is \"yes\", not true or false"),
            ("checksum", json!(7), "\"checksum\" is 7, not a string"),
            ("status", json!("new"), "\"new\" is not a known Status"),
            ("status", Value::Null, "the record has no \"status\""),
            ("visibility", json!("x"), "\"x\" is not a known Visibility"),
        ] {
            let misread = Image::read(record(&[(key, odd)])).unwrap_err();
            assert_eq!(misread.fault.to_string(), said);
            let image = misread.image.unwrap();
            assert_eq!((image.label(), image.id.as_str().len()), ("n", 36), "{key}");
        }
        let nameless = record(&[("name", json!(7)), ("min_ram", json!("x"))]);
        let misread = Image::read(nameless).unwrap_err();
        assert_eq!(misread.fault.to_string(), "\"name\" is 7, not a string");
        assert_eq!(misread.image.unwrap().label(), "(no name)");
        for id in [Value::Null, json!(7), json!("x")] {
            assert!(Image::read(record(&[("id", id)])).unwrap_err().image.is_none());
        }
    }

    #[test]
    fn an_error_shows_the_beginning_of_a_long_value() {
        let long = json!(["é".repeat(100_000)]);
        let fault = Image::from_json(record(&[("name", long)])).unwrap_err().to_string();
        assert!(fault.len() < 300 && fault.contains("éé…, not a string"), "{fault}");
    }
}
