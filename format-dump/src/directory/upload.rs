//! Uploads to a dump.

use std::sync::Arc;

use glance_core::digest::Algorithm;
use glance_core::image::{Image, ImageId, Status};
use glance_core::{Body, StoreError};
use safe_files::data::{Incoming, IncomingFile, UploadGuard};
use safe_files::dir::blocking;
use safe_files::errors;
use safe_files::record::{StoredRecord, WantedDigests};

use super::{Directory, FAILED, FILES, RECORD};
use crate::blob::share::{self, Index};
use crate::blob::{Blob, PARTIAL, compressing};
use crate::record::{Encoding, Stored, encoding};

impl Directory {
    /// Receives the data of a queued image.
    pub(super) async fn receive(&self, id: &ImageId, data: Body) -> Result<Image, StoreError> {
        let (guard, before) = self.begin(id).await?;
        let guard = Arc::new(guard);
        let digests = WantedDigests::of(&before, self.hashers);
        let encoding = self.encoding;
        let blob = self.blob(id, encoding);
        let partial = self.write(id, &digests, data, Arc::clone(&guard)).await?;
        let stored = Stored::of(encoding, &partial);
        let describe = |record: &mut StoredRecord<Stored>, partial: &IncomingFile| {
            digests.describe(record, partial.size, &partial.digests);
            record.data = Some(stored.clone());
        };
        let mut index = self.index.lock().await;
        let mut record = self.load(WRITE, id).await?;
        describe(&mut record, &partial);
        self.share(&mut index, &record, partial.name()).await;
        let _changing = self.changing.lock().await;
        // The record may have been changed or deleted during the upload.
        let mut record = self.record(WRITE, id).await?;
        describe(&mut record, &partial);
        let name = blob.name.clone();
        self.change(WRITE, id, &blob.name, move |dir| partial.keep_in(dir, &name)).await?;
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
    async fn begin(&self, id: &ImageId) -> Result<(UploadGuard, StoredRecord<Stored>), StoreError> {
        let _changing = self.changing.lock().await;
        let record = self.record(WRITE, id).await?;
        record.must_be_queued().map_err(|refusal| refusal.error(self, WRITE, id))?;
        self.take_up(WRITE, id).await?;
        // Mark the dump as incomplete.
        self.change(WRITE, id, RECORD, |_| Ok(())).await?;
        Ok((self.uploads.begin(id), record))
    }

    /// Writes the data to a file next to its final one. `guard` is held while anything writes to it.
    async fn write(
        &self,
        id: &ImageId,
        digests: &WantedDigests,
        data: Body,
        guard: impl Send + 'static,
    ) -> Result<IncomingFile, StoreError> {
        let Blob { dir, name } = &self.blob(id, self.encoding);
        let incoming = Incoming {
            store: self,
            id,
            operation: WRITE,
            dir,
            name: format!("{name}{PARTIAL}"),
            algorithms: digests.algorithms(),
            hashers: self.hashers,
        };
        match self.encoding {
            Encoding::Identity => {
                // The SHA-512 of the data is also that of the file.
                let algorithms = digests.algorithms().into_iter().chain([Algorithm::Sha512]);
                let incoming = Incoming { algorithms: algorithms.collect(), ..incoming };
                incoming.receive(data, guard).await
            }
            // A compressor cannot resume.
            Encoding::Zstd => {
                let writer = |file| compressing(file, self.hashers, guard);
                incoming.receive_through(data, writer).await
            }
        }
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
        let looked = blocking(move || {
            let is_there = |name: &str| dir.find(name).map(|found| found.is_some());
            Ok(is_there(&from)? && !is_there(&partial)? && !is_there(&failed)?)
        });
        let failed = |error| errors::failed(self, operation, self.dir(), &name, error).on(id);
        if !looked.await.map_err(failed)? {
            return Ok(());
        }
        let from = name.clone();
        self.change(operation, id, &name, move |dir| dir.rename(&from, &to)).await
    }

    /// Replaces the file `partial` by a hard link to a file with the same content, if the dump has
    /// one. If that fails, the image keeps its own file.
    async fn share(&self, index: &mut Option<Index>, record: &StoredRecord<Stored>, partial: &str) {
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
        let Blob { dir, name } = self.blob(first, encoding(record));
        let partial = partial.to_owned();
        match blocking(move || share::link(&dir, &name, &partial)).await {
            Ok(true) => tracing::debug!("{} shares the data of {first}", record.image.id),
            // Other releases of zstd may compress the same data differently.
            Ok(false) if encoding(record) == Encoding::Zstd => {}
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

pub(super) const WRITE: &str = "store the data";
