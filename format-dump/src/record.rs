//! The record file of an image, and its description of the data file.

use std::io;

use glance_core::StoreError;
use glance_core::digest::Algorithm;
use glance_core::image::ImageId;
use glance_core::store::StoreErrorKind;
use safe_files::data::IncomingFile;
use safe_files::dir::Dir;
use safe_files::record::StoredRecord;
use safe_files::{errors, json};
use serde::{Deserialize, Serialize};

use crate::files::{Name, RECORD};
use crate::limits::LONGEST;

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

impl Stored {
    /// The description of a complete file.
    pub(crate) fn of(encoding: Encoding, file: &IncomingFile) -> Self {
        let of_data = file.digests.get(&Algorithm::Sha512);
        let sha512 = match encoding {
            Encoding::Identity => of_data.cloned(),
            Encoding::Zstd => file.written.sha512.clone(),
        };
        Self { encoding, bytes: Some(file.written.stored), sha512 }
    }
}

/// The encoding of the data file of an image.
pub(crate) fn encoding(record: &StoredRecord<Stored>) -> Encoding {
    record.data.as_ref().map(|data| data.encoding).unwrap_or_default()
}

/// The size of the data file in bytes, if the record contains it.
pub(crate) fn length_of_file(record: &StoredRecord<Stored>) -> Option<u64> {
    match encoding(record) {
        Encoding::Identity => record.image.size,
        Encoding::Zstd => record.data.as_ref().and_then(|data| data.bytes),
    }
}

/// The SHA-512 of the data file, if the record contains it.
pub(crate) fn sha512_of_file(record: &StoredRecord<Stored>) -> Option<String> {
    let data = record.data.as_ref().and_then(|data| data.sha512.as_deref());
    let plain = encoding(record) == Encoding::Identity
        && record.image.os_hash_algo.as_deref() == Some("sha512");
    let digest = data.or(record.image.os_hash_value.as_deref().filter(|_| plain))?;
    let hexadecimal = digest.len() == 128 && digest.bytes().all(|it| it.is_ascii_hexdigit());
    hexadecimal.then(|| digest.to_ascii_lowercase())
}

/// Reads the record of `id` in `dir`, without checking for its data.
pub(crate) fn read_record(
    dir: &Dir,
    operation: &'static str,
    id: &ImageId,
) -> Result<StoredRecord<Stored>, StoreError> {
    let (store, name) = (Name::of(dir), format!("{id}{RECORD}"));
    let error = |kind, reason: String| StoreError::new(kind, &store, operation, reason).on(id);
    let failed = |error| errors::failed(&store, operation, dir, &name, error).on(id);
    let text = match json::read(dir, &name, LONGEST).map_err(failed)? {
        Some(text) => text,
        None if dir.is_gone() => return Err(failed(io::ErrorKind::NotFound.into())),
        None => {
            return Err(error(StoreErrorKind::NotFound, "there is no such image".to_owned()));
        }
    };
    let unreadable =
        || error(StoreErrorKind::Unreadable, format!("{name} is not an image's record"));
    let record = StoredRecord::from_text(&text).map_err(|error| unreadable().caused_by(error))?;
    match &record.image.id {
        named if named == id => Ok(record),
        named => Err(unreadable().caused_by(format!("the file is the record of {named}"))),
    }
}
