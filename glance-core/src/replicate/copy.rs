//! One image's way to the target.

use crate::body::Body;
use crate::format;
use crate::image::{Attributes, Image, Status, Visibility};
use crate::store::{Activation, ByteRange, StoreErrorKind};

use super::checked::{Expected, Verdict, checked};
use super::plan::{Difference, content_difference, differences};
use super::{ContentCheck, CopyError, Done, Replication, reduced, take_left_out};

impl Replication {
    /// Makes a record and fills it. The record is private and unprotected until its data is
    /// proven, so that no user ever sees half an image.
    pub(super) async fn copy(&self, image: &Image) -> Result<(), CopyError> {
        let staged = Image { attributes: staged(&self.wanted(image)), ..image.clone() };
        let data = self.open(image, &staged).await?;
        let record = self.target.create(&staged).await.map_err(CopyError::Target)?;
        self.fill(image, &record, data).await
    }

    /// Fills a record that was left without data.
    pub(super) async fn complete(&self, image: &Image, record: &Image) -> Result<(), CopyError> {
        let data = self.open(image, record).await?;
        self.fill(image, record, data).await
    }

    /// The data of `image`, which has just begun to come, if the target takes it as what `record`
    /// says it is.
    async fn open(&self, image: &Image, record: &Image) -> Result<Body, CopyError> {
        let data = self.source.read(&image.id, ByteRange::ALL).await.map_err(CopyError::Source)?;
        let attributes = &record.attributes;
        let (Some(disk), Some(container)) = (&attributes.disk_format, &attributes.container_format)
        else {
            return Ok(data);
        };
        let size = image.size.or(data.size());
        let (ContentCheck::Glance, Some(size)) = (self.policy.content, size) else {
            return Ok(data);
        };
        let (head, data) = data.peek(format::HEAD).await;
        // Data that breaks off is not mislabelled: the checked body says what it is.
        if (head.len() as u64) < size.min(format::HEAD as u64) {
            return Ok(data);
        }
        match format::check(disk, container, &head, size) {
            Ok(()) => Ok(data),
            Err(fault) => Err(CopyError::Unfit { target_store: self.target.to_string(), fault }),
        }
    }

    /// Gives a queued record its data, proves it, and publishes it.
    async fn fill(&self, image: &Image, record: &Image, data: Body) -> Result<(), CopyError> {
        let (stored, verdict) = match self.transfer(image, record, data).await {
            Err(CopyError::Target(error)) if error.kind == StoreErrorKind::Renewed => {
                tracing::info!(image = %image.id, "{error}; sending it again with a new token");
                let again = self.open(image, record).await?;
                self.transfer(image, record, again).await?
            }
            outcome => outcome?,
        };
        if let Some(difference) = disagreement(image, &stored, &verdict) {
            return Err(self.quarantine(&stored, difference).await);
        }
        if !is_proven(image, &stored, &verdict) {
            return Err(CopyError::Unproven);
        }
        self.publish(image, &stored).await.map(drop)
    }

    /// Stores the data, once.
    async fn transfer(
        &self,
        image: &Image,
        record: &Image,
        data: Body,
    ) -> Result<(Image, Verdict), CopyError> {
        let (data, verdict) = checked(data, Expected::of(image), self.policy.hashers);
        let data = match &self.policy.pace {
            Some(pace) => pace.keep(data),
            None => data,
        };
        let uploaded = self.target.upload(&record.id, data).await;
        let stored = uploaded.map_err(|error| self.blame(&verdict, error))?;
        Ok((stored, verdict))
    }

    /// Brings the record of an image whose data is in place up to date.
    pub(super) async fn reconcile(
        &self,
        image: &Image,
        replica: &Image,
    ) -> Result<Done, CopyError> {
        let found = differences(image, replica, &self.policy);
        let mut fields: Vec<String> = found.into_iter().map(|found| found.field).collect();
        if self.publish(image, replica).await? {
            fields.push("members".to_owned());
        }
        match fields.is_empty() {
            true => Ok(Done::InPlace),
            false => Ok(Done::Updated(fields)),
        }
    }

    /// Makes activation, attributes and members those of the source, in the order that shows
    /// nobody more than they may see; says whether members were changed.
    async fn publish(&self, image: &Image, replica: &Image) -> Result<bool, CopyError> {
        let target = &self.target;
        if image.status != replica.status {
            let activation = match image.status {
                Status::Deactivated => Activation::Deactivated,
                _ => Activation::Active,
            };
            target.set_activation(&replica.id, activation).await.map_err(CopyError::Target)?;
        }
        let mut wanted = self.wanted(image);
        // What is left out stays as the target has it.
        take_left_out(&mut wanted, &replica.attributes, &self.policy.without);
        target.update(replica, &wanted).await.map_err(CopyError::Target)?;
        if wanted.visibility != Visibility::Shared
            || image.attributes.visibility != Visibility::Shared
        {
            return Ok(false);
        }
        let mut members = self.source.members(&image.id).await.map_err(CopyError::Source)?;
        let mut present = target.members(&replica.id).await.map_err(CopyError::Target)?;
        members.sort();
        present.sort();
        if members == present {
            return Ok(false);
        }
        target.set_members(&replica.id, &members).await.map_err(CopyError::Target)?;
        Ok(true)
    }

    fn wanted(&self, image: &Image) -> Attributes {
        reduced(&image.attributes, &self.policy.without)
    }

    /// A fault of the data surfaces as a failure of the upload: ask the verdict first.
    fn blame(&self, verdict: &Verdict, error: crate::StoreError) -> CopyError {
        match verdict.fault() {
            Some(fault) => CopyError::Data { source_store: self.source.to_string(), fault },
            None => CopyError::Target(error),
        }
    }

    /// Takes a replica with other data out of everybody's sight. It was private all along.
    async fn quarantine(&self, stored: &Image, difference: Difference) -> CopyError {
        let quarantine = match self.target.set_activation(&stored.id, Activation::Deactivated).await
        {
            Ok(()) => "the replica is quarantined, private and deactivated".to_owned(),
            Err(error) if error.kind == StoreErrorKind::Forbidden => {
                "the replica is private, but these credentials may not deactivate it".to_owned()
            }
            Err(error) => format!("the replica is private, but was not deactivated ({error})"),
        };
        CopyError::Stored { target_store: self.target.to_string(), difference, quarantine }
    }
}

/// What a record says until its data is proven. Signature properties would make Glance verify the
/// upload against its own key manager; they are set afterwards.
fn staged(wanted: &Attributes) -> Attributes {
    let mut staged = wanted.clone();
    staged.visibility = Visibility::Private;
    staged.protected = false;
    staged.os_hidden = false;
    staged.properties.retain(|key, _| !key.starts_with("img_signature"));
    staged
}

/// How the stored data differs from what was sent, by the target's own account.
fn disagreement(image: &Image, stored: &Image, verdict: &Verdict) -> Option<Difference> {
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
fn is_proven(image: &Image, stored: &Image, verdict: &Verdict) -> bool {
    let same_hash = image.os_hash_algo.is_some()
        && image.os_hash_algo == stored.os_hash_algo
        && image.os_hash_value.is_some()
        && image.os_hash_value == stored.os_hash_value;
    let same_checksum = image.checksum.is_some() && image.checksum == stored.checksum;
    let empty = image.size == Some(0) && stored.size == Some(0);
    same_hash || same_checksum || empty || computed(stored, verdict).is_some()
}

/// The digest computed on the way, in the target's own algorithm.
fn computed(stored: &Image, verdict: &Verdict) -> Option<(String, String)> {
    let algorithm = stored.os_hash_algo.clone()?;
    let digests = verdict.digests()?;
    let digest = digests.get(&algorithm.parse().ok()?)?;
    Some((algorithm, digest.clone()))
}
