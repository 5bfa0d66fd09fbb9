//! The record file of an image: the v2 API record, the members that Glance keeps separately, and
//! how the data is stored.

use std::io;

use glance_core::error::BodyError;
use glance_core::image::{ImageId, Member};
use glance_core::store::StoreErrorKind;
use glance_core::{Image, StoreError};
use safe_files::dir::Dir;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::files::{self, Name, RECORD};
use crate::limits::{self, LONGEST};

/// The encoding in which a dump stores image data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Encoding {
    /// Unchanged, in `<id>.img`.
    #[default]
    Identity,
    /// Compressed by zstd, in `<id>.img.zst`. The size and digests in the record are those of the
    /// uncompressed data.
    Zstd,
}

impl Encoding {
    /// The suffix after the id in the name of the data file.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Identity => ".img",
            Self::Zstd => ".img.zst",
        }
    }

    pub(crate) const ALL: [Self; 2] = [Self::Identity, Self::Zstd];
}

/// The data file of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    #[serde(default)]
    pub(crate) encoding: Encoding,
    /// The size of the file in bytes.
    #[serde(default, rename = "stored")]
    pub(crate) bytes: Option<u64>,
    /// The SHA-512 of the file.
    #[serde(default)]
    pub(crate) sha512: Option<String>,
}

/// An image, its members and its data file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) image: Image,
    pub(crate) members: Vec<Member>,
    /// `None` without data, and in records of earlier releases.
    pub(crate) data: Option<Stored>,
    /// The digests announced for the data, as long as there is none.
    pub(crate) expected: Option<Expected>,
}

/// The digests announced for data that has not arrived yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Expected {
    /// A digest in the algorithm of the record.
    pub(crate) os_hash_value: String,
    #[serde(default)]
    pub(crate) checksum: Option<String>,
}

impl Record {
    pub(crate) fn to_json(&self) -> Value {
        let members: Vec<Value> = self
            .members
            .iter()
            .map(|member| json!({ "member_id": member.project, "status": member.status.as_str() }))
            .collect();
        let mut record = json!({ "image": self.image.to_json(), "members": members });
        if let Some(data) = &self.data {
            record["data"] = json!(data);
        }
        if let Some(expected) = &self.expected {
            record["expected"] = json!(expected);
        }
        record
    }

    /// The text of the record file.
    pub(crate) fn to_text(&self) -> String {
        format!("{:#}\n", self.to_json())
    }

    pub(crate) fn from_text(text: &[u8]) -> Result<Self, BodyError> {
        let mut record: Map<String, Value> = limits::parse(text)?;
        let mut take = |key| record.remove(key).unwrap_or_default();
        let image = match take("image") {
            Value::Object(image) => image,
            _ => Map::new(),
        };
        let (members, data, expected) = (take("members"), take("data"), take("expected"));
        let members = members.as_array().map(Vec::as_slice).unwrap_or_default();
        let members = members.iter().filter_map(|member| {
            let project = member["member_id"].as_str()?.to_owned();
            Some(member["status"].as_str()?.parse().map(|status| Member { project, status }))
        });
        let members = members.collect::<Result<_, _>>()?;
        let (data, expected) = (serde_json::from_value(data)?, serde_json::from_value(expected)?);
        Ok(Self { image: Image::from_json(image)?, members, data, expected })
    }

    pub(crate) fn encoding(&self) -> Encoding {
        self.data.as_ref().map(|data| data.encoding).unwrap_or_default()
    }

    /// The size of the data file in bytes, if the record contains it.
    pub(crate) fn length_of_file(&self) -> Option<u64> {
        match self.encoding() {
            Encoding::Identity => self.image.size,
            Encoding::Zstd => self.data.as_ref().and_then(|data| data.bytes),
        }
    }

    /// The SHA-512 of the data file, if the record contains it.
    pub(crate) fn sha512_of_file(&self) -> Option<String> {
        let data = self.data.as_ref().and_then(|data| data.sha512.as_deref());
        let plain = self.encoding() == Encoding::Identity
            && self.image.os_hash_algo.as_deref() == Some("sha512");
        let digest = data.or(self.image.os_hash_value.as_deref().filter(|_| plain))?;
        let hexadecimal = digest.len() == 128 && digest.bytes().all(|it| it.is_ascii_hexdigit());
        hexadecimal.then(|| digest.to_ascii_lowercase())
    }
}

/// Reads the record of `id` in `dir`, without checking for its data.
pub(crate) fn read_record(
    dir: &Dir,
    operation: &'static str,
    id: &ImageId,
) -> Result<Record, StoreError> {
    let (store, name) = (Name::of(dir), format!("{id}{RECORD}"));
    let error = |kind, reason: String| StoreError::new(kind, &store, operation, reason).on(id);
    let failed = |error| files::failed(&store, operation, dir, &name, error).on(id);
    let text = match dir.read(&name, LONGEST).map_err(failed)? {
        Some(text) => text,
        None if dir.is_gone() => return Err(failed(io::ErrorKind::NotFound.into())),
        None => {
            return Err(error(StoreErrorKind::NotFound, "there is no such image".to_owned()));
        }
    };
    let unreadable =
        || error(StoreErrorKind::Unreadable, format!("{name} is not an image's record"));
    let record = Record::from_text(&text).map_err(|error| unreadable().caused_by(error))?;
    match &record.image.id {
        named if named == id => Ok(record),
        named => Err(unreadable().caused_by(format!("the file is the record of {named}"))),
    }
}
