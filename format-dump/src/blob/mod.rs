//! Reads and writes the data files of images.

use std::fmt::Display;
use std::io::{self, ErrorKind};

use glance_core::image::Image;
use glance_core::store::{ByteRange, StoreErrorKind};
use glance_core::{Body, StoreError};
use safe_files::dir::{Dir, blocking};
use safe_files::{data, errors};
use tokio::fs::File;

use crate::record::{Encoding, Stored};

pub(crate) mod share;
mod zstd;

pub(crate) use zstd::compressing;

/// The data file of an image.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) dir: Dir,
    pub(crate) name: String,
}

impl Blob {
    /// The name of the file until its data is complete.
    pub(crate) fn partial(&self) -> String {
        format!("{}{PARTIAL}", self.name)
    }
}

/// Streams `range` of the uncompressed data of a file. The length of the file must match its
/// record.
pub(crate) async fn read(
    store: &(dyn Display + Sync),
    image: &Image,
    stored: &Stored,
    blob: &Blob,
    range: ByteRange,
) -> Result<Body, StoreError> {
    let file = open(store, image, stored, blob).await?;
    let failed = |error| errors::failed(store, READ, &blob.dir, &blob.name, error).on(&image.id);
    let size = match (stored.encoding, image.size) {
        (Encoding::Identity, None) => file.metadata().await.map_err(failed)?.len(),
        (Encoding::Zstd, None) => return Err(failed(io::Error::other("the record has no size"))),
        (_, Some(size)) => size,
    };
    let length = data::length_of(range, size);
    let length = length.map_err(|refusal| refusal.error(store, READ, &image.id))?;
    match stored.encoding {
        Encoding::Identity => {
            data::read(file, &blob.name, range.offset, length).await.map_err(failed)
        }
        Encoding::Zstd => {
            let file = file.into_std().await;
            Ok(zstd::plain(file, &blob.name, size, range.offset, length))
        }
    }
}

/// Opens a file, and checks that its length matches its record.
pub(crate) async fn open(
    store: &(dyn Display + Sync),
    image: &Image,
    stored: &Stored,
    blob: &Blob,
) -> Result<File, StoreError> {
    let unreadable = |reason: String| {
        StoreError::new(StoreErrorKind::Unreadable, store, READ, reason)
            .on(&image.id)
            .hint(DUMP_AGAIN)
    };
    let Blob { dir, name } = blob;
    let failed = |error| errors::failed(store, READ, dir, name, error).on(&image.id);
    let opened = blob.clone();
    let file = match blocking(move || opened.dir.open_file(&opened.name)).await {
        Err(missing) if missing.kind() == ErrorKind::NotFound => {
            return Err(unreadable(format!("there is no data file {name}")));
        }
        other => File::from_std(other.map_err(failed)?),
    };
    let length = file.metadata().await.map_err(failed)?.len();
    let recorded = match stored.encoding {
        Encoding::Identity => image.size,
        Encoding::Zstd => stored.bytes,
    };
    match recorded.filter(|recorded| *recorded != length) {
        None => Ok(file),
        Some(size) if length < size => {
            let reason = format!("the dump is truncated: {name} has {length} of {size} bytes");
            Err(unreadable(reason))
        }
        Some(size) => Err(unreadable(format!("{name} has {length} bytes, the record says {size}"))),
    }
}

/// The suffix of a data file until its data is complete.
pub(crate) const PARTIAL: &str = ".partial";

pub(crate) const READ: &str = "read the data";
pub(crate) const DUMP_AGAIN: &str = "dump the image again";
