//! Image data in files: read in ranges, received sparsely, and resumed.

use std::io::{self, SeekFrom};
use std::sync::Arc;

use bytes::BytesMut;
use futures_util::stream;
use glance_core::Body;
use glance_core::error::BodyError;
use glance_core::store::{ByteRange, StoreErrorKind};
use glance_core::verified_body::DataFault;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::dir::{Dir, blocking};
use crate::errors::Refusal;

mod incoming;
mod sparse;
mod uploads;
mod write_back;

pub use incoming::{Incoming, IncomingFile, WrittenFile};
pub use uploads::{UploadGuard, Uploads};

/// The number of bytes of `range` in data of this size.
///
/// # Errors
/// [`StoreErrorKind::Range`] if the range begins past the end.
pub fn length_of(range: ByteRange, size: u64) -> Result<u64, Refusal> {
    if range.offset >= size && range.offset > 0 {
        let reason = format!("byte {} is past the end of the data ({size} bytes)", range.offset);
        return Err(Refusal::new(StoreErrorKind::Range, reason));
    }
    let rest = size - range.offset;
    Ok(range.length.map_or(rest, |length| length.min(rest)))
}

/// Streams `length` bytes of the file `name`, starting at `offset`.
pub async fn read(mut file: File, name: &str, offset: u64, length: u64) -> io::Result<Body> {
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

/// Streams the data that an interrupted upload left in the file `name`; nothing if there is no such
/// file. A file with several hard links belongs to another image and is ignored.
pub async fn read_begun(dir: &Dir, name: &str) -> io::Result<Body> {
    let (opened, dir) = (name.to_owned(), dir.clone());
    let opened = blocking(move || match dir.find(&opened)? {
        Some(found) if found.links == 1 => Ok(Some((dir.open_file(&opened)?, found.length))),
        _ => Ok(None),
    });
    match opened.await? {
        Some((file, length)) if length > 0 => read(File::from_std(file), name, 0, length).await,
        _ => Ok(Body::empty()),
    }
}

/// The size of a chunk in bytes.
pub const CHUNK: usize = 256 * 1024;
