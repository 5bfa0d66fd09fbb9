//! Uploads to a dump.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use glance_core::digest::{Algorithm, Hashers};
use glance_core::image::{Image, ImageId, Status};
use glance_core::store::StoreErrorKind;
use glance_core::{Body, StoreError};

use super::{Directory, FAILED, FILES, RECORD};
use crate::blob::share::{self, Index};
use crate::blob::{Blob, PARTIAL, Partial, Upload, WRITE};
use crate::files;
use crate::record::{Encoding, Expected, Record};

impl Directory {
    /// Receives the data of a queued image.
    pub(super) async fn receive(&self, id: &ImageId, data: Body) -> Result<Image, StoreError> {
        let (saving, before) = self.begin(id).await?;
        let saving = Arc::new(saving);
        let digests = WantedDigests::of(&before, self.hashers);
        let encoding = self.encoding;
        let blob = self.blob(id, encoding);
        let upload = Upload {
            store: self,
            id,
            blob: &blob,
            encoding,
            algorithms: digests.algorithms(),
            hashers: self.hashers,
            guard: Arc::clone(&saving),
        };
        let partial = upload.write(data).await?;
        let mut index = self.index.lock().await;
        let mut record = self.load(WRITE, id).await?;
        digests.describe(&mut record, &partial);
        self.share(&mut index, &record, partial.name()).await;
        let _changing = self.changing.lock().await;
        // The record may have been changed or deleted during the upload.
        let mut record = self.record(WRITE, id).await?;
        digests.describe(&mut record, &partial);
        let name = blob.name.clone();
        self.change(WRITE, id, &blob.name, move |_| partial.keep(&name)).await?;
        record.image.status = Status::Active;
        self.store(WRITE, &record).await?;
        let others =
            FILES.iter().copied().filter(|other| ![RECORD, encoding.suffix()].contains(other));
        self.remove(WRITE, id, &others.collect::<Vec<_>>()).await?;
        if let Some(index) = &mut *index {
            index.insert(&record);
        }
        Ok(record.image)
    }

    /// Starts an upload to a queued image.
    async fn begin(&self, id: &ImageId) -> Result<(Saving, Record), StoreError> {
        let _changing = self.changing.lock().await;
        let record = self.record(WRITE, id).await?;
        if record.image.status != Status::Queued {
            let reason = format!("the image is {}, not queued", record.image.status);
            return Err(self.error(StoreErrorKind::Conflict, WRITE, id, reason));
        }
        self.take_up(WRITE, id).await?;
        // Mark the dump as incomplete.
        self.change(WRITE, id, RECORD, |_| Ok(())).await?;
        lock(&self.saving).insert(id.clone());
        Ok((Saving { saving: Arc::clone(&self.saving), id: id.clone() }, record))
    }

    /// Turns complete data of a queued image, whose record was not updated after an interruption,
    /// into resumable data.
    pub(super) async fn take_up(
        &self,
        operation: &'static str,
        id: &ImageId,
    ) -> Result<(), StoreError> {
        let Blob { dir, name } = self.blob(id, Encoding::Identity);
        let (partial, failed) = (format!("{name}{PARTIAL}"), format!("{id}{FAILED}"));
        let (from, to) = (name.clone(), partial.clone());
        let looked = files::blocking(move || {
            let is_there = |name: &str| dir.find(name).map(|found| found.is_some());
            Ok(is_there(&from)? && !is_there(&partial)? && !is_there(&failed)?)
        });
        let failed = |error| files::failed(self, operation, self.dir(), &name, error).on(id);
        if !looked.await.map_err(failed)? {
            return Ok(());
        }
        let from = name.clone();
        self.change(operation, id, &name, move |dir| dir.rename(&from, &to)).await
    }

    /// Replaces the file `partial` by a hard link to a file with the same content, if the dump has
    /// one. If that fails, the image keeps its own file.
    async fn share(&self, index: &mut Option<Index>, record: &Record, partial: &str) {
        if index.is_none() {
            match self.build_index().await {
                Ok(built) => *index = Some(built),
                Err(error) => return tracing::debug!("no data is shared: {error}"),
            }
        }
        let Some(first) = index.as_ref().and_then(|index| index.find(&record.image)) else {
            return;
        };
        match self.record(WRITE, first).await {
            Ok(found) if share::equal(&found, record) => {}
            _ => return,
        }
        let Blob { dir, name } = self.blob(first, record.encoding());
        let partial = partial.to_owned();
        match files::blocking(move || share::link(&dir, &name, &partial)).await {
            Ok(true) => tracing::debug!("{} shares the data of {first}", record.image.id),
            // Other releases of zstd may compress the same data differently.
            Ok(false) if record.encoding() == Encoding::Zstd => {}
            Ok(false) => tracing::warn!(
                "the data of {first} in {self} does not match its record: verify the dump"
            ),
            Err(error) => tracing::debug!("the data of {first} cannot be shared: {error}"),
        }
    }

    async fn build_index(&self) -> Result<Index, StoreError> {
        let mut index = Index::default();
        for id in self.ids(WRITE).await?.iter() {
            // Images with unreadable records are not shared.
            if let Ok(record) = self.load(WRITE, &id).await {
                index.insert(&record);
            }
        }
        Ok(index)
    }
}

/// Marks an upload in progress until dropped.
struct Saving {
    saving: Arc<Mutex<BTreeSet<ImageId>>>,
    id: ImageId,
}

impl Drop for Saving {
    fn drop(&mut self) {
        lock(&self.saving).remove(&self.id);
    }
}

/// The digests for the record of an image.
struct WantedDigests {
    /// The algorithm for `os_hash_algo`.
    algorithm: Algorithm,
    /// The digests announced for the data.
    expected: Option<Expected>,
}

impl WantedDigests {
    fn of(record: &Record, hashers: Hashers) -> Self {
        // A digest in an unsupported algorithm could not be checked.
        let algorithm = record.image.os_hash_algo.as_ref().and_then(|name| name.parse().ok());
        match algorithm.filter(|algorithm| hashers.offers(*algorithm)) {
            Some(algorithm) => Self { algorithm, expected: record.expected.clone() },
            None => Self { algorithm: Algorithm::Sha512, expected: None },
        }
    }

    /// The algorithms to compute. MD5 is omitted if a stronger digest verifies the data: it costs
    /// as much as SHA-512.
    fn algorithms(&self) -> BTreeSet<Algorithm> {
        let md5 = self.expected.is_none().then_some(Algorithm::Md5);
        [self.algorithm].into_iter().chain(md5).collect()
    }

    /// Updates `record` with the facts about the written file.
    fn describe(&self, record: &mut Record, partial: &Partial) {
        let digest = |algorithm| partial.digests.get(&algorithm).cloned();
        let image = &mut record.image;
        image.size = Some(partial.size);
        image.os_hash_algo = Some(self.algorithm.to_string());
        image.os_hash_value = digest(self.algorithm);
        let is_expected = |expected: &&Expected| {
            let wanted = Some(expected.os_hash_value.to_ascii_lowercase());
            image.os_hash_value == wanted
        };
        image.checksum = match self.expected.as_ref().filter(is_expected) {
            Some(expected) => expected.checksum.clone(),
            None => digest(Algorithm::Md5),
        };
        record.data = Some(partial.stored.clone());
        record.expected = None;
    }
}

pub(super) fn lock(saving: &Mutex<BTreeSet<ImageId>>) -> MutexGuard<'_, BTreeSet<ImageId>> {
    // A panic cannot leave the set in an inconsistent state.
    saving.lock().unwrap_or_else(PoisonError::into_inner)
}
