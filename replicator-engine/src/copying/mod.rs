//! One image's way to the target.

use glance_core::content_format;
use glance_core::image::{Attributes, Image, ImageId, Status, Visibility};
use glance_core::store::Import;
use glance_core::store::{Activation, StoreError, StoreErrorKind};

use super::{ContentCheck, CopyError, Done, Journey, OnBurnedId, Phase, Proven, Replication, Way};
use crate::pairing::provenance;
use crate::planning::{Difference, Goal, content_difference, is_provable};
use crate::streaming::fan_out::{Opened, Share};
use glance_core::verified_body::DataVerdict;

pub(crate) mod delivery;
pub(crate) mod upload;

impl Replication {
    /// Makes a record and fills it. The record is hidden and unprotected until its data is
    /// proven, so that no user ever sees half an image.
    pub(super) async fn copy(
        &self,
        image: &Image,
        goal: &Goal,
        share: &mut Share,
        journey: &mut Journey,
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

    /// Makes a record that has no data, as the source has none.
    pub(super) async fn record(
        &self,
        image: &Image,
        goal: &Goal,
        journey: &mut Journey,
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

    /// Fills a record that was left without data, or was made for it by somebody: nobody may see
    /// it before its data is proven.
    pub(super) async fn complete(
        &self,
        image: &Image,
        record: &Image,
        goal: &Goal,
        share: &mut Share,
        journey: &mut Journey,
    ) -> Result<Done, CopyError> {
        let staged = self.stage(record, goal).await?;
        let supply = self.supply(image, &staged, share, journey).await?;
        self.fill(image, &staged, goal, supply, share, journey).await.map(|()| Done::Completed)
    }

    /// Makes a record that has no data yet as it is to be until it has.
    async fn stage(&self, record: &Image, goal: &Goal) -> Result<Image, CopyError> {
        let staged = self.policy.mapping.onto(&goal.wanted, &record.attributes);
        let staged = self.target.update(record, &hidden_from_users(&staged)).await;
        staged.map_err(CopyError::Target)
    }

    /// Makes a record, under the image's id where that can be had.
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
        // A record that can be seen was made meanwhile: by us, where an answer was lost. One that
        // can't is deleted, or hidden from us.
        match self.target.get(&staged.id).await {
            Ok(other) if other.status == Status::Queued && !other.is_importing() => {
                return self.stage(&other, goal).await.map(Made::Found);
            }
            Ok(other) => return Err(CopyError::busy(other.status)),
            Err(error) if error.kind == StoreErrorKind::NotFound => {}
            Err(error) => return Err(CopyError::Target(error)),
        }
        match self.policy.on_burned_id {
            OnBurnedId::Fail => Err(CopyError::Burned(taken)),
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

    /// Asks for a record, again where the answer may have been lost.
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

    /// From where the data of `image` comes, if the target takes it as what `record` says it is.
    async fn supply(
        &self,
        image: &Image,
        record: &Image,
        share: &mut Share,
        journey: &mut Journey,
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

    /// The data of `image`, which has just begun to come, if the target takes it as what `record`
    /// says it is. The target has what is `begun` of it.
    async fn open(
        &self,
        image: &Image,
        record: &Image,
        share: &mut Share,
    ) -> Result<Opened, CopyError> {
        let opened = share.open(self.begun(record).await?).await?;
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
        // Data that breaks off is not mislabelled: the checked body says what it is.
        let broke_off = (head.len() as u64) < size.min(content_format::HEAD as u64);
        if broke_off && !content_format::is_enough(head) {
            return Ok(());
        }
        content_format::check(disk, container, head, size)
            .map_err(|fault| CopyError::Unfit { target_store: self.target.to_string(), fault })
    }

    /// Gives a queued record its data, proves it, and publishes it.
    async fn fill(
        &self,
        image: &Image,
        record: &Image,
        goal: &Goal,
        supply: Supply,
        share: &mut Share,
        journey: &mut Journey,
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
        journey.way = Some(Way::Streamed);
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

    /// Brings the record of an image whose data is in place up to date. What records do not prove
    /// is proven by reading before more people see it.
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

    /// Publishes what is proven, and has it in all stores where it should be.
    pub(super) async fn finish(
        &self,
        image: &Image,
        replica: &Image,
        goal: &Goal,
    ) -> Result<(), CopyError> {
        // Glance copies active images only.
        if image.status == Status::Deactivated {
            let spread = self.spread(replica).await;
            self.publish(image, replica, goal).await?;
            return spread;
        }
        self.publish(image, replica, goal).await?;
        self.spread(replica).await
    }

    /// Makes activation, attributes and members those that are wanted, in the order that shows
    /// nobody more than they may see. Protection comes last: what is protected is done.
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

    /// What a new record says until its data is proven.
    fn staged(&self, image: &Image, goal: &Goal) -> Attributes {
        let wanted = &goal.wanted.attributes;
        let mut staged = hidden_from_users(wanted);
        // Shared with nobody, it is as hidden as if it were private, and needs no change afterwards.
        // Where records prove nothing, it is private, so that a later run sees that a proof is due.
        if wanted.visibility == Visibility::Shared && self.policy.habits.prove(&self.target, image)
        {
            staged.visibility = Visibility::Shared;
        }
        if let Some(source) = &self.policy.stamp {
            provenance::mark(&mut staged, source);
        }
        staged
    }

    /// Takes a replica with other data out of everybody's sight. Nobody saw it before.
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
        CopyError::Stored { target_store: self.target.to_string(), difference, quarantine }
    }
}

/// Whether more people could use the replica once it is as wanted.
fn shows_more(image: &Image, wanted: &Attributes, replica: &Image) -> bool {
    let private = Visibility::Private;
    let reactivated = image.status == Status::Active && replica.status != Status::Active;
    reactivated || (replica.attributes.visibility == private && wanted.visibility != private)
}

/// From where the data of an image comes.
enum Supply {
    /// Through here.
    Stream(Opened),
    /// The target gets it.
    Import(Import),
}

/// What became of an attempt to make a record.
enum Made {
    New(Image),
    /// It was there, without data.
    Found(Image),
    /// The id can't be had, and the image is to be left out then.
    Burned,
}

/// `wanted` as long as the data is not proven. Signature properties would make Glance verify the
/// upload against its own key manager; they are set afterwards.
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

/// How the stored data differs from what was sent, by the target's own account.
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

/// Whether a digest of the target's agrees with the source's, or with the one computed on the way.
fn is_proven(image: &Image, stored: &Image, verdict: &DataVerdict) -> bool {
    is_provable(image, stored) || computed(stored, verdict).is_some()
}

/// The digest computed on the way, in the target's own algorithm.
fn computed(stored: &Image, verdict: &DataVerdict) -> Option<(String, String)> {
    let algorithm = stored.os_hash_algo.clone()?;
    let digests = verdict.digests()?;
    let digest = digests.get(&algorithm.parse().ok()?)?;
    Some((algorithm, digest.clone()))
}

const BURNED: &str =
    "its id is used up at the target: Glance never frees the id of a deleted image";
