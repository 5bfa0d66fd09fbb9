//! Makes the record at the target, hidden from users until its data is proven.

use glance_core::image::{Attributes, Image, ImageId, Status, Visibility};
use glance_core::store::{ImageStoreExt, StoreError, StoreErrorKind};

use super::ImageCopy;
use crate::error::CopyError;
use crate::events::{Retry, Side, reason_of_store};
use crate::journal::Phase;
use crate::policy::OnBurnedId;
use crate::provenance;

/// Result of making a record.
pub(super) enum Made {
    New(Image),
    /// The record existed already, without data.
    Found(Image),
    /// The target refused the id, and the policy is to skip the image.
    Burned,
}

impl ImageCopy<'_> {
    /// The attributes of a new record until its data is proven.
    pub(super) fn staged(&self) -> Attributes {
        let policy = &self.replication.policy;
        let wanted = &self.goal.wanted.attributes;
        let mut staged = hidden_from_users(wanted);
        // A shared image without members is as hidden as a private one, and needs no later change.
        // If the target's records will not prove the data, the image is private, so that a later
        // run sees that the proof is missing.
        if wanted.visibility == Visibility::Shared
            && policy.target_digests.prove(&self.replication.target, self.image)
        {
            staged.visibility = Visibility::Shared;
        }
        if let Some(source) = &policy.stamp {
            provenance::mark(&mut staged, source);
        }
        staged
    }

    /// Updates an existing record without data to the attributes it has until the data is proven.
    pub(super) async fn stage(&self, record: &Image) -> Result<Image, CopyError> {
        let replication = self.replication;
        let staged = replication.policy.mapping.onto(&self.goal.wanted, &record.attributes);
        let staged = replication.target.update(record, &hidden_from_users(&staged)).await;
        staged.map_err(CopyError::Target)
    }

    /// Makes a record, with the source's id if the target accepts it.
    pub(super) async fn make_record(&self, mut staged: Image) -> Result<Made, CopyError> {
        let taken = match self.create(&staged).await {
            Ok(record) => return Ok(Made::New(record)),
            Err(CopyError::Target(error)) if error.kind == StoreErrorKind::IdTaken => error,
            Err(error) => return Err(error),
        };
        // A visible record was made in the meantime, possibly by this run if an answer was lost. An
        // invisible record is deleted, or hidden from these credentials.
        let visible = self.replication.target.find(&staged.id).await;
        match visible.map_err(CopyError::Target)? {
            Some(other) if other.status == Status::Queued && !other.is_importing() => {
                return self.stage(&other).await.map(Made::Found);
            }
            Some(other) => return Err(CopyError::busy(other.status)),
            None => {}
        }
        match self.replication.policy.on_burned_id {
            OnBurnedId::Fail => Err(CopyError::IdUnavailable(taken)),
            OnBurnedId::Skip => Ok(Made::Burned),
            OnBurnedId::New => {
                provenance::mark_new_id(&mut staged.attributes, &staged.id);
                staged.id = ImageId::random();
                self.create(&staged).await.map(Made::New)
            }
        }
    }

    async fn create(&self, staged: &Image) -> Result<Image, CopyError> {
        self.replication.announce(Phase::Creating, self.image, staged).await?;
        let record = self.try_create(staged).await.map_err(CopyError::Target)?;
        self.replication.policy.journal.note(Phase::Created, self.image, &record).await;
        Ok(record)
    }

    /// Creates a record. Retries errors after which the answer may have been lost.
    async fn try_create(&self, staged: &Image) -> Result<Image, StoreError> {
        let policy = &self.replication.policy;
        let retries = &policy.retries;
        let mut failures = 0;
        loop {
            match self.replication.target.create(staged).await {
                Err(error) if error.kind.is_retryable() && failures < retries.per_image => {
                    tracing::info!(image = %staged.id, "{error}; retrying");
                    let pause = retries.pauses.pause(failures);
                    let retry = Retry::after(failures, retries.per_image, pause, reason_of_store(&error));
                    self.meter.retrying(Side::Target, &retry);
                    let pause = tokio::time::sleep(pause);
                    if policy.stop.unless_broken_off(pause).await.is_none() {
                        return Err(error);
                    }
                    failures += 1;
                }
                answer => return answer,
            }
        }
    }
}

/// `wanted`, changed for a record whose data is not proven yet. Signature properties would make
/// Glance verify the upload against its own key manager, so they are set afterwards.
fn hidden_from_users(wanted: &Attributes) -> Attributes {
    let mut staged = wanted.clone();
    staged.visibility = Visibility::Private;
    staged.protected = false;
    staged.os_hidden = false;
    staged.properties.retain(|key, _| !key.starts_with("img_signature"));
    staged
}

pub(super) const BURNED: &str =
    "the target refused this image id: Glance never frees the id of a deleted image";
