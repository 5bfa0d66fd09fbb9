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
//! In reading order: `files` are its files, and `limits` what is held in memory of them; `directory` is a dump as a store, `record` and `manifest` are its files, `blob` its
//! data, `beside` what stands beside the images, and `sums` the digests of it all; `verify` compares a
//! dump with itself; `stream` is a dump on its way through a pipe; `v1` reads dumps of the old tool.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use glance_core::digest::Hashers;
use glance_core::dir::Dir;
use glance_core::file_lock::{Lock, LockError};
use glance_core::image::{Attributes, Image, ImageId, Member};
use glance_core::project::Project;
use glance_core::store::{Activation, ByteRange, ImageStream, StoreErrorKind};
use glance_core::{Body, ImageStore, Selection, StoreError};
use serde_json::Value;

mod blob;
mod directory;
mod extras;
mod files;
mod limits;
mod manifest;
mod record;
mod stream;
mod sums;
mod v1;
mod verify;

use directory::Directory;
pub use glance_core::selection::{InvalidSubset, Subset};
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
    /// or missing. From the first write on it counts as unfinished, a new one from the beginning, until
    /// [`finish`](Self::finish).
    ///
    /// One process may write to it at a time: [`lock`](Self::lock) it first.
    pub fn create(dir: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let dir = writable(&dir.into())?;
        dir.warn_if_shared();
        let found = Manifest::read(&dir, CREATE)?;
        if found.is_none() {
            Manifest::new().write(&dir, CREATE)?;
        }
        let lacking = found.is_some_and(|found| !found.complete);
        Ok(Self(Dump::Current(Directory::new(dir).lacking(lacking))))
    }

    /// Keeps other processes from writing to the dump in `dir`, or to the one that is to be there,
    /// until the lock is dropped.
    pub fn lock(dir: &Path) -> Result<Lock, StoreError> {
        const LOCK: &str = "lock the directory";
        let it = writable(dir)?;
        Lock::take(&dir.join(files::LOCK)).map_err(|error| match error {
            LockError::File { error, .. } => {
                files::failed(&Name(dir), LOCK, &it, files::LOCK, error)
            }
            held => StoreError::new(StoreErrorKind::InUse, &Name(dir), LOCK, held.to_string())
                .hint("wait until that process has ended, or write to another directory"),
        })
    }

    /// The dump in `dir`, of either format.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = dir.into();
        let refuse =
            |reason: &str| StoreError::new(StoreErrorKind::NotFound, &Name(&path), OPEN, reason);
        let dir = match Dir::open(&path) {
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Err(refuse("there is no such directory"));
            }
            opened => opened.map_err(|error| files::directory_failed(&Name(&path), OPEN, error))?,
        };
        dir.warn_if_shared();
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
                Ok(Manifest::read(directory.dir(), OPEN)?.is_some_and(|it| it.complete))
            }
            Dump::Old(_) => Ok(true),
        }
    }

    /// Writes `SHA512SUMS`, and down that the dump is complete. A dump that nothing was written to since
    /// stays as it is. Waits for what is being written.
    pub async fn finish(&self) -> Result<(), StoreError> {
        let directory = match &self.0 {
            Dump::Current(directory) => directory,
            Dump::Old(old) => return Err(old.read_only(FINISH)),
        };
        let hashers = directory.hashers();
        directory.while_nothing_changes(FINISH, move |dir| finish(dir, hashers)).await
    }

    /// [Finishes](Self::finish) the dump, unless an earlier run had not come to its end when it was
    /// opened to be written: what it lacked then, it still lacks.
    pub async fn finish_as_found(&self) -> Result<(), StoreError> {
        match &self.0 {
            Dump::Current(directory) if directory.is_lacking() => Ok(()),
            _ => self.finish().await,
        }
    }

    /// Writes down which projects own the images or share them, in place of what was written
    /// before.
    pub async fn write_projects(&self, projects: &[Project]) -> Result<(), StoreError> {
        let projects = projects.to_owned();
        self.write_beside(move |dir| extras::write_projects(dir, &projects)).await
    }

    /// The projects that own the images or share them, as far as the writer of the dump could tell.
    pub async fn projects(&self) -> Result<Vec<Project>, StoreError> {
        self.read_beside(extras::projects).await
    }

    /// Writes a namespace of metadata definitions, as `GET /v2/metadefs/namespaces/{namespace}` shows
    /// it, in place of what was written before.
    pub async fn write_metadef(&self, namespace: &Value) -> Result<(), StoreError> {
        let namespace = namespace.clone();
        self.write_beside(move |dir| extras::write_metadef(dir, &namespace)).await
    }

    /// The namespaces of metadata definitions, in the order of their files.
    pub async fn metadefs(&self) -> Result<Vec<Value>, StoreError> {
        self.read_beside(extras::metadefs).await
    }

    async fn write_beside(
        &self,
        write: impl FnOnce(&Dir) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        match &self.0 {
            Dump::Current(directory) => directory.while_nothing_changes(extras::WRITE, write).await,
            Dump::Old(old) => Err(old.read_only(extras::WRITE)),
        }
    }

    async fn read_beside<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Dir) -> Result<Vec<T>, StoreError> + Send + 'static,
    ) -> Result<Vec<T>, StoreError> {
        match &self.0 {
            Dump::Current(directory) => {
                let dir = directory.dir().clone();
                let done = files::blocking(move || Ok(read(&dir))).await;
                done.map_err(|error| files::directory_failed(directory, OPEN, error))?
            }
            Dump::Old(_) => Ok(Vec::new()),
        }
    }

    fn dir(&self) -> &Dir {
        match &self.0 {
            Dump::Current(directory) => directory.dir(),
            Dump::Old(old) => old.dir(),
        }
    }

    /// The bytes that users may still write to its filesystem; None where that does not say.
    pub fn free_space(&self) -> Option<u64> {
        self.dir().free_space()
    }

    /// The bytes of an image without data that an upload would go on from, as far as they can be seen.
    pub fn begun_bytes(&self, id: &ImageId) -> u64 {
        let blob = format!("{id}{}", Encoding::Identity.suffix());
        let found = |name: &str| self.dir().find(name).ok().flatten();
        let found = found(&format!("{blob}{}", blob::PARTIAL)).or_else(|| found(&blob));
        found.filter(|found| found.links == 1).map_or(0, |found| found.length)
    }

    fn inner(&self) -> &dyn ImageStore {
        match &self.0 {
            Dump::Current(directory) => directory,
            Dump::Old(old) => old,
        }
    }
}

/// The directory of a dump, or one that takes a new dump. It is made where it is missing.
fn writable(path: &Path) -> Result<Dir, StoreError> {
    let failed = |error| files::directory_failed(&Name(path), CREATE, error);
    let refuse =
        |reason: &str| StoreError::new(StoreErrorKind::Invalid, &Name(path), CREATE, reason);
    let dir = Dir::make(path).map_err(failed)?;
    match Manifest::read(&dir, CREATE)? {
        None if v1::is_old_dump(&dir, CREATE)? => {
            Err(refuse("it holds a dump of the old tool").hint(v1::HINT))
        }
        None if !files::is_empty(&dir).map_err(failed)? => {
            Err(refuse("the directory is not empty and holds no dump")
                .hint("name an empty or a new directory"))
        }
        _ => Ok(dir),
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

fn finish(dir: &Dir, hashers: Hashers) -> Result<(), StoreError> {
    let failed = |error| files::directory_failed(&Name::of(dir), FINISH, error);
    let manifest = Manifest::read(dir, FINISH)?.unwrap_or_else(Manifest::new);
    let listed = dir.find(sums::FILE);
    let listed =
        listed.map_err(|error| files::failed(&Name::of(dir), FINISH, dir, sums::FILE, error))?;
    if manifest.is_finished() && listed.is_some() {
        return Ok(());
    }
    // Only one process writes to a dump.
    dir.sweep("").map_err(failed)?;
    if let Ok(metadefs) = dir.subdirectory(extras::METADEFS) {
        metadefs.sweep("").map_err(failed)?;
    }
    let digest = sums::write(dir, hashers, FINISH)?;
    manifest.ended(true, digest).write(dir, FINISH)
}

/// A dump's directory as messages name it.
struct Name<'a>(&'a Path);

impl<'a> Name<'a> {
    fn of(dir: &'a Dir) -> Self {
        Self(dir.path())
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dir:{}", self.0.display())
    }
}

const CREATE: &str = "make the dump";
const OPEN: &str = "open the dump";
const FINISH: &str = "finish the dump";
