//! Data on its way into a file.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::StreamExt;
use glance_core::digest::{Algorithm, Digests, Hashers};
use glance_core::image::{Image, ImageId};
use glance_core::store::StoreErrorKind;
use glance_core::{Body, StoreError};
use tokio::sync::mpsc;

use super::sparse::Sparse;
use super::zstd::{Compressed, Frames};
use crate::files;
use crate::record::{Encoding, Record, Stored};

/// Data on its way into a file. Dropped before [`keep`](Self::keep), it leaves none.
pub(crate) struct Partial {
    path: PathBuf,
    size: u64,
    algorithm: Algorithm,
    digests: Digests,
    stored: Stored,
    kept: bool,
}

impl Partial {
    /// Writes `data` beside `path` and syncs it, with `algorithm` of what was written, and with
    /// md5 where `hashers` offer it.
    pub(crate) async fn write(
        store: &(dyn Display + Sync),
        id: &ImageId,
        (path, encoding): (&Path, Encoding),
        data: Body,
        algorithm: Algorithm,
        hashers: Hashers,
    ) -> Result<Self, StoreError> {
        let path = files::with_suffix(path, PARTIAL);
        let stored = Stored { encoding, ..Stored::default() };
        let (size, digests, kept) = (0, Digests::new(), false);
        let mut partial = Self { path, size, algorithm, digests, stored, kept };
        let path = partial.path.clone();
        let failed = |error| files::failed(store, WRITE, &path, error).on(id);
        let guilty = |reason| StoreError::new(StoreErrorKind::Data, store, WRITE, reason).on(id);
        let opened = path.clone();
        let file = files::blocking(move || files::open_new(&opened)).await.map_err(failed)?;
        let lane = Lane::start(file, encoding, hashers).map_err(failed)?;
        partial
            .receive(data, lane, hashers)
            .await
            .map_err(|fault| match fault {
                Fault::Data(reason, cause) => guilty(reason).caused_by(cause),
                Fault::File(error) => failed(error),
            })
            .map(|()| partial)
    }

    async fn receive(&mut self, mut data: Body, lane: Lane, hashers: Hashers) -> Result<(), Fault> {
        // Of plain data, SHA-512 is that of the file, too.
        let of_file = (self.stored.encoding == Encoding::Identity).then_some(Algorithm::Sha512);
        let algorithms = [Some(Algorithm::Md5), Some(self.algorithm), of_file];
        let mut hashing = hashers.start(algorithms.into_iter().flatten().collect::<BTreeSet<_>>());
        let promised = data.size();
        while let Some(chunk) = data.next().await {
            let chunk = chunk.map_err(|error| Fault::Data("the data failed", error))?;
            hashing.update(&chunk).await;
            self.size += chunk.len() as u64;
            if lane.chunks.send(chunk).await.is_err() {
                break; // The lane has failed; its end says so.
            }
        }
        let Compressed { file, stored, sha512 } = lane.finish().await?;
        if let Some(promised) = promised.filter(|promised| *promised != self.size) {
            let came = format!("{} of {promised} bytes came", self.size);
            let reason = "the data has another length than it promised";
            return Err(Fault::Data(reason, came.into()));
        }
        files::blocking(move || file.sync_all()).await?;
        self.digests = hashing.finish().await.map_err(io::Error::other)?;
        let of_file = of_file.and_then(|algorithm| self.digests.get(&algorithm).cloned());
        self.stored.bytes = Some(stored);
        self.stored.sha512 = sha512.or(of_file);
        Ok(())
    }

    /// Where the data is until it is kept.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes in `record` what the file holds.
    pub(crate) fn describe(&self, record: &mut Record) {
        let image: &mut Image = &mut record.image;
        image.size = Some(self.size);
        image.checksum = self.digests.get(&Algorithm::Md5).cloned();
        image.os_hash_algo = Some(self.algorithm.to_string());
        image.os_hash_value = self.digests.get(&self.algorithm).cloned();
        record.data = Some(self.stored.clone());
    }

    /// Gives the file the name `path`.
    pub(crate) async fn keep(mut self, path: &Path) -> io::Result<()> {
        let (from, to) = (self.path.clone(), path.to_owned());
        files::blocking(move || {
            files::rename(&from, &to)?;
            // Both are still there when both were names of one file.
            files::remove(&from)
        })
        .await?;
        self.kept = true;
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

/// What ends a write.
enum Fault {
    Data(&'static str, glance_core::body::BodyError),
    File(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

/// A thread that writes a file beside the data's way.
struct Lane {
    chunks: mpsc::Sender<Bytes>,
    written: tokio::task::JoinHandle<io::Result<Compressed>>,
}

impl Lane {
    fn start(file: File, encoding: Encoding, hashers: Hashers) -> io::Result<Self> {
        let (chunks, mut queue) = mpsc::channel::<Bytes>(CHUNKS_AHEAD);
        let written = match encoding {
            Encoding::Identity => tokio::task::spawn_blocking(move || {
                let (mut sparse, mut stored) = (Sparse::new(file), 0);
                while let Some(chunk) = queue.blocking_recv() {
                    stored += chunk.len() as u64;
                    sparse.write(&chunk)?;
                }
                Ok(Compressed { file: sparse.finish()?, stored, sha512: None })
            }),
            Encoding::Zstd => {
                let mut frames = Frames::new(file, hashers)?;
                tokio::task::spawn_blocking(move || {
                    while let Some(chunk) = queue.blocking_recv() {
                        frames.write(&chunk)?;
                    }
                    frames.finish()
                })
            }
        };
        Ok(Self { chunks, written })
    }

    async fn finish(self) -> io::Result<Compressed> {
        drop(self.chunks);
        self.written.await.map_err(io::Error::other)?
    }
}

/// Chunks of up to 256 KiB that may wait for the file.
const CHUNKS_AHEAD: usize = 4;

/// What follows a data file's name while its data comes.
pub(crate) const PARTIAL: &str = ".partial";

pub(crate) const WRITE: &str = "store the data";
