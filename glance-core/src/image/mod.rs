//! The image model: what Glance's v2 API knows about an image.
//!
//! Field names, types and limits are those of the Images v2 API reference. Site-local links
//! (`self`, `file`, `schema`, `direct_url`, `locations`) are dropped when a record is read: they
//! have no meaning at another site, and some of them contain secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use crate::digest::Algorithm;

#[cfg(feature = "digests")]
mod derived_id;
mod fields;
#[cfg(feature = "json")]
mod json;
pub mod provenance;
pub mod update;

pub use fields::{LINK_FIELDS, RECORD_FIELDS};
#[cfg(feature = "json")]
pub use json::Misread;

/// An image's identifier: a UUID in its text form. The letter case is preserved.
///
/// Glance accepts no other ids (schema pattern of `id`). A parsed id is safe as a file name and as
/// a URL path segment.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageId(String);

impl ImageId {
    /// A new random id.
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

/// The error for a record that is not a valid image of the v2 API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRecord(String);

/// The beginning of a text, for an error message: a server may send a text of any length.
fn beginning(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The number of characters of a value that an error message shows.
const SHOWN: usize = 100;

/// Declares an enum whose variants have one text form each, spelled as in Glance.
macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// The value as spelled in Glance.
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
    /// An image's state.
    Status {
        /// The record has no data.
        Queued = "queued",
        /// Data is being uploaded.
        Saving = "saving",
        /// Data is being staged for an import.
        Uploading = "uploading",
        /// Staged data is being imported.
        Importing = "importing",
        /// The data is complete and can be used.
        Active = "active",
        /// The data is complete, but only an administrator may download it.
        Deactivated = "deactivated",
        /// An upload failed permanently (old releases only).
        Killed = "killed",
        /// The image is deleted.
        Deleted = "deleted",
        /// The image is scheduled for deletion.
        PendingDelete = "pending_delete",
    }
}

impl Status {
    /// Whether an image in this state has its complete data.
    pub fn has_data(self) -> bool {
        matches!(self, Self::Active | Self::Deactivated)
    }
}

text_enum! {
    /// The projects that can see an image. The default is this crate's own, not Glance's.
    #[derive(Default)]
    Visibility {
        /// All projects, in their default listings.
        Public = "public",
        /// All projects, but only on request: not in default listings.
        Community = "community",
        /// The owner and the image's members. This is Glance's default.
        Shared = "shared",
        /// Only the owner.
        #[default]
        Private = "private",
    }
}

text_enum! {
    /// A member's response to an image that is shared with it.
    MemberStatus {
        /// No response yet.
        Pending = "pending",
        /// The member accepted the image and sees it in its own listing.
        Accepted = "accepted",
        /// The member rejected the image.
        Rejected = "rejected",
    }
}

/// The owner of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// The project with this id. Glance does not check with Keystone that the project exists.
    Project(String),
    /// No owner; null in Glance's API.
    NoProject,
    /// Not specified. In a request this means the caller's own project, or no change to the owner.
    #[default]
    Unsaid,
}

/// The owner that `serve` reports for an image without an owner, because Glance always reports an
/// owner. No Keystone project has this id. When read from a record, it becomes [`Owner::Unsaid`].
pub const NO_PROJECT: &str = "glance-replicator";

impl Owner {
    /// The owning project, if there is one.
    pub fn project(&self) -> Option<&str> {
        match self {
            Self::Project(id) => Some(id),
            Self::NoProject | Self::Unsaid => None,
        }
    }
}

/// A project that a shared image is shared with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// The project's id.
    pub project: String,
    /// The project's response.
    pub status: MemberStatus,
}

/// The attributes of an image that a client may write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Up to 255 characters; not unique; optional.
    pub name: Option<String>,
    /// The owner.
    pub owner: Owner,
    /// The projects that can see the image.
    pub visibility: Visibility,
    /// Whether the image is protected from deletion.
    pub protected: bool,
    /// Whether the image is hidden from default listings.
    pub os_hidden: bool,
    /// The data's format, such as `qcow2`. It cannot change once the image has data.
    pub disk_format: Option<String>,
    /// The data's container format, such as `bare`. It cannot change once the image has data.
    pub container_format: Option<String>,
    /// Minimum disk size of an instance, in GiB.
    pub min_disk: u64,
    /// Minimum memory of an instance, in MiB.
    pub min_ram: u64,
    /// Tags, an unordered set.
    pub tags: BTreeSet<String>,
    /// All other keys of the record.
    pub properties: BTreeMap<String, String>,
}

/// An image's record as a store returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The id, the same in every store that holds a replica.
    pub id: ImageId,
    /// The image's state.
    pub status: Status,
    /// The attributes that a client may write.
    pub attributes: Attributes,
    /// The size of the data in bytes. Absent while there is no data.
    pub size: Option<u64>,
    /// The size of the virtual disk in bytes, if the store could determine it.
    pub virtual_size: Option<u64>,
    /// MD5 of the data in lower-case hexadecimal. Absent for data that Glance never read.
    pub checksum: Option<String>,
    /// The algorithm of `os_hash_value`, by its name in Python's hashlib. Each site configures it.
    pub os_hash_algo: Option<String>,
    /// The data's digest by `os_hash_algo`, in lower-case hexadecimal.
    pub os_hash_value: Option<String>,
    /// Time of creation (RFC 3339).
    pub created_at: Option<String>,
    /// Time of the last change to the record (RFC 3339).
    pub updated_at: Option<String>,
    /// The back-end stores that hold the data, if Glance reports them. The names are local to one
    /// Glance: they are neither compared nor written.
    pub stores: Vec<String>,
}

impl Image {
    /// The id of the import task that has locked the image (since Glance 19, Victoria).
    pub fn import_task(&self) -> Option<&str> {
        let task = self.attributes.properties.get(IMPORT_LOCK)?;
        Some(task.as_str()).filter(|task| !task.is_empty())
    }

    /// Whether an import into the image, or a copy from one of its back-end stores to another, is
    /// in progress. During an import Glance overwrites other changes to the record.
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

    /// The same record at `active`, with data of this size, and with the digest of the data, if it is
    /// known, as `os_hash_value`.
    #[must_use]
    pub fn with_data(self, size: u64, digest: Option<(Algorithm, String)>) -> Self {
        let (os_hash_algo, os_hash_value) =
            digest.map(|(algorithm, value)| (algorithm.to_string(), value)).unzip();
        Self { status: Status::Active, size: Some(size), os_hash_algo, os_hash_value, ..self }
    }

    /// The name, or a placeholder for an image without a name or with an empty one.
    pub fn label(&self) -> &str {
        match self.attributes.name.as_deref() {
            None | Some("") => "(no name)",
            Some(name) => name,
        }
    }

    /// Whether the image names a kernel or a ramdisk to boot with: other images, which have to be
    /// copied first.
    pub fn refers_to_others(&self) -> bool {
        let refers = |key| self.attributes.properties.get(key).is_some_and(|id| !id.is_empty());
        refers("kernel_id") || refers("ramdisk_id")
    }

    /// The data's digests in the record whose algorithms are known: `os_hash_value`, then
    /// `checksum`.
    pub fn digests(&self) -> impl Iterator<Item = (Algorithm, &str)> {
        self.recorded_digests().filter_map(RecordedDigest::known)
    }

    /// The data's digests in the record, also of unknown algorithms: `os_hash_value`, then
    /// `checksum`.
    pub fn recorded_digests(&self) -> impl Iterator<Item = RecordedDigest<'_>> {
        let os_hash = self.os_hash_algo.as_deref().zip(self.os_hash_value.as_deref());
        let os_hash = os_hash.map(|(algorithm, value)| RecordedDigest {
            field: "os_hash_value",
            algorithm,
            value,
        });
        let checksum = self.checksum.as_deref();
        let checksum =
            checksum.map(|value| RecordedDigest { field: "checksum", algorithm: "md5", value });
        os_hash.into_iter().chain(checksum)
    }
}

/// A digest of the data in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedDigest<'a> {
    /// The field of the record.
    pub field: &'static str,
    /// The name of the algorithm.
    pub algorithm: &'a str,
    /// The digest in hexadecimal.
    pub value: &'a str,
}

impl<'a> RecordedDigest<'a> {
    /// The digest by its algorithm, if the algorithm is known.
    fn known(self) -> Option<(Algorithm, &'a str)> {
        Some((self.algorithm.parse().ok()?, self.value))
    }
}

/// The property with which Glance locks an image for an import task.
const IMPORT_LOCK: &str = "os_glance_import_task";
