//! The data of an image in a file: reading a range of it, and writing it.

use std::fmt::Display;
use std::io::{self, ErrorKind, SeekFrom};
use std::path::Path;

use bytes::BytesMut;
use futures_util::stream;
use glance_core::body::BodyError;
use glance_core::image::Image;
use glance_core::store::{ByteRange, StoreErrorKind};
use glance_core::{Body, StoreError};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::files;
use crate::record::{Encoding, Stored};

pub(crate) mod share;
mod sparse;
mod write;
mod zstd;

pub(crate) use share::LINK;
pub(crate) use write::{PARTIAL, Partial, Upload, WRITE};

/// Streams `range` of the plain data in the file at `path`, which must be as long as its record
/// says.
pub(crate) async fn read(
    store: &(dyn Display + Sync),
    image: &Image,
    stored: &Stored,
    path: &Path,
    range: ByteRange,
) -> Result<Body, StoreError> {
    let file = open(store, image, stored, path).await?;
    let failed = |error| files::failed(store, READ, path, error).on(&image.id);
    let size = match (stored.encoding, image.size) {
        (Encoding::Identity, None) => file.metadata().await.map_err(failed)?.len(),
        (Encoding::Zstd, None) => return Err(failed(io::Error::other("its size is not recorded"))),
        (_, Some(size)) => size,
    };
    if range.offset >= size && range.offset > 0 {
        let reason = format!("byte {} is past the end: there are {size} bytes", range.offset);
        return Err(StoreError::new(StoreErrorKind::Range, store, READ, reason).on(&image.id));
    }
    let rest = size - range.offset;
    let length = range.length.map_or(rest, |length| length.min(rest));
    match stored.encoding {
        Encoding::Identity => plain(file, range.offset, length).await.map_err(failed),
        Encoding::Zstd => Ok(zstd::plain(file.into_std().await, path, size, range.offset, length)),
    }
}

/// The plain data that an upload to the file at `path` left when it broke off.
pub(crate) async fn begun(path: &Path) -> io::Result<Body> {
    let partial = files::with_suffix(path, PARTIAL);
    let opened = files::blocking(move || match std::fs::File::open(partial) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        file => {
            let file = file?;
            let length = files::begun(&file.metadata()?);
            Ok(Some((file, length)))
        }
    });
    match opened.await? {
        Some((file, length)) if length > 0 => plain(File::from_std(file), 0, length).await,
        _ => Ok(Body::empty()),
    }
}

/// Opens the file at `path`, which must be there and as long as its record says.
pub(crate) async fn open(
    store: &(dyn Display + Sync),
    image: &Image,
    stored: &Stored,
    path: &Path,
) -> Result<File, StoreError> {
    let unreadable = |reason: String| {
        StoreError::new(StoreErrorKind::Unreadable, store, READ, reason)
            .on(&image.id)
            .hint(DUMP_AGAIN)
    };
    let failed = |error| files::failed(store, READ, path, error).on(&image.id);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let file = match File::open(path).await {
        Err(missing) if missing.kind() == ErrorKind::NotFound => {
            return Err(unreadable(format!("there is no data file {name}")));
        }
        other => other.map_err(failed)?,
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

/// `length` bytes of `file` from `offset` on.
pub(crate) async fn plain(mut file: File, offset: u64, length: u64) -> io::Result<Body> {
    file.seek(SeekFrom::Start(offset)).await?;
    file.set_max_buf_size(CHUNK);
    let chunks = stream::try_unfold((file, length), |(mut file, left)| async move {
        if left == 0 {
            return Ok::<_, BodyError>(None);
        }
        let mut chunk = BytesMut::with_capacity(CHUNK);
        let read = (&mut file).take(left.min(CHUNK as u64)).read_buf(&mut chunk).await?;
        match read {
            0 => Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
            read => Ok(Some((chunk.freeze(), (file, left - read as u64)))),
        }
    });
    Ok(Body::from_stream(chunks, Some(length)))
}

/// Bytes handed on at once.
const CHUNK: usize = 256 * 1024;

pub(crate) const READ: &str = "read the data";
pub(crate) const DUMP_AGAIN: &str = "dump the image again";
