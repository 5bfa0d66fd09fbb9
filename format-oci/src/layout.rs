//! Reads and changes the images of a layout, on a thread that may block.

use std::sync::{Mutex, PoisonError};

use glance_core::StoreError;
use glance_core::digest::Algorithm;
use glance_core::error::BodyError;
use glance_core::image::{ImageId, Status};
use glance_core::store::StoreErrorKind;
use safe_files::data::{IncomingFile, UploadGuard, Uploads};
use safe_files::dir::Dir;
use safe_files::errors::{self, Refusal};
use safe_files::record::{StoredRecord, WantedDigests};

use crate::artifact::{Artifact, EMPTY, Layer};
use crate::blobs::{Blobs, path};
use crate::descriptor::{Descriptor, MANIFEST_TYPE};
use crate::index::{Index, read_manifest};
use crate::names::{ARTIFACT_TYPE, CONFIG_TYPE, UPLOADS, tag};

/// The directory of a layout.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) blobs: Blobs,
    pub(crate) lost: Lost,
    uploads: Uploads,
    /// The index as it was read or written last. Locked from reading a record until replacing it.
    index: Mutex<Option<Index>>,
}

/// How to treat an image whose data file is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// As an image without data, which accepts an upload.
    Queued,
    /// As its record says.
    Recorded,
}

impl Layout {
    pub(crate) fn new(blobs: Blobs, lost: Lost) -> Self {
        Self { blobs, lost, uploads: Uploads::default(), index: Mutex::default() }
    }

    /// Runs `work` with the current index, while no other thread uses the layout.
    pub(crate) fn with_index<T>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Index) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // A change that panicked or failed is not in the file. The index is then read again.
        let mut slot = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let mut index = match slot.take() {
            Some(index) if index.is_current(&self.blobs.layout) => index,
            _ => Index::read(&self.blobs, operation)?,
        };
        let done = work(&mut index);
        *slot = Some(index).filter(|index| !index.is_changed());
        done
    }

    /// The directory of data that has not arrived completely.
    pub(crate) fn uploads_dir(&self, operation: &'static str) -> Result<Dir, StoreError> {
        let made = self.blobs.layout.make_subdirectory(UPLOADS);
        made.map_err(|error| self.blobs.failed(operation, UPLOADS, error))
    }

    /// Reads an image and adjusts its status: an image without its data is queued.
    pub(crate) fn image(
        &self,
        index: &Index,
        operation: &'static str,
        id: &ImageId,
    ) -> Result<Artifact, StoreError> {
        let mut artifact = self.read(index, operation, id).map_err(|error| error.on(id))?;
        let record = &mut artifact.record;
        let is_whole = match &record.data {
            None => false,
            Some(_) if self.lost == Lost::Recorded => true,
            Some(layer) => {
                let dir = self.blobs.dir(operation)?;
                let found = dir.find(&layer.sha256).map_err(|error| {
                    let (store, path) = (self.blobs.store(), path(&layer.sha256));
                    errors::failed(&store, operation, &dir, &path, error).on(id)
                });
                found?.is_some()
            }
        };
        if !record.image.status.has_data() || !is_whole {
            record.forget_data();
        }
        if self.uploads.contains(id) {
            record.image.status = Status::Saving;
        }
        Ok(artifact)
    }

    fn read(
        &self,
        index: &Index,
        operation: &'static str,
        id: &ImageId,
    ) -> Result<Artifact, StoreError> {
        let Some(entry) = index.find(&self.blobs, operation, id)? else {
            let (kind, reason) = (StoreErrorKind::NotFound, "there is no such image");
            return Err(StoreError::new(kind, &self.blobs.store(), operation, reason));
        };
        let manifest = read_manifest(&self.blobs, operation, &entry.descriptor)?;
        let config = self.blobs.read(operation, &manifest.config)?;
        Artifact::read(&manifest, &config).map_err(|error| {
            let reason = format!("the manifest {} is not an image", entry.descriptor.digest);
            self.blobs.damaged(operation, reason).caused_by(error)
        })
    }

    /// Changes the record of an image, and returns the image that results.
    pub(crate) fn change(
        &self,
        index: &mut Index,
        operation: &'static str,
        id: &ImageId,
        change: impl FnOnce(&mut StoredRecord<Layer>) -> Result<(), Refusal>,
    ) -> Result<Artifact, StoreError> {
        let before = self.image(index, operation, id)?;
        let mut after = before.clone();
        let changed = change(&mut after.record);
        changed.map_err(|refusal| refusal.error(&self.blobs.store(), operation, id))?;
        if after != before {
            self.put(index, operation, &after, Some(&before))?;
        }
        Ok(after)
    }

    /// Creates an image or replaces its record. `before` is the image as it was read.
    pub(crate) fn put(
        &self,
        index: &mut Index,
        operation: &'static str,
        image: &Artifact,
        before: Option<&Artifact>,
    ) -> Result<(), StoreError> {
        let dropped = self.stage(index, operation, image, before)?;
        self.commit(index, operation, dropped)
    }

    /// Writes the config blob and the manifest of an image, and lists them in the index, which is
    /// not written yet. Returns the blobs that the image no longer needs.
    pub(crate) fn stage(
        &self,
        index: &mut Index,
        operation: &'static str,
        image: &Artifact,
        before: Option<&Artifact>,
    ) -> Result<Vec<String>, StoreError> {
        let mut image = image.clone();
        if !image.record.image.status.has_data() {
            image.record.forget_data();
        }
        let id = image.record.image.id.clone();
        let invalid = |error: BodyError| {
            let (kind, reason) = (StoreErrorKind::Invalid, "the record cannot be written");
            let error =
                StoreError::new(kind, &self.blobs.store(), operation, reason).caused_by(error);
            error.on(&id)
        };
        self.blobs.make_dir(operation)?;
        let layer = match &image.record.data {
            Some(layer) => layer.sha256.clone(),
            None => self.blobs.write(operation, EMPTY)?.sha256,
        };
        let write =
            |bytes: &[u8]| self.blobs.write(operation, bytes).map_err(|error| error.on(&id));
        let config = write(&image.config().map_err(invalid)?)?;
        let described = Descriptor::new(CONFIG_TYPE, &config.sha256, config.size);
        let manifest = write(&image.manifest(described).map_err(invalid)?)?;
        let descriptor = Descriptor {
            artifact_type: Some(ARTIFACT_TYPE.to_owned()),
            ..Descriptor::new(MANIFEST_TYPE, &manifest.sha256, manifest.size)
        };
        let name = |image: &Artifact| tag(image.record.image.attributes.name.as_deref()?);
        let before = before.and_then(name);
        let blobs = vec![config.sha256, layer];
        let dropped = index.put(&id, &descriptor, blobs, name(&image), before.as_deref());
        dropped.map_err(|error| invalid(error.into()))
    }

    /// Writes the index, and then removes those of the `dropped` blobs that no entry has.
    pub(crate) fn commit(
        &self,
        index: &mut Index,
        operation: &'static str,
        dropped: Vec<String>,
    ) -> Result<(), StoreError> {
        index.set_unfinished(true);
        index.write(&self.blobs, operation)?;
        for name in index.unused(dropped) {
            self.blobs.remove(operation, &name);
        }
        Ok(())
    }

    /// Starts an upload to a queued image.
    pub(crate) fn begin(
        &self,
        index: &mut Index,
        operation: &'static str,
        id: &ImageId,
    ) -> Result<(UploadGuard, StoredRecord<Layer>), StoreError> {
        let record = self.image(index, operation, id)?.record;
        let queued = record.must_be_queued();
        queued.map_err(|refusal| refusal.error(&self.blobs.store(), operation, id))?;
        if !index.is_unfinished() {
            self.commit(index, operation, Vec::new())?;
        }
        Ok((self.uploads.begin(id), record))
    }

    /// Moves the complete data of an image to the blobs, and completes its record.
    pub(crate) fn complete(
        &self,
        index: &mut Index,
        operation: &'static str,
        id: &ImageId,
        wanted: &WantedDigests,
        file: IncomingFile,
    ) -> Result<Artifact, StoreError> {
        // The record may have been changed or deleted during the upload.
        let before = self.image(index, operation, id)?;
        let mut image = before.clone();
        wanted.describe(&mut image.record, file.size, &file.digests);
        let Some(sha256) = file.digests.get(&Algorithm::Sha256).cloned() else {
            let (kind, reason) = (StoreErrorKind::Invalid, "the SHA-256 was not computed");
            return Err(StoreError::new(kind, &self.blobs.store(), operation, reason).on(id));
        };
        image.record.data = Some(Layer { sha256: sha256.clone(), size: file.size });
        image.record.image.status = Status::Active;
        // The data moves last, so that a run that is killed before resumes from it.
        let dropped = self.stage(index, operation, &image, Some(&before))?;
        let dir = self.blobs.dir(operation)?;
        let kept = file.keep_in(&dir, &sha256);
        kept.map_err(|error| {
            errors::failed(&self.blobs.store(), operation, &dir, &path(&sha256), error).on(id)
        })?;
        match self.commit(index, operation, dropped) {
            Ok(()) => Ok(image),
            Err(error) => {
                self.put_back(operation, id, &dir, &sha256);
                Err(error)
            }
        }
    }

    /// Makes resumable data of a blob whose image could not be completed, unless an image has it.
    fn put_back(&self, operation: &'static str, id: &ImageId, dir: &Dir, sha256: &str) {
        let is_unused = Index::read(&self.blobs, operation)
            .is_ok_and(|index| !index.unused(vec![sha256.to_owned()]).is_empty());
        if let (true, Ok(uploads)) = (is_unused, self.uploads_dir(operation)) {
            if let Err(error) = dir.rename_into(sha256, &uploads, id.as_str()) {
                tracing::debug!("{} cannot be kept for the next run: {error}", path(sha256));
            }
        }
    }
}
