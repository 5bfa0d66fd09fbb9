//! Copies one image to the target.

use glance_core::content_format;
use glance_core::image::{Attributes, Image, ImageId, Status, Visibility};
use glance_core::store::{Activation, ImageStoreExt, Import, StoreError, StoreErrorKind};

use super::{
    ContentCheck, CopyError, DataPath, Done, OnBurnedId, Phase, Proven, Replication, TransferMethod,
};
use crate::pairing::provenance;
use crate::planning::{Difference, Goal, content_difference, is_provable};
use crate::streaming::fan_out::{Opened, Subscription};
use glance_core::verified_body::DataVerdict;

pub(crate) mod delivery;
pub(crate) mod upload;

impl Replication {
    /// Makes a record and uploads the data. The record stays hidden and unprotected until its data
    /// is proven, so users never see an incomplete image.
    pub(super) async fn copy(
        &self,
        image: &Image,
        goal: &Goal,
        share: &mut Subscription,
        journey: &mut DataPath,
    ) -> Result<Done, CopyError> {
        let staged = Image { attributes: self.staged(image, goal), ..image.clone() };
        let supply = self.supply(image, &staged, share, journey).await?;
        let (record, goal) = match self.make_record(image, staged, goal).await? {
            Made::New(record) => (record, goal.of_new()),
            Made::Found(record) => (record, goal.clone()),
            Made::Burned => return Ok(Done::Skipped(BURNED.to_owned())),
        };
        self.fill(image, &record, &goal, supply, share, journey).await?;
        Ok(copied(image, &record.id))
    }

    /// Makes a record without data for an image that has none at the source.
    pub(super) async fn record(
        &self,
        image: &Image,
        goal: &Goal,
        journey: &mut DataPath,
    ) -> Result<Done, CopyError> {
        let staged = Image { attributes: self.staged(image, goal), ..image.clone() };
        match self.make_record(image, staged, goal).await? {
            Made::Burned => Ok(Done::Skipped(BURNED.to_owned())),
            Made::New(record) | Made::Found(record) => {
                journey.proven = Some(Proven::Record);
                self.publish(image, &record, goal).await?;
                Ok(copied(image, &record.id))
            }
        }
    }

    /// Uploads data into an existing record without data, which an earlier run or another client
    /// made. The record is hidden until its data is proven.
    pub(super) async fn complete(
        &self,
        image: &Image,
        record: &Image,
        goal: &Goal,
        share: &mut Subscription,
        journey: &mut DataPath,
    ) -> Result<Done, CopyError> {
        let staged = self.stage(record, goal).await?;
        let supply = self.supply(image, &staged, share, journey).await?;
        self.fill(image, &staged, goal, supply, share, journey).await.map(|()| Done::Completed)
    }

    /// Updates an existing record without data to the attributes it has until the data is proven.
    async fn stage(&self, record: &Image, goal: &Goal) -> Result<Image, CopyError> {
        let staged = self.policy.mapping.onto(&goal.wanted, &record.attributes);
        let staged = self.target.update(record, &hidden_from_users(&staged)).await;
        staged.map_err(CopyError::Target)
    }

    /// Makes a record, with the source's id if the target accepts it.
    async fn make_record(
        &self,
        image: &Image,
        mut staged: Image,
        goal: &Goal,
    ) -> Result<Made, CopyError> {
        let taken = match self.create(image, &staged).await {
            Ok(record) => return Ok(Made::New(record)),
            Err(CopyError::Target(error)) if error.kind == StoreErrorKind::IdTaken => error,
            Err(error) => return Err(error),
        };
        // A visible record was made in the meantime, possibly by this run if an answer was lost. An
        // invisible record is deleted, or hidden from these credentials.
        match self.target.find(&staged.id).await.map_err(CopyError::Target)? {
            Some(other) if other.status == Status::Queued && !other.is_importing() => {
                return self.stage(&other, goal).await.map(Made::Found);
            }
            Some(other) => return Err(CopyError::busy(other.status)),
            None => {}
        }
        match self.policy.on_burned_id {
            OnBurnedId::Fail => Err(CopyError::IdUnavailable(taken)),
            OnBurnedId::Skip => Ok(Made::Burned),
            OnBurnedId::New => {
                provenance::mark_new_id(&mut staged.attributes, &staged.id);
                staged.id = ImageId::random();
                self.create(image, &staged).await.map(Made::New)
            }
        }
    }

    async fn create(&self, image: &Image, staged: &Image) -> Result<Image, CopyError> {
        self.announce(Phase::Creating, image, staged).await?;
        let record = self.try_create(staged).await.map_err(CopyError::Target)?;
        self.policy.journal.note(Phase::Created, image, &record).await;
        Ok(record)
    }

    /// Creates a record. Retries errors after which the answer may have been lost.
    async fn try_create(&self, staged: &Image) -> Result<Image, StoreError> {
        let retries = &self.policy.retries;
        let mut failures = 0;
        loop {
            match self.target.create(staged).await {
                Err(error) if error.kind.is_retryable() && failures < retries.per_image => {
                    tracing::info!(image = %staged.id, "{error}; trying again");
                    let pause = retries.pauses.after(failures);
                    if self.policy.stop.unless_broken_off(pause).await.is_none() {
                        return Err(error);
                    }
                    failures += 1;
                }
                answer => return answer,
            }
        }
    }

    /// Decides how the data of `image` gets to the target. Fails if the target would reject the
    /// data for the formats in `record`.
    async fn supply(
        &self,
        image: &Image,
        record: &Image,
        share: &mut Subscription,
        journey: &mut DataPath,
    ) -> Result<Supply, CopyError> {
        match self.import_of(image, record) {
            Ok(Some(import)) => {
                share.leave();
                self.check_head(image, record).await?;
                return Ok(Supply::Import(import));
            }
            Ok(None) => {}
            Err(reason) => self.fall_back(&reason, journey)?,
        }
        self.unless_broken_off(self.open(image, record, share)).await.map(Supply::Stream)
    }

    /// Opens the data of `image`. The target may already hold the first bytes of it. Fails if the
    /// target would reject the data for the formats in `record`.
    async fn open(
        &self,
        image: &Image,
        record: &Image,
        share: &mut Subscription,
    ) -> Result<Opened, CopyError> {
        let opened = share.open(self.partial_data(record).await?).await?;
        let size = image.size.or(opened.data.size());
        let (ContentCheck::Glance, Some(size)) = (self.policy.content, size) else {
            return Ok(opened);
        };
        let (head, data) = opened.data.peek(content_format::HEAD).await;
        self.judge_head(record, &head, size).map(|()| Opened { data, ..opened })
    }

    pub(super) fn judge_head(
        &self,
        record: &Image,
        head: &[u8],
        size: u64,
    ) -> Result<(), CopyError> {
        let attributes = &record.attributes;
        let (Some(disk), Some(container)) = (&attributes.disk_format, &attributes.container_format)
        else {
            return Ok(());
        };
        // A read that broke off does not show a wrong format. The verifying body reports that
        // error.
        let broke_off = (head.len() as u64) < size.min(content_format::HEAD as u64);
        if broke_off && !content_format::is_enough(head) {
            return Ok(());
        }
        content_format::check(disk, container, head, size).map_err(|fault| {
            CopyError::FormatRejected { target_store: self.target.to_string(), fault }
        })
    }

    /// Uploads data into a queued record, verifies it, and publishes the image.
    async fn fill(
        &self,
        image: &Image,
        record: &Image,
        goal: &Goal,
        supply: Supply,
        share: &mut Subscription,
        journey: &mut DataPath,
    ) -> Result<(), CopyError> {
        self.announce(Phase::Uploading, image, record).await?;
        let opened = match supply {
            Supply::Stream(opened) => opened,
            Supply::Import(import) => {
                let imported = self.import(image, record, &import, journey);
                match self.unless_broken_off(imported).await? {
                    Some(stored) => return self.take(image, record, stored, goal, journey).await,
                    None => self.unless_broken_off(self.open(image, record, share)).await?,
                }
            }
        };
        journey.way = Some(TransferMethod::Streamed);
        let (stored, verdict) = self.transfer(image, record, share, opened).await?;
        self.policy.journal.note(Phase::Stored, image, &stored).await;
        if let Some(difference) = disagreement(image, &stored, &verdict) {
            return Err(self.quarantine(image, &stored, difference).await);
        }
        if !is_proven(image, &stored, &verdict) {
            self.prove_stored(image, &stored).await?;
        }
        journey.prove(self.proven(image, &stored, verdict.digests().is_some()), &stored);
        if let Some(digests) = verdict.digests() {
            self.policy.known_source.keep(image, digests).await;
        }
        self.finish(image, &stored, goal).await
    }

    /// Updates the record of an image whose data is in place. If the records do not prove the data
    /// and the update would make it visible to more users, the data is read and verified first.
    pub(super) async fn reconcile(
        &self,
        image: &Image,
        replica: &Image,
        goal: &Goal,
    ) -> Result<(), CopyError> {
        let wanted = self.policy.mapping.onto(&goal.wanted, &replica.attributes);
        if !is_provable(image, replica) && shows_more(image, &wanted, replica) {
            self.prove(image, replica).await?;
        }
        self.finish(image, replica, goal).await
    }

    /// Publishes a proven image, and copies it to all stores where it should be.
    pub(super) async fn finish(
        &self,
        image: &Image,
        replica: &Image,
        goal: &Goal,
    ) -> Result<(), CopyError> {
        // Glance copies only active images between stores.
        if image.status == Status::Deactivated {
            let spread = self.copy_to_more_stores(replica).await;
            self.publish(image, replica, goal).await?;
            return spread;
        }
        self.publish(image, replica, goal).await?;
        self.copy_to_more_stores(replica).await
    }

    /// Sets activation, attributes and members to the wanted values, in an order that never shows
    /// the image to users who may not see it. Protection is set last, so a protected image is
    /// complete.
    pub(super) async fn publish(
        &self,
        image: &Image,
        replica: &Image,
        goal: &Goal,
    ) -> Result<(), CopyError> {
        let target = &self.target;
        if image.status != replica.status && image.status.has_data() {
            let activation = match image.status {
                Status::Deactivated => Activation::Deactivated,
                _ => Activation::Active,
            };
            target.set_activation(&replica.id, activation).await.map_err(CopyError::Target)?;
        }
        let wanted = self.policy.mapping.onto(&goal.wanted, &replica.attributes);
        let before = Attributes { protected: replica.attributes.protected, ..wanted.clone() };
        let published = target.update(replica, &before).await.map_err(CopyError::Target)?;
        if let Some(members) = &goal.members {
            target.set_members(&replica.id, members).await.map_err(CopyError::Target)?;
        }
        target.update(&published, &wanted).await.map(drop).map_err(CopyError::Target)
    }

    /// The attributes of a new record until its data is proven.
    fn staged(&self, image: &Image, goal: &Goal) -> Attributes {
        let wanted = &goal.wanted.attributes;
        let mut staged = hidden_from_users(wanted);
        // A shared image without members is as hidden as a private one, and needs no later change.
        // If the target's records will not prove the data, the image is private, so that a later
        // run sees that the proof is missing.
        if wanted.visibility == Visibility::Shared
            && self.policy.target_digests.prove(&self.target, image)
        {
            staged.visibility = Visibility::Shared;
        }
        if let Some(source) = &self.policy.stamp {
            provenance::mark(&mut staged, source);
        }
        staged
    }

    /// Hides and deactivates a replica that holds wrong data. It was not visible to users before.
    pub(super) async fn quarantine(
        &self,
        image: &Image,
        stored: &Image,
        difference: Difference,
    ) -> CopyError {
        self.policy.journal.note(Phase::Quarantined, image, stored).await;
        let private = Attributes { visibility: Visibility::Private, ..stored.attributes.clone() };
        let hidden = match self.target.update(stored, &private).await {
            Ok(_) => "private".to_owned(),
            Err(error) => format!("shared with nobody, as it can't be made private ({error})"),
        };
        let quarantine = match self.target.set_activation(&stored.id, Activation::Deactivated).await
        {
            Ok(()) => format!("the replica is quarantined, {hidden} and deactivated"),
            Err(error) if error.kind == StoreErrorKind::Forbidden => {
                format!("the replica is {hidden}, but these credentials may not deactivate it")
            }
            Err(error) => format!("the replica is {hidden}, but was not deactivated ({error})"),
        };
        CopyError::TargetCorrupted { target_store: self.target.to_string(), difference, quarantine }
    }
}

/// Whether the update to `wanted` would make the replica usable by more users.
fn shows_more(image: &Image, wanted: &Attributes, replica: &Image) -> bool {
    let private = Visibility::Private;
    let reactivated = image.status == Status::Active && replica.status != Status::Active;
    reactivated || (replica.attributes.visibility == private && wanted.visibility != private)
}

/// Where the data of an image comes from.
enum Supply {
    /// Data streamed through this process.
    Stream(Opened),
    /// Data that the target imports on its own.
    Import(Import),
}

/// Result of making a record.
enum Made {
    New(Image),
    /// The record existed already, without data.
    Found(Image),
    /// The target refused the id, and the policy is to skip the image.
    Burned,
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

fn copied(image: &Image, id: &ImageId) -> Done {
    match image.id == *id {
        true => Done::Copied,
        false => Done::CopiedAs(id.clone()),
    }
}

/// The difference between the stored data and the data that was sent, according to the target's
/// record.
fn disagreement(image: &Image, stored: &Image, verdict: &DataVerdict) -> Option<Difference> {
    content_difference(image, stored).or_else(|| {
        let (algorithm, value) = computed(stored, verdict)?;
        let target = stored.os_hash_value.clone()?;
        (target != value).then(|| Difference {
            field: format!("os_hash_value ({algorithm})"),
            source: value.into(),
            target: target.into(),
        })
    })
}

/// Whether a digest of the target agrees with the source's digest, or with the one computed in
/// transit. No difference must have been found before.
fn is_proven(image: &Image, stored: &Image, verdict: &DataVerdict) -> bool {
    is_provable(image, stored) || computed(stored, verdict).is_some()
}

/// The digest computed in transit with the target's algorithm, and the algorithm's name.
fn computed(stored: &Image, verdict: &DataVerdict) -> Option<(String, String)> {
    let algorithm = stored.os_hash_algo.clone()?;
    let digests = verdict.digests()?;
    let digest = digests.get(&algorithm.parse().ok()?)?;
    Some((algorithm, digest.clone()))
}

const BURNED: &str =
    "its id is used up at the target: Glance never frees the id of a deleted image";
