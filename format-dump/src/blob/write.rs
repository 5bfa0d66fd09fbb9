//! Data on its way into a file.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Display;
use std::fs::File;
use std::io;
use std::sync::Arc;

use futures_util::StreamExt;
use glance_core::digest::worker::Lane;
use glance_core::digest::{Algorithm, Digests, Hashers, Hashing};
use glance_core::dir::{self, Dir};
use glance_core::error::BodyError;
use glance_core::image::ImageId;
use glance_core::store::StoreErrorKind;
use glance_core::verified_body::DataFault;
use glance_core::{Body, StoreError};
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
    /// Where the data is to be.
    pub(crate) blob: &'a Blob,
    pub(crate) encoding: Encoding,
    /// The digests of the plain data that are wanted, as far as they can be had.
    pub(crate) algorithms: BTreeSet<Algorithm>,
    pub(crate) hashers: Hashers,
    /// Held as long as anything writes to the file, also when nobody waits for that any more.
    pub(crate) guard: G,
}

/// Data in a file beside the one where it is to be. Dropped before [`keep`](Self::keep), it leaves
/// what the next upload can go on from.
pub(crate) struct Partial {
    dir: Dir,
    name: String,
    left: Left,
    pub(crate) size: u64,
    /// Of the plain data.
    pub(crate) digests: Digests,
    pub(crate) stored: Stored,
}

/// What is left of a file that is dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Begun,
    Nothing,
}

impl<G: Send + 'static> Upload<'_, G> {
    /// Writes `data` and syncs it.
    pub(crate) async fn write(self, data: Body) -> Result<Partial, StoreError> {
        let (store, id) = (self.store, self.id);
        let Blob { dir, name } = self.blob.partial();
        let failed = |error| files::failed(store, WRITE, &dir, &name, error).on(id);
        let guilty = |reason| StoreError::new(StoreErrorKind::Data, store, WRITE, reason).on(id);
        let (opened, encoding) = (self.blob.partial(), self.encoding);
        let (file, begun) = files::blocking(move || match encoding {
            Encoding::Identity => files::open_begun(&opened.dir, &opened.name),
            // A compressor can't be had go on.
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

/// What to do when there is no more room.
fn begun_hint(encoding: Encoding) -> Option<&'static str> {
    (encoding == Encoding::Identity)
        .then_some("make room and run again: it goes on from what is there")
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
        mut lane: Lane<io::Result<Written>>,
        mut write_back: WriteBack,
        mut algorithms: BTreeSet<Algorithm>,
        hashers: Hashers,
    ) -> Result<(), Fault> {
        // Of plain data, SHA-512 is that of the file, too.
        let plain = self.stored.encoding == Encoding::Identity;
        algorithms.extend(plain.then_some(Algorithm::Sha512));
        let carried = data.digests().cloned().unwrap_or_default();
        let mut hashing = hashers.start(&algorithms - carried.algorithms());
        let promised = data.size();
        let passed = self.pass(&mut data, &mut lane, &mut hashing, &mut write_back).await;
        // Whatever happened: nothing writes to the file any more.
        let written = lane.finish().await;
        passed?;
        let written = written.map_err(io::Error::other)??;
        if let Some(promised) = promised.filter(|promised| *promised != self.size) {
            let came = format!("{} of {promised} bytes came", self.size);
            let reason = "the data has another length than it promised";
            return Err(Fault::Data(reason, came.into()));
        }
        write_back.finish().await.map_err(Fault::Unsynced)?;
        self.digests = hashing.finish().await.map_err(io::Error::other)?;
        match carried.get() {
            Some(digests) => self.digests.extend(digests.clone()),
            None if carried.algorithms().is_disjoint(&algorithms) => {}
            None => return Err(Fault::Data("its digests did not come", "it ended without".into())),
        }
        let of_file = self.digests.get(&Algorithm::Sha512).filter(|_| plain);
        self.stored.bytes = Some(written.stored);
        self.stored.sha512 = written.sha512.or_else(|| of_file.cloned());
        Ok(())
    }

    async fn pass(
        &mut self,
        data: &mut Body,
        lane: &mut Lane<io::Result<Written>>,
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

    /// The file's name until it is kept.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Gives the file this name.
    pub(crate) fn keep(self, name: &str) -> io::Result<()> {
        self.dir.rename(&self.name, name)?;
        // Both are still there when both were names of one file.
        self.dir.remove(&self.name)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.left == Left::Nothing {
            // What stays is overwritten by the next upload.
            let _ = self.dir.remove(&self.name);
        }
    }
}

/// What ends a write.
enum Fault {
    Data(&'static str, BodyError),
    File(io::Error),
    /// What was written may not be on the disk, and the next one to ask whether it is would not be
    /// told (fsync(2) tells an error once).
    Unsynced(io::Error),
}

impl Fault {
    /// Whether nothing can go on from what is in the file.
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

/// What a file holds that is whole.
pub(super) struct Written {
    /// Bytes.
    pub(super) stored: u64,
    /// Of compressed data.
    pub(super) sha512: Option<String>,
}

/// A thread that writes a file beside the data's way.
fn writing(
    file: &Arc<File>,
    begun: u64,
    encoding: Encoding,
    hashers: Hashers,
    guard: impl Send + 'static,
) -> io::Result<Lane<io::Result<Written>>> {
    let file = Arc::clone(file);
    Ok(match encoding {
        Encoding::Identity => Lane::start(move |chunks| {
            let _guard = guard;
            let mut sparse = Sparse::new(file, begun);
            for chunk in chunks {
                sparse.write(&chunk)?;
            }
            Ok(Written { stored: sparse.finish()?, sha512: None })
        }),
        Encoding::Zstd => {
            let mut frames = Frames::new(file, hashers)?;
            Lane::start(move |chunks| {
                let _guard = guard;
                for chunk in chunks {
                    frames.write(&chunk)?;
                }
                frames.finish()
            })
        }
    })
}

/// Has the disk take what came while more comes, so that little is left for the end.
struct WriteBack {
    file: Arc<File>,
    /// Bytes that came since it began the last time.
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

    /// Waits until all is on the disk.
    async fn finish(mut self) -> io::Result<()> {
        self.end().await?;
        files::blocking(move || dir::sync_all(&self.file)).await
    }
}

/// Bytes that the disk is to take at once.
const WRITE_BACK: u64 = 64 << 20;

/// What follows a data file's name while its data comes.
pub(crate) const PARTIAL: &str = ".partial";

pub(crate) const WRITE: &str = "store the data";
