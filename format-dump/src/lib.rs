//! Images in a directory: the dump.
//!
//! ```text
//! manifest.json        says that it is a dump, and whether it is complete
//! <id>.json            {"image": the record, "members": [{"member_id", "status"}], "data": how the
//!                      data is kept}, the first two as the Images v2 API shows them
//! <id>.img             the data, or compressed <id>.img.zst; with .partial behind it while it comes
//! projects.json        the names of the projects that occur
//! metadefs/<name>.json a namespace of metadata definitions
//! SHA512SUMS           once all is there, the digests of all files
//! ```
//!
//! `docs/dump-format.md` is exact. Every file appears whole or not at all: it is written under another
//! name, synced and renamed, the data before the record that calls it complete. A process killed at
//! any moment leaves an image complete or without data, and the next run gives it its data, going on
//! from what came. One process writes to a dump at a time, and keeps others out by the file
//! `.glance-replicator.lock`.
//!
//! The tool this one replaces wrote `<id>` (a record of the v1 API) and `<id>.img`. Such a dump
//! can be read, not written.
//!
//! In reading order: `directory` is a dump as a store, `record` and `manifest` are its files, `blob` its
//! data, `beside` what stands beside the images, and `sums` the digests of it all; `verify` compares a
//! dump with itself; `stream` is a dump on its way through a pipe; `v1` reads dumps of the old tool.

use std::fmt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use glance_core::digest::Hashers;
use glance_core::identity::Project;
use glance_core::image::{Attributes, Image, ImageId, Member};
use glance_core::lock::{Lock, LockError};
use glance_core::store::{Activation, ByteRange, ImageStream, StoreErrorKind};
use glance_core::{Body, ImageStore, Selection, StoreError};
use serde_json::Value;

mod beside;
mod blob;
mod directory;
mod files;
mod manifest;
mod record;
mod stream;
mod sums;
mod v1;
mod verify;

use directory::Directory;
pub use glance_core::select::{InvalidSubset, Subset};
use manifest::Manifest;
pub use record::Encoding;
pub use stream::{Beside, Listed, StreamStore, export};
use v1::OldDump;
pub use verify::{FileState, Finding, Proof, Verification};

/// A dump, of either format.
///
/// It keeps the times and the digest's algorithm of the images given to it. The digest is that of the
/// bytes it writes, and the checksum that comes with a record is kept where that digest agrees. What came
/// of data that broke off stays, unless it is compressed. A deleted id may be used again.
#[derive(Debug)]
pub struct DumpStore(Dump);

#[derive(Debug)]
enum Dump {
    Current(Directory),
    Old(OldDump),
}

impl DumpStore {
    /// The dump in `dir`, to write to: what is there, or a new one where the directory is empty
    /// or missing. It counts as incomplete until [`finish`](Self::finish).
    ///
    /// One process may write to it at a time: [`lock`](Self::lock) it first.
    pub fn create(dir: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let dir = dir.into();
        writable(&dir)?.write(&dir, CREATE)?;
        sums::remove(&dir).map_err(|error| files::failed(&Name(&dir), CREATE, &dir, error))?;
        Ok(Self(Dump::Current(Directory::new(dir))))
    }

    /// Keeps other processes from writing to the dump in `dir`, or to the one that is to be there,
    /// until the lock is dropped.
    pub fn lock(dir: &Path) -> Result<Lock, StoreError> {
        const LOCK: &str = "lock the directory";
        writable(dir)?;
        Lock::take(&dir.join(files::LOCK)).map_err(|error| match error {
            LockError::File { path, error } => files::failed(&Name(dir), LOCK, &path, error),
            held => StoreError::new(StoreErrorKind::InUse, &Name(dir), LOCK, held.to_string())
                .hint("wait until that process has ended, or write to another directory"),
        })
    }

    /// The dump in `dir`, of either format.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let dir = dir.into();
        let refuse =
            |reason: &str| StoreError::new(StoreErrorKind::NotFound, &Name(&dir), OPEN, reason);
        if !dir.is_dir() {
            return Err(refuse("there is no such directory"));
        }
        match Manifest::read(&dir, OPEN)? {
            Some(_) => Ok(Self(Dump::Current(Directory::new(dir)))),
            None if v1::is_old_dump(&dir, OPEN)? => Ok(Self(Dump::Old(OldDump::new(dir)))),
            None => Err(refuse("the directory holds no dump")),
        }
    }

    /// The same dump, with digests computed by `hashers`. Without MD5 among them, new records have
    /// no `checksum` of its own.
    #[must_use]
    pub fn hashing_with(self, hashers: Hashers) -> Self {
        match self.0 {
            Dump::Current(directory) => Self(Dump::Current(directory.hashing_with(hashers))),
            Dump::Old(old) => Self(Dump::Old(old.hashing_with(hashers))),
        }
    }

    /// The same dump, with the data that comes from now on kept so. What is there stays as it is.
    #[must_use]
    pub fn encoding_as(self, encoding: Encoding) -> Self {
        match self.0 {
            Dump::Current(directory) => Self(Dump::Current(directory.encoding(encoding))),
            old @ Dump::Old(_) => Self(old),
        }
    }

    /// The same dump, to be read from: an image whose data file is gone has data by its record, which
    /// can't be read. Otherwise it counts as one without data, so that it takes an upload.
    #[must_use]
    pub fn expecting_data(self) -> Self {
        match self.0 {
            Dump::Current(directory) => Self(Dump::Current(directory.expecting_data())),
            old @ Dump::Old(_) => Self(old),
        }
    }

    /// Whether the run that wrote the dump came to its end. A dump of the old tool does not say.
    pub fn is_complete(&self) -> Result<bool, StoreError> {
        match &self.0 {
            Dump::Current(directory) => {
                Ok(Manifest::read(directory.path(), OPEN)?.is_some_and(|it| it.complete))
            }
            Dump::Old(_) => Ok(true),
        }
    }

    /// Writes `SHA512SUMS`, and down that the dump is complete.
    pub async fn finish(&self) -> Result<(), StoreError> {
        let directory = match &self.0 {
            Dump::Current(directory) => directory,
            Dump::Old(old) => return Err(old.read_only(FINISH)),
        };
        let hashers = directory.hashers();
        blocking(directory.path(), move |dir| finish(dir, hashers)).await
    }

    /// Writes down which projects own the images or share them, in place of what was written
    /// before.
    pub async fn write_projects(&self, projects: &[Project]) -> Result<(), StoreError> {
        let projects = projects.to_owned();
        self.write_beside(move |dir| beside::write_projects(dir, &projects)).await
    }

    /// The projects that own the images or share them, as far as the writer of the dump could tell.
    pub async fn projects(&self) -> Result<Vec<Project>, StoreError> {
        self.read_beside(beside::projects).await
    }

    /// Writes a namespace of metadata definitions, as `GET /v2/metadefs/namespaces/{namespace}` shows
    /// it, in place of what was written before.
    pub async fn write_metadef(&self, namespace: &Value) -> Result<(), StoreError> {
        let namespace = namespace.clone();
        self.write_beside(move |dir| beside::write_metadef(dir, &namespace)).await
    }

    /// The namespaces of metadata definitions, in the order of their files.
    pub async fn metadefs(&self) -> Result<Vec<Value>, StoreError> {
        self.read_beside(beside::metadefs).await
    }

    async fn write_beside(
        &self,
        write: impl FnOnce(&Path) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        match &self.0 {
            Dump::Current(directory) => blocking(directory.path(), write).await,
            Dump::Old(old) => Err(old.read_only(beside::WRITE)),
        }
    }

    async fn read_beside<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Path) -> Result<Vec<T>, StoreError> + Send + 'static,
    ) -> Result<Vec<T>, StoreError> {
        match &self.0 {
            Dump::Current(directory) => blocking(directory.path(), read).await,
            Dump::Old(_) => Ok(Vec::new()),
        }
    }

    fn path(&self) -> &Path {
        match &self.0 {
            Dump::Current(directory) => directory.path(),
            Dump::Old(old) => old.path(),
        }
    }

    fn inner(&self) -> &dyn ImageStore {
        match &self.0 {
            Dump::Current(directory) => directory,
            Dump::Old(old) => old,
        }
    }
}

/// The manifest of the dump in `dir` as it is while somebody writes to it. The directory is made where
/// it is missing.
fn writable(dir: &Path) -> Result<Manifest, StoreError> {
    let failed = |error| files::failed(&Name(dir), CREATE, dir, error);
    let refuse =
        |reason: &str| StoreError::new(StoreErrorKind::Invalid, &Name(dir), CREATE, reason);
    files::make_directory(dir).map_err(failed)?;
    match Manifest::read(dir, CREATE)? {
        Some(manifest) => Ok(manifest.incomplete()),
        None if v1::is_old_dump(dir, CREATE)? => {
            Err(refuse("it holds a dump of the old tool").hint(v1::HINT))
        }
        None if !files::is_empty(dir).map_err(failed)? => {
            Err(refuse("the directory is not empty and holds no dump")
                .hint("name an empty or a new directory"))
        }
        None => Ok(Manifest::new()),
    }
}

#[async_trait]
impl ImageStore for DumpStore {
    async fn list(&self, selection: &Selection) -> Result<ImageStream<'_>, StoreError> {
        self.inner().list(selection).await
    }

    async fn get(&self, id: &ImageId) -> Result<Image, StoreError> {
        self.inner().get(id).await
    }

    async fn read(&self, id: &ImageId, range: ByteRange) -> Result<Body, StoreError> {
        self.inner().read(id, range).await
    }

    async fn create(&self, image: &Image) -> Result<Image, StoreError> {
        self.inner().create(image).await
    }

    async fn upload(&self, id: &ImageId, data: Body) -> Result<Image, StoreError> {
        self.inner().upload(id, data).await
    }

    async fn begun(&self, id: &ImageId) -> Result<Body, StoreError> {
        self.inner().begun(id).await
    }

    async fn update(&self, current: &Image, wanted: &Attributes) -> Result<Image, StoreError> {
        self.inner().update(current, wanted).await
    }

    async fn set_activation(&self, id: &ImageId, activation: Activation) -> Result<(), StoreError> {
        self.inner().set_activation(id, activation).await
    }

    async fn delete(&self, id: &ImageId) -> Result<(), StoreError> {
        self.inner().delete(id).await
    }

    async fn members(&self, id: &ImageId) -> Result<Vec<Member>, StoreError> {
        self.inner().members(id).await
    }

    async fn set_members(&self, id: &ImageId, members: &[Member]) -> Result<(), StoreError> {
        self.inner().set_members(id, members).await
    }
}

impl fmt::Display for DumpStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.inner(), f)
    }
}

/// The bytes that users may still write to the filesystem of `dir` (`f_bavail` of statvfs(3)).
///
/// # Errors
/// When the directory can't be asked.
pub fn free_space(dir: &Path) -> std::io::Result<u64> {
    let found = rustix::fs::statvfs(dir)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// The bytes of an image without data that an upload to the dump in `dir` would go on from, as far as
/// they can be seen.
pub fn begun(dir: &Path, id: &ImageId) -> u64 {
    let blob = dir.join(format!("{id}{}", Encoding::Identity.suffix()));
    let partial = files::with_suffix(&blob, blob::PARTIAL);
    let found = std::fs::metadata(partial).or_else(|_| std::fs::metadata(blob));
    found.map_or(0, |found| files::begun(&found))
}

/// Runs `work` on a dump's directory where it may block.
async fn blocking<T: Send + 'static>(
    dir: &Path,
    work: impl FnOnce(&Path) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let path = dir.to_owned();
    let done = files::blocking(move || Ok(work(&path))).await;
    done.map_err(|error| files::failed(&Name(dir), OPEN, dir, error))?
}

fn finish(dir: &Path, hashers: Hashers) -> Result<(), StoreError> {
    let manifest = Manifest::read(dir, FINISH)?.unwrap_or_else(Manifest::new);
    let digest = sums::write(dir, hashers, FINISH)?;
    manifest.ended(true, digest).write(dir, FINISH)
}

/// A dump's directory as messages name it.
struct Name<'a>(&'a Path);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dir:{}", self.0.display())
    }
}

const CREATE: &str = "make the dump";
const OPEN: &str = "open the dump";
const FINISH: &str = "finish the dump";
