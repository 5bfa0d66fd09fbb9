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

use super::sparse::Sparse;
use super::write_back::WriteBack;
use crate::dir::{Dir, blocking};
use crate::errors;

/// An upload of data to a file of a directory.
pub struct Incoming<'a> {
    /// The store, as its errors name it.
    pub store: &'a (dyn Display + Sync),
    /// The image that the data belongs to.
    pub id: &'a ImageId,
    /// The operation, as errors name it.
    pub operation: &'static str,
    /// The directory of the file.
    pub dir: &'a Dir,
    /// The name of the file until the data is complete.
    pub name: String,
    /// The digests to compute over the data, as far as they are supported.
    pub algorithms: BTreeSet<Algorithm>,
    /// The implementation of the digests.
    pub hashers: Hashers,
}

impl Incoming<'_> {
    /// Writes the data as it is, with holes in place of zeros, and syncs the file. Bytes that an
    /// interrupted upload left are not written again if `data` begins with them; after an
    /// interruption, the file stays for the next upload. `guard` is held while anything writes to
    /// the file, even after the upload was cancelled.
    pub async fn receive(
        self,
        data: Body,
        guard: impl Send + 'static,
    ) -> Result<IncomingFile, StoreError> {
        let (dir, name) = (self.dir.clone(), self.name.clone());
        let opened = blocking(move || dir.open_begun(&name)).await;
        let (file, begun) = opened.map_err(|error| self.failed(error))?;
        let file = Arc::new(file);
        let mut sparse = Sparse::new(Arc::clone(&file), begun);
        let lane: ChunkWorker<io::Result<WrittenFile>> = ChunkWorker::start(move |chunks| {
            let _guard = guard;
            for chunk in chunks {
                sparse.write(&chunk)?;
            }
            Ok(WrittenFile { stored: sparse.finish()?, sha512: None })
        });
        self.receive_into(file, Left::Begun, data, lane).await
    }

    /// Creates the file, lets the thread that `writer` starts write the data to it, and syncs the
    /// file. After a failure, the file is removed.
    pub async fn receive_through(
        self,
        data: Body,
        writer: impl FnOnce(Arc<File>) -> io::Result<ChunkWorker<io::Result<WrittenFile>>>,
    ) -> Result<IncomingFile, StoreError> {
        let (dir, name) = (self.dir.clone(), self.name.clone());
        let opened = blocking(move || dir.create_anew(&name)).await;
        let file = Arc::new(opened.map_err(|error| self.failed(error))?);
        let lane = writer(Arc::clone(&file)).map_err(|error| self.failed(error))?;
        self.receive_into(file, Left::Nothing, data, lane).await
    }

    async fn receive_into(
        self,
        file: Arc<File>,
        left: Left,
        data: Body,
        lane: ChunkWorker<io::Result<WrittenFile>>,
    ) -> Result<IncomingFile, StoreError> {
        let mut incoming = IncomingFile::new(self.dir.clone(), self.name.clone(), left);
        let (algorithms, hashers) = (self.algorithms.clone(), self.hashers);
        let received = incoming.receive(data, lane, WriteBack::of(file), algorithms, hashers).await;
        if received.as_ref().is_err_and(Fault::is_wrong) {
            incoming.left = Left::Nothing;
        }
        let guilty = |reason| {
            StoreError::new(StoreErrorKind::Data, self.store, self.operation, reason).on(self.id)
        };
        received.map(|()| incoming).map_err(|fault| match fault {
            Fault::Data(reason, cause) => guilty(reason).caused_by(cause),
            Fault::File(error) | Fault::Unsynced(error)
                if left == Left::Begun && errors::is_full(&error) =>
            {
                self.failed(error).hint(BEGUN_HINT)
            }
            Fault::File(error) | Fault::Unsynced(error) => self.failed(error),
        })
    }

    fn failed(&self, error: io::Error) -> StoreError {
        errors::failed(self.store, self.operation, self.dir, &self.name, error).on(self.id)
    }
}

/// A file with complete data, under its temporary name. If it is dropped before
/// [`keep_in`](Self::keep_in), it stays for the next upload to resume, unless its content is useless.
#[derive(Debug)]
pub struct IncomingFile {
    dir: Dir,
    name: String,
    left: Left,
    /// The number of bytes of the data.
    pub size: u64,
    /// The digests of the data.
    pub digests: Digests,
    /// The size and digest of the file.
    pub written: WrittenFile,
}

/// What to leave of a file that is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Begun,
    Nothing,
}

impl IncomingFile {
    fn new(dir: Dir, name: String, left: Left) -> Self {
        let (digests, written) = (Digests::new(), WrittenFile::default());
        Self { dir, name, left, size: 0, digests, written }
    }

    async fn receive(
        &mut self,
        mut data: Body,
        mut lane: ChunkWorker<io::Result<WrittenFile>>,
        mut write_back: WriteBack,
        algorithms: BTreeSet<Algorithm>,
        hashers: Hashers,
    ) -> Result<(), Fault> {
        let carried = data.digests().cloned().unwrap_or_default();
        let mut hashing = hashers.start(&algorithms - carried.algorithms());
        let promised = data.size();
        let passed = self.pass(&mut data, &mut lane, &mut hashing, &mut write_back).await;
        // In any case, nothing writes to the file after this.
        let written = lane.finish().await;
        passed?;
        self.written = written.map_err(io::Error::other)??;
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
        Ok(())
    }

    async fn pass(
        &mut self,
        data: &mut Body,
        lane: &mut ChunkWorker<io::Result<WrittenFile>>,
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

    /// The name of the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Moves the file to its final name in `directory`, which is on the same filesystem.
    pub fn keep_in(self, directory: &Dir, name: &str) -> io::Result<()> {
        self.dir.rename_into(&self.name, directory, name)?;
        // A rename between two hard links of one file removes neither.
        self.dir.remove(&self.name)
    }
}

impl Drop for IncomingFile {
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

/// What the thread that writes the file reports at its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WrittenFile {
    /// The size of the file in bytes.
    pub stored: u64,
    /// The SHA-512 of the file, if it differs from that of the data.
    pub sha512: Option<String>,
}

/// The hint if the disk is full.
const BEGUN_HINT: &str =
    "free space, then run the command again: it resumes after the stored bytes";
