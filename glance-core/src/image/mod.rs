//! The image model: what Glance's v2 API knows about an image.
//!
//! Field names, types and limits are those of the Images v2 API reference. Site-local links
//! (`self`, `file`, `schema`, `direct_url`, `locations`) are dropped when a record is read: they mean
//! nothing elsewhere, and some of them carry secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use crate::digest::Algorithm;

mod json;
pub mod provenance;
pub mod update;

pub use json::Misread;

/// An image's identifier: a UUID in its text form, letter case kept.
///
/// Glance takes no other ids (schema pattern of `id`), and a checked id is safe as a file name
/// and as a URL segment.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageId(String);

impl ImageId {
    /// A new id, which no store has seen.
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().to_string())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ImageId {
    type Err = InvalidRecord;

    fn from_str(text: &str) -> Result<Self, InvalidRecord> {
        let hyphenated = text.len() == 36 && uuid::Uuid::try_parse(text).is_ok();
        if hyphenated {
            return Ok(Self(text.to_owned()));
        }
        let text = beginning(text);
        Err(InvalidRecord(format!("{text:?} is not an image id (a UUID)")))
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A record that is not an image of the v2 API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRecord(String);

/// The beginning of a text, for an error: a server may say any amount.
fn beginning(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Characters of a value that an error shows.
const SHOWN: usize = 100;

/// Declares an enum whose variants have one text form each, as Glance spells them.
macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// The value as Glance spells it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = InvalidRecord;

            fn from_str(text: &str) -> Result<Self, InvalidRecord> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(InvalidRecord(format!(
                        concat!("{:?} is not a known ", stringify!($name)), beginning(text)
                    ))),
                }
            }
        }
    };
}

text_enum! {
    /// Where an image is in its life.
    Status {
        /// A record without data.
        Queued = "queued",
        /// Data is being uploaded.
        Saving = "saving",
        /// Data is being staged for an import.
        Uploading = "uploading",
        /// Staged data is being imported.
        Importing = "importing",
        /// Data is complete and may be used.
        Active = "active",
        /// Data is complete and only an administrator may download it.
        Deactivated = "deactivated",
        /// An upload failed for good (old releases only).
        Killed = "killed",
        /// Gone.
        Deleted = "deleted",
        /// Gone soon.
        PendingDelete = "pending_delete",
    }
}

impl Status {
    /// Whether an image in this state holds its complete data.
    pub fn has_data(self) -> bool {
        matches!(self, Self::Active | Self::Deactivated)
    }
}

text_enum! {
    /// Who may see an image.
    Visibility {
        /// Everyone, in their default listing.
        Public = "public",
        /// Everyone who asks for it.
        Community = "community",
        /// The owner and the image's members. Glance's default.
        Shared = "shared",
        /// The owner.
        Private = "private",
    }
}

text_enum! {
    /// What a member said of an image shared with it.
    MemberStatus {
        /// Nothing yet.
        Pending = "pending",
        /// It shows the image in its own listing.
        Accepted = "accepted",
        /// It does not want it.
        Rejected = "rejected",
    }
}

/// Who owns an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// The project of this id. Glance does not ask Keystone whether there is one.
    Project(String),
    /// Nobody, which Glance shows as null.
    Nobody,
    /// It is not said: in a request, the caller's own project, or the owner that there is.
    #[default]
    Unsaid,
}

/// The owner that `serve` shows of an image without one, because every Glance shows an owner. No
/// Keystone has a project of this id. Read from a record, it is [`Owner::Unsaid`].
pub const NO_PROJECT: &str = "glance-replicator";

impl Owner {
    /// The project, if one owns it.
    pub fn project(&self) -> Option<&str> {
        match self {
            Self::Project(id) => Some(id),
            Self::Nobody | Self::Unsaid => None,
        }
    }
}

/// A project that a shared image is shared with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// The project's id.
    pub project: String,
    /// What that project said of it.
    pub status: MemberStatus,
}

/// What a client may write of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// Up to 255 characters; not unique; may be absent.
    pub name: Option<String>,
    /// Who owns it.
    pub owner: Owner,
    /// Who may see it.
    pub visibility: Visibility,
    /// Whether Glance refuses to delete it.
    pub protected: bool,
    /// Whether default listings leave it out.
    pub os_hidden: bool,
    /// The data's format, such as `qcow2`. Fixed once there is data.
    pub disk_format: Option<String>,
    /// The data's envelope, such as `bare`. Fixed once there is data.
    pub container_format: Option<String>,
    /// GiB of disk an instance needs.
    pub min_disk: u64,
    /// MiB of memory an instance needs.
    pub min_ram: u64,
    /// Tags, an unordered set.
    pub tags: BTreeSet<String>,
    /// Every other key of the record.
    pub properties: BTreeMap<String, String>,
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            name: None,
            owner: Owner::Unsaid,
            visibility: Visibility::Private,
            protected: false,
            os_hidden: false,
            disk_format: None,
            container_format: None,
            min_disk: 0,
            min_ram: 0,
            tags: BTreeSet::new(),
            properties: BTreeMap::new(),
        }
    }
}

/// An image as a store describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its identity, the same in every store that holds a replica.
    pub id: ImageId,
    /// Where it is in its life.
    pub status: Status,
    /// What a client may write.
    pub attributes: Attributes,
    /// Bytes of data. Absent while there is none.
    pub size: Option<u64>,
    /// Bytes the data unfolds to, where the store could tell.
    pub virtual_size: Option<u64>,
    /// MD5 of the data in lower-case hexadecimal. Absent for data that Glance never read.
    pub checksum: Option<String>,
    /// The algorithm of `os_hash_value`, by its name in Python's hashlib: a setting of the site.
    pub os_hash_algo: Option<String>,
    /// The data's digest in lower-case hexadecimal.
    pub os_hash_value: Option<String>,
    /// RFC 3339 time of creation.
    pub created_at: Option<String>,
    /// RFC 3339 time of the last change to the record.
    pub updated_at: Option<String>,
    /// The stores of its Glance that hold the data, where it says so. Their names mean something
    /// there only: they are neither compared nor written.
    pub stores: Vec<String>,
}

impl Image {
    /// The task that has locked the image for an import (since Glance 19, Victoria).
    pub fn import_task(&self) -> Option<&str> {
        let task = self.attributes.properties.get(IMPORT_LOCK)?;
        Some(task.as_str()).filter(|task| !task.is_empty())
    }

    /// Whether an import into the image, or from one of its stores to another, has begun and not
    /// ended. Meanwhile Glance overwrites what others write to the record.
    pub fn is_importing(&self) -> bool {
        self.import_task().is_some() || matches!(self.status, Status::Importing | Status::Uploading)
    }

    /// A record without data.
    pub fn queued(id: ImageId, attributes: Attributes) -> Self {
        Self {
            id,
            status: Status::Queued,
            attributes,
            size: None,
            virtual_size: None,
            checksum: None,
            os_hash_algo: None,
            os_hash_value: None,
            created_at: None,
            updated_at: None,
            stores: Vec::new(),
        }
    }

    /// The name, or a word that says there is none.
    pub fn label(&self) -> &str {
        self.attributes.name.as_deref().unwrap_or("(no name)")
    }

    /// The digests that the record has of the data, of algorithms that are known: `os_hash_value`,
    /// then `checksum`.
    pub fn digests(&self) -> impl Iterator<Item = (Algorithm, &str)> {
        let os_hash = self.os_hash_algo.as_deref().zip(self.os_hash_value.as_deref());
        let os_hash = os_hash.and_then(|(name, value)| Some((name.parse().ok()?, value)));
        let checksum = self.checksum.as_deref().map(|value| (Algorithm::Md5, value));
        os_hash.into_iter().chain(checksum)
    }
}

/// The property by which Glance locks an image for its import task.
const IMPORT_LOCK: &str = "os_glance_import_task";
