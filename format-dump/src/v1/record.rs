//! Converts records of the v1 API to images of the v2 API.
//!
//! Records made from HTTP headers have strings in place of numbers and booleans, and their
//! properties as `property-<key>`; both forms are supported.

use std::collections::BTreeMap;
use std::error::Error;

use glance_core::image::{
    Attributes, Image, ImageId, LINK_FIELDS, Owner, RECORD_FIELDS, Status, Visibility,
};
use safe_files::json;
use serde_json::{Map, Value};

/// The reason why a record is unreadable, as a fragment of a sentence.
type Unreadable = Box<dyn Error + Send + Sync>;

/// Parses a record; `None` if the record is marked as deleted.
pub(super) fn read(id: &ImageId, text: &[u8]) -> Result<Option<Image>, Unreadable> {
    let mut record = Record(json::parse(text)?);
    let named = record.text("id")?;
    if named.as_deref().is_some_and(|named| named != id.as_str()) {
        return Err(format!("the file is the record of {}", named.unwrap_or_default()).into());
    }
    let deleted = record.flag("deleted")? || record.text("deleted_at")?.is_some();
    let status = record.text("status")?.map_or(Ok(Status::Active), |status| status.parse())?;
    if deleted || status == Status::Deleted {
        return Ok(None);
    }
    Ok(Some(Image {
        status,
        size: record.number("size")?,
        virtual_size: record.number("virtual_size")?,
        checksum: record.text("checksum")?,
        created_at: record.text("created_at")?.map(|time| with_zone(&time)),
        updated_at: record.text("updated_at")?.map(|time| with_zone(&time)),
        ..Image::queued(id.clone(), record.attributes()?)
    }))
}

struct Record(Map<String, Value>);

impl Record {
    fn attributes(mut self) -> Result<Attributes, Unreadable> {
        let (disk, container) = (self.text("disk_format")?, self.text("container_format")?);
        let (disk_format, container_format) = formats(disk, container);
        let public = self.flag("is_public")?;
        Ok(Attributes {
            name: self.text("name")?,
            owner: self.text("owner")?.map_or(Owner::Unsaid, Owner::Project),
            // In v1, an image that was not public was visible to its owner only.
            visibility: if public { Visibility::Public } else { Visibility::Private },
            protected: self.flag("protected")?,
            disk_format,
            container_format,
            min_disk: self.number("min_disk")?.unwrap_or(0),
            min_ram: self.number("min_ram")?.unwrap_or(0),
            properties: self.properties()?,
            ..Attributes::default()
        })
    }

    /// A string; an empty one counts as absent, because headers cannot express null.
    fn text(&mut self, key: &str) -> Result<Option<String>, Unreadable> {
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text).filter(|it| !it.is_empty() && it != "None")),
            Some(other) => Err(unexpected(key, "a string", &other)),
        }
    }

    fn number(&mut self, key: &str) -> Result<Option<u64>, Unreadable> {
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if matches!(text.trim(), "" | "None") => Ok(None),
            Some(value) => {
                let text = value.as_str().and_then(|text| text.trim().parse().ok());
                let number = value.as_u64().or(text);
                number.map(Some).ok_or_else(|| unexpected(key, "a whole number", &value))
            }
        }
    }

    fn flag(&mut self, key: &str) -> Result<bool, Unreadable> {
        let value = self.0.remove(key).unwrap_or(Value::Null);
        let flag = match &value {
            Value::Null => Some(false),
            Value::Bool(flag) => Some(*flag),
            Value::Number(number) => number.as_u64().map(|number| number != 0),
            Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" | "t" | "y" => Some(true),
                "" | "none" | "false" | "0" | "no" | "off" | "f" | "n" => Some(false),
                _ => None,
            },
            _ => None,
        };
        flag.ok_or_else(|| unexpected(key, "true or false", &value))
    }

    fn properties(mut self) -> Result<BTreeMap<String, String>, Unreadable> {
        let mut properties = match self.0.remove("properties") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(properties)) => properties,
            Some(other) => return Err(unexpected("properties", "an object", &other)),
        };
        for (key, value) in self.0 {
            if let Some(key) = key.strip_prefix("property-") {
                properties.insert(key.to_owned(), value);
            }
        }
        Ok(properties.into_iter().filter_map(|(key, value)| property(key, value)).collect())
    }
}

/// A property as v2 can represent it; `None` if it would mean nothing there.
fn property(key: String, value: Value) -> Option<(String, String)> {
    let value = match value {
        Value::Null => return None,
        Value::String(text) => text,
        other => other.to_string(),
    };
    // In the v2 schema, these two are an id or absent.
    let no_id = matches!(key.as_str(), "kernel_id" | "ramdisk_id") && value.is_empty();
    if no_id || key.starts_with("os_glance") {
        return None;
    }
    // These keys have a meaning of their own in a v2 record, or v2 rejects them.
    let is_taken = RECORD_FIELDS.contains(&&*key) || LINK_FIELDS.contains(&&*key);
    let key = if is_taken { format!("v1.{key}") } else { key };
    Some((key, value))
}

/// Amazon's formats come in pairs; v1 filled in the missing one.
fn formats(disk: Option<String>, container: Option<String>) -> (Option<String>, Option<String>) {
    let amazon = |format: &Option<String>| {
        format.as_deref().is_some_and(|format| ["aki", "ari", "ami"].contains(&format))
    };
    match (amazon(&disk), amazon(&container)) {
        (true, _) => (disk.clone(), disk),
        (false, true) if disk.is_none() => (container.clone(), container),
        _ => (disk, container),
    }
}

/// Adds the time zone that RFC 3339 requires; times of the v1 API are in UTC without saying so.
fn with_zone(time: &str) -> String {
    let zoned = time.ends_with('Z') || time.get(19..).is_some_and(|rest| rest.contains(['+', '-']));
    match time.get(..19) {
        Some(seconds) if !zoned => format!("{}Z", seconds.replacen(' ', "T", 1)),
        _ => time.to_owned(),
    }
}

fn unexpected(key: &str, wanted: &str, found: &Value) -> Unreadable {
    format!("{key:?} is {found}, not {wanted}").into()
}
