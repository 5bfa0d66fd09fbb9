//! A dump of either format, as a store.

use std::fmt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use glance_core::digest::Hashers;
use glance_core::image::{Attributes, Image, ImageId, Member};
use glance_core::project::Project;
use glance_core::store::{Activation, ByteRange, ImageStream, StoreErrorKind};
use glance_core::{Body, ImageStore, Selection, StoreError};
use safe_files::dir::{Dir, blocking};
use safe_files::errors;
use safe_files::file_lock::{Holder, Lock, is_unused};
use serde_json::Value;

use crate::directory::Directory;
use crate::files::Name;
use crate::manifest::Manifest;
use crate::record::Encoding;
use crate::v1::OldDump;
use crate::{blob, extras, sums, v1};

/// A dump of either format.
///
/// The store keeps the timestamps of images and the digest algorithm of their records. The digest
/// is that of the bytes written; the checksum of the incoming record is kept if that digest matches
/// the record's. The bytes received before an interruption are kept, unless the data is compressed.
/// The id of a deleted image can be reused.
#[derive(Debug)]
pub struct DumpStore(pub(crate) Dump);

#[derive(Debug)]
pub(crate) enum Dump {
    Current(Directory),
    Old(OldDump),
}

impl DumpStore {
    /// Opens the dump in `dir` for writing, or creates one if the directory is empty or missing. A
    /// new dump is incomplete from the start, and an existing one becomes incomplete with the first
    /// write; [`finish`](Self::finish) marks the dump complete.
    ///
    /// Only one process may write to a dump at a time: take the [`lock`](Self::lock) first.
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

    /// Locks the dump in `dir`, or the directory of a dump yet to be created, against other
    /// processes until the returned lock is dropped. `holder` is this process, as other processes
    /// will name it.
    pub fn lock(dir: &Path, holder: &Holder) -> Result<Lock, StoreError> {
        Lock::of_store(&Name(dir), &writable(dir)?, holder)
    }

    /// Opens the dump in `dir`, of either format, for reading.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = dir.into();
        let refuse = |reason: &str| {
            StoreError::new(StoreErrorKind::NotFound, &Name(&path), OPEN, reason)
                .hint("name a directory that `dump` has written")
        };
        let Some(dir) = errors::existing(&Name(&path), OPEN, &path)? else {
            return Err(refuse("there is no such directory"));
        };
        dir.warn_if_shared();
        match Manifest::read(&dir, OPEN)? {
            Some(_) => Ok(Self(Dump::Current(Directory::new(dir)))),
            None if v1::is_old_dump(&dir, OPEN)? => Ok(Self(Dump::Old(OldDump::new(dir)))),
            None => Err(refuse("the directory holds no dump: manifest.json is missing")),
        }
    }

    /// Sets the implementation of the digests. If `hashers` lacks MD5, the store computes no
    /// `checksum` for new records.
    #[must_use]
    pub fn hashing_with(self, hashers: Hashers) -> Self {
        match self.0 {
            Dump::Current(directory) => Self(Dump::Current(directory.hashing_with(hashers))),
            Dump::Old(old) => Self(Dump::Old(old.hashing_with(hashers))),
        }
    }

    /// Sets the encoding of data written from now on. Existing data stays unchanged.
    #[must_use]
    pub fn encoding_as(self, encoding: Encoding) -> Self {
        match self.0 {
            Dump::Current(directory) => Self(Dump::Current(directory.encoding(encoding))),
            old @ Dump::Old(_) => Self(old),
        }
    }

    /// Configures the dump for reading: an image whose data file is missing is still listed with
    /// data, as its record says, and reading the data fails. By default, such an image counts as
    /// one without data, so that it accepts an upload.
    #[must_use]
    pub fn expecting_data(self) -> Self {
        match self.0 {
            Dump::Current(directory) => Self(Dump::Current(directory.expecting_data())),
            old @ Dump::Old(_) => Self(old),
        }
    }

    /// Whether the run that wrote the dump finished. Always true for a dump of the old tool, which
    /// keeps no such information.
    pub fn is_complete(&self) -> Result<bool, StoreError> {
        match &self.0 {
            Dump::Current(directory) => {
                Ok(Manifest::read(directory.dir(), OPEN)?.is_some_and(|it| it.complete))
            }
            Dump::Old(_) => Ok(true),
        }
    }

    /// Waits for pending writes, writes `SHA512SUMS` and marks the dump complete. Does nothing if
    /// the dump has not changed since it was last finished.
    pub async fn finish(&self) -> Result<(), StoreError> {
        let directory = match &self.0 {
            Dump::Current(directory) => directory,
            Dump::Old(old) => return Err(old.read_only(FINISH)),
        };
        let hashers = directory.hashers();
        directory.while_nothing_changes(FINISH, move |dir| finish(dir, hashers)).await
    }

    /// [Finishes](Self::finish) the dump, unless the dump was incomplete when it was opened for
    /// writing: whatever it lacked then is still missing.
    pub async fn finish_as_found(&self) -> Result<(), StoreError> {
        match &self.0 {
            Dump::Current(directory) if directory.is_lacking() => Ok(()),
            _ => self.finish().await,
        }
    }

    /// Stores the projects that own the images or share them. Replaces the list stored before.
    pub async fn write_projects(&self, projects: &[Project]) -> Result<(), StoreError> {
        let projects = projects.to_owned();
        self.write_extras(move |dir| extras::write_projects(dir, &projects)).await
    }

    /// The projects that own the images or share them, as far as the writer of the dump could
    /// determine them.
    pub async fn projects(&self) -> Result<Vec<Project>, StoreError> {
        self.read_extras(extras::projects).await
    }

    /// Stores a namespace of metadata definitions, in the form of `GET
    /// /v2/metadefs/namespaces/{namespace}`. Replaces the namespace stored before.
    pub async fn write_metadef(&self, namespace: &Value) -> Result<(), StoreError> {
        let namespace = namespace.clone();
        self.write_extras(move |dir| extras::write_metadef(dir, &namespace)).await
    }

    /// The namespaces of metadata definitions, in the order of their file names.
    pub async fn metadefs(&self) -> Result<Vec<Value>, StoreError> {
        self.read_extras(extras::metadefs).await
    }

    async fn write_extras(
        &self,
        write: impl FnOnce(&Dir) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        match &self.0 {
            Dump::Current(directory) => directory.while_nothing_changes(extras::WRITE, write).await,
            Dump::Old(old) => Err(old.read_only(extras::WRITE)),
        }
    }

    async fn read_extras<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Dir) -> Result<Vec<T>, StoreError> + Send + 'static,
    ) -> Result<Vec<T>, StoreError> {
        match &self.0 {
            Dump::Current(directory) => {
                let dir = directory.dir().clone();
                let done = blocking(move || Ok(read(&dir))).await;
                done.map_err(|error| errors::directory_failed(directory, OPEN, error))?
            }
            Dump::Old(_) => Ok(Vec::new()),
        }
    }

    pub(crate) fn dir(&self) -> &Dir {
        match &self.0 {
            Dump::Current(directory) => directory.dir(),
            Dump::Old(old) => old.dir(),
        }
    }

    /// The bytes available to unprivileged users on the dump's filesystem; `None` if unknown.
    pub fn free_space(&self) -> Option<u64> {
        self.dir().free_space()
    }

    /// The number of bytes from which an upload of this image's data would resume, as far as they
    /// can be determined; 0 if there are none.
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

/// Opens the directory of a dump, or one that can become a new dump, and creates it if missing.
fn writable(path: &Path) -> Result<Dir, StoreError> {
    let failed = |error| errors::directory_failed(&Name(path), CREATE, error);
    let refuse =
        |reason: &str| StoreError::new(StoreErrorKind::Invalid, &Name(path), CREATE, reason);
    let dir = Dir::make(path).map_err(failed)?;
    match Manifest::read(&dir, CREATE)? {
        None if v1::is_old_dump(&dir, CREATE)? => {
            Err(refuse("the directory holds a dump of the old tool").hint(v1::HINT))
        }
        None if !is_unused(&dir).map_err(failed)? => {
            Err(refuse("the directory is not empty and holds no dump: manifest.json is missing")
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

    async fn partial_data(&self, id: &ImageId) -> Result<Body, StoreError> {
        self.inner().partial_data(id).await
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
    let failed = |error| errors::directory_failed(&Name::of(dir), FINISH, error);
    let manifest = Manifest::read(dir, FINISH)?.unwrap_or_else(Manifest::new);
    let listed = dir.find(sums::FILE);
    let listed =
        listed.map_err(|error| errors::failed(&Name::of(dir), FINISH, dir, sums::FILE, error))?;
    if manifest.is_finished() && listed.is_some() {
        return Ok(());
    }
    // Leftover temporary files can be deleted: only one process writes to a dump.
    dir.sweep("").map_err(failed)?;
    if let Ok(metadefs) = dir.subdirectory(extras::METADEFS) {
        metadefs.sweep("").map_err(failed)?;
    }
    let digest = sums::write(dir, hashers, FINISH)?;
    manifest.ended(true, digest).write(dir, FINISH)
}

const CREATE: &str = "create the dump";
const OPEN: &str = "open the dump";
const FINISH: &str = "finish the dump";
