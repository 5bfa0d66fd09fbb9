//! Receives data into a file.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Display;
use std::fs::File;
use std::io;
use std::sync::Arc;

use futures_util::StreamExt;
use glance_core::digest::worker::ChunkWorker;
use glance_core::digest::{Algorithm, Digests, Hashers, Hashing};
use glance_core::error::BodyError;
use glance_core::image::ImageId;
use glance_core::store::StoreErrorKind;
use glance_core::verified_body::DataFault;
use glance_core::{Body, StoreError};
use safe_files::dir::{self, Dir};
use tokio::task::JoinHandle;

use super::Blob;
use super::sparse::Sparse;
use super::zstd::Frames;
use crate::files;
use crate::record::{Encoding, Stored};

/// An upload to an image of a dump.
pub(crate) struct Upload<'a, G> {
    pub(crate) store: &'a (dyn Display + Sync),
    pub(crate) id: &'a ImageId,
    /// The final data file.
    pub(crate) blob: &'a Blob,
    pub(crate) encoding: Encoding,
    /// The digests to compute over the uncompressed data, as far as they are supported.
    pub(crate) algorithms: BTreeSet<Algorithm>,
    pub(crate) hashers: Hashers,
    /// Held while anything writes to the file, even after the upload was cancelled.
    pub(crate) guard: G,
}

/// Data in a temporary file next to its final one. If dropped before [`keep`](Self::keep), the file
/// stays for the next upload to resume, unless its content is useless.
pub(crate) struct Partial {
    dir: Dir,
    name: String,
    left: Left,
    pub(crate) size: u64,
    /// The digests of the uncompressed data.
    pub(crate) digests: Digests,
    pub(crate) stored: Stored,
}

/// What to leave of a file that is dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Begun,
    Nothing,
}

impl<G: Send + 'static> Upload<'_, G> {
    /// Writes `data` and syncs the file.
    pub(crate) async fn write(self, data: Body) -> Result<Partial, StoreError> {
        let (store, id) = (self.store, self.id);
        let Blob { dir, name } = self.blob.partial();
        let failed = |error| files::failed(store, WRITE, &dir, &name, error).on(id);
        let guilty = |reason| StoreError::new(StoreErrorKind::Data, store, WRITE, reason).on(id);
        let (opened, encoding) = (self.blob.partial(), self.encoding);
        let (file, begun) = files::blocking(move || match encoding {
            Encoding::Identity => files::open_begun(&opened.dir, &opened.name),
            // A compressor cannot resume.
            Encoding::Zstd => Ok((files::open_new(&opened.dir, &opened.name)?, 0)),
        })
        .await
        .map_err(failed)?;
        let file = Arc::new(file);
        let lane = writing(&file, begun, encoding, self.hashers, self.guard).map_err(failed)?;
        let mut partial = Partial::new(self.blob.partial(), encoding);
        let received =
            partial.receive(data, lane, WriteBack::of(file), self.algorithms, self.hashers).await;
        if received.as_ref().is_err_and(Fault::is_wrong) {
            partial.left = Left::Nothing;
        }
        received.map(|()| partial).map_err(|fault| match fault {
            Fault::Data(reason, cause) => guilty(reason).caused_by(cause),
            Fault::File(error) | Fault::Unsynced(error) => match begun_hint(encoding) {
                Some(hint) if files::is_full(&error) => failed(error).hint(hint),
                _ => failed(error),
            },
        })
    }
}

/// The hint if the disk is full.
fn begun_hint(encoding: Encoding) -> Option<&'static str> {
    (encoding == Encoding::Identity)
        .then_some("free space, then run the command again: it resumes after the stored bytes")
}

impl Partial {
    fn new(Blob { dir, name }: Blob, encoding: Encoding) -> Self {
        let left = match encoding {
            Encoding::Identity => Left::Begun,
            Encoding::Zstd => Left::Nothing,
        };
        let stored = Stored { encoding, ..Stored::default() };
        Self { dir, name, left, size: 0, digests: Digests::new(), stored }
    }

    async fn receive(
        &mut self,
        mut data: Body,
        mut lane: ChunkWorker<io::Result<Written>>,
        mut write_back: WriteBack,
        mut algorithms: BTreeSet<Algorithm>,
        hashers: Hashers,
    ) -> Result<(), Fault> {
        // For uncompressed data, the SHA-512 is also that of the file.
        let plain = self.stored.encoding == Encoding::Identity;
        algorithms.extend(plain.then_some(Algorithm::Sha512));
        let carried = data.digests().cloned().unwrap_or_default();
        let mut hashing = hashers.start(&algorithms - carried.algorithms());
        let promised = data.size();
        let passed = self.pass(&mut data, &mut lane, &mut hashing, &mut write_back).await;
        // In any case, nothing writes to the file after this.
        let written = lane.finish().await;
        passed?;
        let written = written.map_err(io::Error::other)??;
        if let Some(promised) = promised.filter(|promised| *promised != self.size) {
            let came = format!("received {} of {promised} bytes", self.size);
            let reason = "the data does not have the announced length";
            return Err(Fault::Data(reason, came.into()));
        }
        write_back.finish().await.map_err(Fault::Unsynced)?;
        self.digests = hashing.finish().await.map_err(io::Error::other)?;
        match carried.get() {
            Some(digests) => self.digests.extend(digests.clone()),
            None if carried.algorithms().is_disjoint(&algorithms) => {}
            None => {
                return Err(Fault::Data(
                    "the digests are missing",
                    "the data ended without them".into(),
                ));
            }
        }
        let of_file = self.digests.get(&Algorithm::Sha512).filter(|_| plain);
        self.stored.bytes = Some(written.stored);
        self.stored.sha512 = written.sha512.or_else(|| of_file.cloned());
        Ok(())
    }

    async fn pass(
        &mut self,
        data: &mut Body,
        lane: &mut ChunkWorker<io::Result<Written>>,
        hashing: &mut Hashing,
        write_back: &mut WriteBack,
    ) -> Result<(), Fault> {
        while let Some(chunk) = data.next().await {
            let chunk = chunk.map_err(|error| Fault::Data("the data failed", error))?;
            hashing.update(&chunk).await;
            self.size += chunk.len() as u64;
            write_back.passes(chunk.len()).await.map_err(Fault::Unsynced)?;
            if !lane.send(chunk).await {
                break; // The lane has failed; its end says so.
            }
        }
        Ok(())
    }

    /// The name of the temporary file.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Renames the file to its final name.
    pub(crate) fn keep(self, name: &str) -> io::Result<()> {
        self.dir.rename(&self.name, name)?;
        // A rename between two hard links of one file removes neither.
        self.dir.remove(&self.name)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.left == Left::Nothing {
            // If the removal fails, the next upload overwrites the file.
            let _ = self.dir.remove(&self.name);
        }
    }
}

/// The reason why a write failed.
enum Fault {
    Data(&'static str, BodyError),
    File(io::Error),
    /// The sync failed. The written data may not be on the disk, and a later sync would not report
    /// it: fsync(2) reports an error only once.
    Unsynced(io::Error),
}

impl Fault {
    /// Whether an upload must not resume from the content of the file.
    fn is_wrong(&self) -> bool {
        let error = match self {
            Self::Data(_, error) => &**error,
            Self::File(_) => return false,
            Self::Unsynced(_) => return true,
        };
        let mut next = Some(error as &(dyn Error + 'static));
        while let Some(error) = next {
            if let Some(fault) = error.downcast_ref::<DataFault>() {
                let broke_off =
                    matches!(fault, DataFault::CutShort { .. } | DataFault::Interrupted { .. });
                return !broke_off;
            }
            next = error.source();
        }
        false
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

/// The result of a completely written file.
pub(super) struct Written {
    /// The size of the file in bytes.
    pub(super) stored: u64,
    /// The SHA-512 of the file, if the data is compressed.
    pub(super) sha512: Option<String>,
}

/// Starts a thread that writes the file.
fn writing(
    file: &Arc<File>,
    begun: u64,
    encoding: Encoding,
    hashers: Hashers,
    guard: impl Send + 'static,
) -> io::Result<ChunkWorker<io::Result<Written>>> {
    let file = Arc::clone(file);
    Ok(match encoding {
        Encoding::Identity => ChunkWorker::start(move |chunks| {
            let _guard = guard;
            let mut sparse = Sparse::new(file, begun);
            for chunk in chunks {
                sparse.write(&chunk)?;
            }
            Ok(Written { stored: sparse.finish()?, sha512: None })
        }),
        Encoding::Zstd => {
            let mut frames = Frames::new(file, hashers)?;
            ChunkWorker::start(move |chunks| {
                let _guard = guard;
                for chunk in chunks {
                    frames.write(&chunk)?;
                }
                frames.finish()
            })
        }
    })
}

/// Starts writeback while data is arriving, so that the final sync has little left to do.
struct WriteBack {
    file: Arc<File>,
    /// Bytes received since the last writeback started.
    since: u64,
    under_way: Option<JoinHandle<io::Result<()>>>,
}

impl WriteBack {
    fn of(file: Arc<File>) -> Self {
        Self { file, since: 0, under_way: None }
    }

    async fn passes(&mut self, bytes: usize) -> io::Result<()> {
        self.since += bytes as u64;
        let is_busy = self.under_way.as_ref().is_some_and(|earlier| !earlier.is_finished());
        if self.since < WRITE_BACK || is_busy {
            return Ok(());
        }
        self.end().await?;
        self.since = 0;
        let file = Arc::clone(&self.file);
        self.under_way = Some(tokio::task::spawn_blocking(move || dir::sync_data(&file)));
        Ok(())
    }

    async fn end(&mut self) -> io::Result<()> {
        match self.under_way.take() {
            Some(earlier) => earlier.await.map_err(io::Error::other)?,
            None => Ok(()),
        }
    }

    /// Waits until all data is on the disk.
    async fn finish(mut self) -> io::Result<()> {
        self.end().await?;
        files::blocking(move || dir::sync_all(&self.file)).await
    }
}

/// Bytes per writeback.
const WRITE_BACK: u64 = 64 << 20;

/// The suffix of a data file until its data is complete.
pub(crate) const PARTIAL: &str = ".partial";

pub(crate) const WRITE: &str = "store the data";
