//! Reads and writes the data files of images.

use std::fmt::Display;
use std::io::{self, ErrorKind, SeekFrom};
use std::sync::Arc;

use bytes::BytesMut;
use futures_util::stream;
use glance_core::error::BodyError;
use glance_core::image::Image;
use glance_core::store::{ByteRange, StoreErrorKind};
use glance_core::verified_body::DataFault;
use glance_core::{Body, StoreError};
use safe_files::dir::Dir;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::files;
use crate::record::{Encoding, Stored};

pub(crate) mod share;
mod sparse;
mod write;
mod zstd;

pub(crate) use write::{PARTIAL, Partial, Upload, WRITE};

/// The data file of an image.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) dir: Dir,
    pub(crate) name: String,
}

impl Blob {
    /// The file that holds the data until it is complete.
    fn partial(&self) -> Self {
        Self { dir: self.dir.clone(), name: format!("{}{PARTIAL}", self.name) }
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
    let failed = |error| files::failed(store, READ, &blob.dir, &blob.name, error).on(&image.id);
    let size = match (stored.encoding, image.size) {
        (Encoding::Identity, None) => file.metadata().await.map_err(failed)?.len(),
        (Encoding::Zstd, None) => return Err(failed(io::Error::other("the record has no size"))),
        (_, Some(size)) => size,
    };
    if range.offset >= size && range.offset > 0 {
        let reason = format!("byte {} is past the end of the data ({size} bytes)", range.offset);
        return Err(StoreError::new(StoreErrorKind::Range, store, READ, reason).on(&image.id));
    }
    let rest = size - range.offset;
    let length = range.length.map_or(rest, |length| length.min(rest));
    match stored.encoding {
        Encoding::Identity => plain(file, &blob.name, range.offset, length).await.map_err(failed),
        Encoding::Zstd => {
            let file = file.into_std().await;
            Ok(zstd::plain(file, &blob.name, size, range.offset, length))
        }
    }
}

/// Streams the uncompressed data that an interrupted upload left. A file with several hard links
/// belongs to another image and is ignored.
pub(crate) async fn partial_data(blob: &Blob) -> io::Result<Body> {
    let Blob { dir, name } = blob.partial();
    let opened = name.clone();
    let opened = files::blocking(move || match dir.find(&opened)? {
        Some(found) if found.links == 1 => Ok(Some((dir.open_file(&opened)?, found.length))),
        _ => Ok(None),
    });
    match opened.await? {
        Some((file, length)) if length > 0 => plain(File::from_std(file), &name, 0, length).await,
        _ => Ok(Body::empty()),
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
    let failed = |error| files::failed(store, READ, dir, name, error).on(&image.id);
    let opened = blob.clone();
    let file = match files::blocking(move || opened.dir.open_file(&opened.name)).await {
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

/// Streams `length` bytes of the file `name`, starting at `offset`.
async fn plain(mut file: File, name: &str, offset: u64, length: u64) -> io::Result<Body> {
    file.seek(SeekFrom::Start(offset)).await?;
    file.set_max_buf_size(CHUNK);
    let name: Arc<str> = name.into();
    let state = (file, name, length);
    let chunks = stream::try_unfold(state, move |(mut file, name, left)| async move {
        if left == 0 {
            return Ok::<_, BodyError>(None);
        }
        let mut chunk = BytesMut::with_capacity(CHUNK);
        let read = (&mut file).take(left.min(CHUNK as u64)).read_buf(&mut chunk).await?;
        match read {
            // The missing bytes would not come back in another attempt.
            0 => {
                let (got, reason) = (offset + length - left, format!("{name} has become shorter"));
                Err(DataFault::Damaged { got, reason }.into())
            }
            read => Ok(Some((chunk.freeze(), (file, name, left - read as u64)))),
        }
    });
    Ok(Body::from_stream(chunks, Some(length)))
}

/// The size of a chunk in bytes.
const CHUNK: usize = 256 * 1024;

pub(crate) const READ: &str = "read the data";
pub(crate) const DUMP_AGAIN: &str = "dump the image again";
