//! Server-side import, and placement in the target's stores.
//!
//! The target's own workers fetch the data. Record, proof and publication are the same as for
//! streamed data. If the workers can't fetch an image, its data is streamed through this process
//! into the same record.

use std::sync::Arc;

use glance_core::image::{Image, Status};
use glance_core::store::{ImageStore, Import, StoreErrorKind};

use super::ImageCopy;
use crate::comparison::{content_difference, is_provable};
use crate::error::CopyError;
use crate::journal::Phase;
use crate::outcome::TransferMethod;
use crate::policy::{Fallback, ImportSource};

impl ImageCopy<'_> {
    /// The target, bound to the store that the image's new data goes into.
    pub(super) fn placed_target(&self) -> Arc<dyn ImageStore> {
        let delivery = self.replication.policy.delivery.as_ref();
        let placed = delivery
            .and_then(|delivery| Some(delivery.target.placing(delivery.placement.of(self.image)?)));
        placed.unwrap_or_else(|| Arc::clone(&self.replication.target))
    }

    /// The import request for the image; `None` if its data is streamed through this process.
    ///
    /// # Errors
    /// The reason why the target can't import the image.
    pub(super) fn import_request(&self, record: &Image) -> Result<Option<Import>, String> {
        let (image, delivery) = (self.image, self.replication.policy.delivery.as_ref());
        let origin = delivery.and_then(|delivery| delivery.origin.as_ref());
        let formats = |image: &Image| {
            let attributes = &image.attributes;
            (attributes.disk_format.clone(), attributes.container_format.clone())
        };
        match origin {
            None => Ok(None),
            Some(_) if image.size == Some(0) => Ok(None),
            Some(ImportSource::Web(template)) => {
                Ok(Some(Import::Web { uri: template.address(image) }))
            }
            Some(ImportSource::Glance { .. }) if image.status != Status::Active => Err(format!(
                "the image is {} at the source, and Glance imports only active images",
                image.status
            )),
            Some(ImportSource::Glance { .. }) if formats(image) != formats(record) => {
                Err("Glance would write the source's formats into the record".to_owned())
            }
            Some(ImportSource::Glance { region, interface }) => Ok(Some(Import::Glance {
                region: region.clone(),
                interface: interface.clone(),
                image: image.id.clone(),
            })),
        }
    }

    /// Adds a note that the data is streamed because the target can't import it.
    ///
    /// # Errors
    /// When the policy does not allow streaming as a fallback.
    pub(super) fn fall_back(&mut self, reason: &str) -> Result<(), CopyError> {
        let delivery = self.replication.policy.delivery.as_ref();
        if delivery.is_some_and(|delivery| delivery.fallback == Fallback::Fail) {
            return Err(CopyError::Blocked {
                reason: format!("the target cannot import the data: {reason}"),
                hint: Some(
                    "omit --no-fallback: the data is then streamed through this process".to_owned(),
                ),
            });
        }
        self.journey
            .notes
            .push(format!("streamed through this process, not imported by the target: {reason}"));
        Ok(())
    }

    /// Lets the target import the data of `record`. `None` if it can't and the record still accepts
    /// other data.
    pub(super) async fn import(
        &mut self,
        record: &Image,
        import: &Import,
    ) -> Result<Option<Image>, CopyError> {
        let Some(delivery) = &self.replication.policy.delivery else { return Ok(None) };
        let place = delivery.placement.of(self.image);
        let error = match delivery.target.import(&record.id, import, place).await {
            Ok(stored) => {
                self.journey.way = Some(TransferMethod::Imported);
                return Ok(Some(stored));
            }
            Err(error) => error,
        };
        let now = self.replication.target.get(&record.id).await.map_err(CopyError::Target)?;
        match (now.status, error.kind) {
            _ if now.is_importing() => Err(CopyError::Blocked {
                reason: format!("the target's import has not ended: {}", error.reason),
                hint: Some(UNFINISHED.to_owned()),
            }),
            (Status::Queued, StoreErrorKind::Transport(_) | StoreErrorKind::Unauthenticated) => {
                Err(CopyError::Target(error))
            }
            (Status::Queued, _) => {
                let method = import.method();
                tracing::info!(image = %self.image.id, "{method}: {error}");
                self.fall_back(&format!("{method}: {}", error.reason)).map(|()| None)
            }
            // The import completed after the request for its result had failed.
            (status, _) if status.has_data() => {
                self.journey.way = Some(TransferMethod::Imported);
                Ok(Some(now))
            }
            (status, _) => Err(CopyError::busy(status)),
        }
    }

    /// Verifies data that the target imported, and publishes the image. If the records do not prove
    /// the data, the source is read.
    pub(super) async fn accept_import(
        &mut self,
        record: &Image,
        stored: Image,
    ) -> Result<(), CopyError> {
        let (replication, image) = (self.replication, self.image);
        replication.policy.journal.note(Phase::Stored, image, &stored).await;
        self.journey.note_replica(&stored);
        match content_difference(image, &stored) {
            Some(difference) => return Err(self.quarantine(&stored, difference).await),
            None if is_provable(image, &stored) => {}
            None => self.prove_stored(&stored).await?,
        }
        self.journey.prove(replication.proven(image, &stored, false), &stored);
        self.report_proof(&stored, None);
        // An import also copies some of the source's properties, wanted or not.
        let restored = replication.target.update(&stored, &record.attributes).await;
        self.finish(&restored.map_err(CopyError::Target)?).await
    }

    /// Lets the target copy the data of `replica` to all stores where it is missing.
    pub(super) async fn copy_to_more_stores(&self, replica: &Image) -> Result<(), CopyError> {
        let Some(delivery) = &self.replication.policy.delivery else { return Ok(()) };
        let missing = delivery.placement.missing(replica);
        if missing.is_empty() {
            return Ok(());
        }
        let copied = delivery.target.copy_to_stores(&replica.id, &missing).await;
        let failed = |error| CopyError::NotInStores { stores: missing.join(", "), error };
        copied.map(drop).map_err(failed)
    }
}

/// The hint for an import that goes on, or never ended, at the target.
const UNFINISHED: &str = "wait until the image is active or queued at the target, then run the \
    command again. If it stays importing, ask the target's administrator: Glance's log names the \
    cause, and only the deletion of the record frees it";
