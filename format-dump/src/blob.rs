//! The data of an image in a file: reading a range of it, and writing it.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::{self, ErrorKind, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use futures_util::StreamExt;
use futures_util::stream;
use glance_core::body::BodyError;
use glance_core::digest::{Algorithm, Digests, Hashers};
use glance_core::image::{Image, ImageId};
use glance_core::store::{ByteRange, StoreErrorKind};
use glance_core::{Body, StoreError};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use crate::files;

/// Streams `range` of the file at `path`, which must be as long as `image`'s record says.
pub(crate) async fn read(
    store: &(dyn Display + Sync),
    image: &Image,
    path: &Path,
    range: ByteRange,
) -> Result<Body, StoreError> {
    let error = |kind, reason: String| StoreError::new(kind, store, READ, reason).on(&image.id);
    let failed = |error| files::failed(store, READ, path, error).on(&image.id);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut file = match File::open(path).await {
        Err(missing) if missing.kind() == ErrorKind::NotFound => {
            let reason = format!("there is no data file {name}");
            return Err(error(StoreErrorKind::Unreadable, reason).hint(DUMP_AGAIN));
        }
        other => other.map_err(failed)?,
    };
    let length = file.metadata().await.map_err(failed)?.len();
    if let Some(size) = image.size.filter(|size| *size != length) {
        let reason = if length < size {
            format!("the dump is truncated: {name} has {length} of {size} bytes")
        } else {
            format!("{name} has {length} bytes, the record says {size}")
        };
        return Err(error(StoreErrorKind::Unreadable, reason).hint(DUMP_AGAIN));
    }
    let past_end = range.offset >= length && range.offset > 0;
    if past_end {
        let reason = format!("byte {} is past the end: there are {length} bytes", range.offset);
        return Err(error(StoreErrorKind::Range, reason));
    }
    file.seek(SeekFrom::Start(range.offset)).await.map_err(failed)?;
    let rest = length - range.offset;
    Ok(stream_of(file, range.length.map_or(rest, |length| length.min(rest))))
}

/// The next `length` bytes of `file`.
fn stream_of(mut file: File, length: u64) -> Body {
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
    Body::from_stream(chunks, Some(length))
}

/// Data on its way into a file. Dropped before [`keep`](Self::keep), it leaves none.
pub(crate) struct Partial {
    path: PathBuf,
    size: u64,
    digests: Digests,
    kept: bool,
}

impl Partial {
    /// Writes `data` beside `path` and syncs it, with `algorithm` of what was written, and with
    /// md5 where `hashers` offer it.
    pub(crate) async fn write(
        store: &(dyn Display + Sync),
        id: &ImageId,
        path: &Path,
        mut data: Body,
        algorithm: Algorithm,
        hashers: Hashers,
    ) -> Result<Self, StoreError> {
        let path = files::with_suffix(path, ".partial");
        let mut partial = Self { path, size: 0, digests: Digests::new(), kept: false };
        let path = partial.path.clone();
        let failed = |error| files::failed(store, WRITE, &path, error).on(id);
        let guilty = |reason| StoreError::new(StoreErrorKind::Data, store, WRITE, reason).on(id);
        let opened = path.clone();
        let file = files::blocking(move || files::open_new(&opened)).await.map_err(failed)?;
        let mut file = File::from_std(file);
        let mut hashing = hashers.start(BTreeSet::from([Algorithm::Md5, algorithm]));
        let promised = data.size();
        while let Some(chunk) = data.next().await {
            let chunk = chunk.map_err(|error| guilty("the data failed").caused_by(error))?;
            hashing.update(&chunk).await;
            file.write_all(&chunk).await.map_err(failed)?;
            partial.size += chunk.len() as u64;
        }
        if let Some(promised) = promised.filter(|promised| *promised != partial.size) {
            let came = format!("{} of {promised} bytes came", partial.size);
            return Err(guilty("the data has another length than it promised").caused_by(came));
        }
        file.flush().await.map_err(failed)?;
        file.sync_all().await.map_err(failed)?;
        partial.digests =
            hashing.finish().await.map_err(|error| failed(io::Error::other(error)))?;
        Ok(partial)
    }

    /// Gives the file the name `path`, and notes in `image` what it holds.
    pub(crate) async fn keep(
        mut self,
        path: &Path,
        algorithm: Algorithm,
        image: &mut Image,
    ) -> io::Result<()> {
        let (from, to) = (self.path.clone(), path.to_owned());
        files::blocking(move || files::rename(&from, &to)).await?;
        self.kept = true;
        image.size = Some(self.size);
        image.checksum = self.digests.get(&Algorithm::Md5).cloned();
        image.os_hash_algo = Some(algorithm.to_string());
        image.os_hash_value = self.digests.get(&algorithm).cloned();
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.kept {
            // What stays is overwritten by the next upload.
            let _ = files::remove(&self.path);
        }
    }
}

/// Bytes handed on at once.
const CHUNK: usize = 256 * 1024;

const READ: &str = "read the data";
pub(crate) const WRITE: &str = "store the data";
const DUMP_AGAIN: &str = "dump the image again";
