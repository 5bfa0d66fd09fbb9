//! The spool: temporary storage on disk for data that not all targets have taken yet.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use safe_files::dir::Dir;
use safe_files::positioned::{read_exact_at, write_all_at};

/// Settings of the spool. Clones share the count of used bytes.
#[derive(Debug, Clone)]
pub struct Spool {
    /// Which data is spooled.
    pub when: SpoolWhen,
    /// The directory of the spool. Its files are unnamed, so nothing remains when the process ends.
    pub directory: PathBuf,
    /// The maximum number of bytes in the spool, for all images together.
    pub most: u64,
    used: Arc<AtomicU64>,
}

/// Which data is spooled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SpoolWhen {
    /// None.
    #[default]
    Never,
    /// Data for several targets that the slow ones have not taken yet.
    Auto,
    /// All data of an image until every target has it: an interrupted target reads it from the
    /// spool again.
    Always,
}

impl Spool {
    /// A spool in `directory` with at most `most` bytes.
    pub fn new(when: SpoolWhen, directory: impl Into<PathBuf>, most: u64) -> Self {
        Self { when, directory: directory.into(), most, used: Arc::default() }
    }
}

impl Default for Spool {
    fn default() -> Self {
        Self::new(SpoolWhen::Never, "/var/tmp", u64::MAX)
    }
}

/// A contiguous range of one image's data in the spool.
#[derive(Debug)]
pub(crate) struct SpoolFile {
    spool: Spool,
    file: Option<Arc<File>>,
    /// The byte range of the image that the file holds.
    range: Range<u64>,
}

impl SpoolFile {
    pub(crate) fn new(spool: &Spool) -> Self {
        Self { spool: spool.clone(), file: None, range: 0..0 }
    }

    pub(crate) fn spool(&self) -> &Spool {
        &self.spool
    }

    /// A handle for reading the spooled range.
    pub(crate) fn part(&self) -> SpooledPart {
        SpooledPart { file: self.file.clone(), range: self.range.clone() }
    }

    /// Appends `chunk`, the bytes of the image from offset `at` on. If they do not follow the
    /// spooled range, that range is dropped first: no target needs it any more.
    pub(crate) async fn append(&mut self, at: u64, chunk: Bytes) -> io::Result<()> {
        if at != self.range.end {
            self.release(self.range.end - self.range.start);
            self.range = at..at;
            // Tasks that still read the old file keep it open.
            self.file = None;
        }
        let length = chunk.len() as u64;
        self.reserve(length)?;
        let file = self.file.clone();
        let offset = at - self.range.start;
        let directory = self.spool.directory.clone();
        let written = tokio::task::spawn_blocking(move || {
            let file = match file {
                Some(file) => file,
                None => Arc::new(Dir::open(&directory)?.unnamed_file()?),
            };
            write_all_at(&file, &chunk, offset)?;
            Ok::<_, io::Error>(file)
        });
        match written.await.map_err(io::Error::other).and_then(|it| it) {
            Ok(file) => self.file = Some(file),
            Err(error) => {
                self.release(length);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Extends the range by `length` bytes, within the limit of the spool.
    fn reserve(&mut self, length: u64) -> io::Result<()> {
        self.range.end += length;
        let before = self.spool.used.fetch_add(length, Ordering::Relaxed);
        if before.saturating_add(length) > self.spool.most {
            self.release(length);
            let reason = format!("the spool would exceed its limit of {} bytes", self.spool.most);
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, reason));
        }
        Ok(())
    }

    fn release(&mut self, length: u64) {
        self.range.end -= length;
        self.spool.used.fetch_sub(length, Ordering::Relaxed);
    }
}

impl Drop for SpoolFile {
    fn drop(&mut self) {
        self.release(self.range.end - self.range.start);
    }
}

/// A handle for reading spooled bytes of an image.
#[derive(Debug, Clone, Default)]
pub(crate) struct SpooledPart {
    file: Option<Arc<File>>,
    range: Range<u64>,
}

impl SpooledPart {
    pub(crate) fn contains(&self, at: u64) -> bool {
        self.range.contains(&at)
    }

    /// Reads the next bytes from offset `at` on.
    pub(crate) async fn read(&self, at: u64) -> io::Result<Bytes> {
        let length = (self.range.end - at).min(CHUNK);
        let offset = at - self.range.start;
        let file = self.file.clone().ok_or_else(|| io::Error::other("the spool holds no data"))?;
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
            read_exact_at(&file, &mut bytes, offset)?;
            Ok(bytes.into())
        });
        read.await.map_err(io::Error::other)?
    }
}

/// Maximum number of bytes per read.
const CHUNK: u64 = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn used(spool: &Spool) -> u64 {
        spool.used.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn spooled_data_can_be_read_from_any_byte_and_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::new(SpoolWhen::Auto, directory.path(), 10);
        let mut file = SpoolFile::new(&spool);
        file.append(5, Bytes::from_static(b"abc")).await.unwrap();
        file.append(8, Bytes::from_static(b"def")).await.unwrap();
        let part = file.part();
        assert!(!part.contains(4) && part.contains(5) && part.contains(10) && !part.contains(11));
        assert_eq!(part.read(5).await.unwrap(), "abcdef");
        assert_eq!(part.read(9).await.unwrap(), "ef");
        assert_eq!(used(&spool), 6);

        // The next chunk begins later, and the old range is no longer needed.
        file.append(20, Bytes::from_static(b"0123456789")).await.unwrap();
        assert_eq!(file.part().read(22).await.unwrap(), "23456789");
        assert_eq!(used(&spool), 10);
        let error = file.append(30, Bytes::from_static(b"x")).await.unwrap_err();
        assert!(error.to_string().contains("limit of 10 bytes"), "{error}");
        // The spooled range is still readable.
        assert_eq!(file.part().read(29).await.unwrap(), "9");

        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        drop(file);
        assert_eq!(used(&spool), 0);
    }

    #[tokio::test]
    async fn a_missing_directory_is_named() {
        let spool = Spool::new(SpoolWhen::Always, "/nonexistent", u64::MAX);
        let mut file = SpoolFile::new(&spool);
        let error = file.append(0, Bytes::from_static(b"abc")).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(!file.part().contains(0) || file.part().read(0).await.is_err());
    }
}
