//! Copies one image to the target.
//!
//! `record` makes the record at the target, `upload` sends the data through this process, and
//! `delivery` lets the target import the data itself. `content` checks whether the target accepts
//! the data, and `publish` shows a proven image to its users.

use std::time::SystemTime;

use glance_core::digest::Digests;
use glance_core::image::{Image, ImageId};
use glance_core::store::{ImageStoreExt, Import};
use glance_core::verified_body::DataVerdict;

use crate::comparison::{Difference, content_difference, is_provable};
use crate::error::CopyError;
use crate::events::{Meter, Phase as Work};
use crate::journal::Phase;
use crate::mapping::Class;
use crate::outcome::{DataPath, Done, Outcome, Proven, TransferMethod};
use crate::planning::{Entry, Goal, Step};
use crate::replication::Replication;
use crate::streaming::fan_out::{Opened, Subscription};

mod content;
mod delivery;
mod journaling;
mod publish;
mod record;
mod upload;

use record::Made;

/// The copy of one image to one target.
struct ImageCopy<'a> {
    replication: &'a Replication,
    image: &'a Image,
    goal: Goal,
    /// This target's share in one read of the source.
    share: Subscription,
    meter: Meter,
    /// How the data reached the target so far.
    journey: &'a mut DataPath,
}

/// Where the data of an image comes from.
enum Supply {
    /// Data streamed through this process.
    Stream(Opened),
    /// Data that the target imports on its own.
    Import(Import),
}

impl Replication {
    /// Executes the entry's step.
    pub(crate) async fn execute(&self, entry: Entry, share: Subscription, meter: Meter) -> Outcome {
        let started = SystemTime::now();
        // The claim on the image lasts until the result is in the journal.
        let Entry { image, replica, differences, reason, notes, losses, members_skipped, .. } =
            entry;
        let (step, _claim) = (entry.step, entry.claim);
        let mut journey =
            DataPath { replica: replica.clone().map(Box::new), ..DataPath::default() };
        let copy = |goal| ImageCopy {
            replication: self,
            image: &image,
            goal,
            share,
            meter,
            journey: &mut journey,
        };
        let result = match (step, &replica) {
            (Step::Copy(goal), _) => copy(goal).copy().await,
            (Step::Record(goal), _) => copy(goal).record().await,
            (Step::Complete(goal), Some(record)) => copy(goal).complete(record).await,
            (Step::Reconcile(goal), Some(replica)) if !differences.is_empty() => {
                let reconciled = copy(goal).reconcile(replica, &differences).await;
                let fields = differences.into_iter().map(|found| found.field).collect();
                reconciled.map(|()| Done::Updated(fields))
            }
            (Step::Reconcile(_), _) => Ok(Done::InPlace),
            (Step::Fail(error), _) => Err(error),
            _ => Ok(Done::Skipped(reason.unwrap_or_default())),
        };
        if matches!(result, Ok(Done::Copied | Done::CopiedAs(_) | Done::Completed)) {
            let missing = self.missing_references(journey.replica.as_deref()).await;
            journey.notes.extend(notes.into_iter().chain(missing));
        }
        self.close(&image, &result).await;
        let outcome = Outcome { journey, members_skipped, ..Outcome::of(image, result) };
        outcome.with_losses(losses).since(started)
    }

    /// A note for each image that the replica refers to, such as its kernel, and that the target
    /// does not have.
    async fn missing_references(&self, replica: Option<&Image>) -> Vec<String> {
        let mut notes = Vec::new();
        let properties = replica.into_iter().flat_map(|replica| &replica.attributes.properties);
        for (name, value) in properties.filter(|(name, _)| Class::of(name) == Class::Image) {
            let Ok(id) = value.parse() else { continue };
            match self.target.find(&id).await {
                Ok(Some(_)) => {}
                Ok(None) => notes.push(format!(
                    "{name} {id}: the target has no image with this id; copy that image, too"
                )),
                Err(error) => tracing::debug!("cannot look up {name} {id}: {error}"),
            }
        }
        notes
    }

    /// Runs `work`, which may take long and can be cancelled safely, unless the run is told to
    /// break off first.
    async fn unless_broken_off<T>(
        &self,
        work: impl Future<Output = Result<T, CopyError>>,
    ) -> Result<T, CopyError> {
        let done = self.policy.stop.unless_broken_off(work).await;
        done.unwrap_or(Err(CopyError::BrokenOff))
    }
}

impl ImageCopy<'_> {
    /// Makes a record and copies the data. The record stays hidden and unprotected until its data
    /// is proven, so users never see an incomplete image.
    async fn copy(&mut self) -> Result<Done, CopyError> {
        let staged = Image { attributes: self.staged(), ..self.image.clone() };
        let supply = self.supply(&staged).await?;
        let record = match self.make_record(staged).await? {
            Made::New(record) => {
                self.goal = self.goal.of_new();
                record
            }
            Made::Found(record) => record,
            Made::Burned => return Ok(Done::Skipped(record::BURNED.to_owned())),
        };
        self.fill(&record, supply).await?;
        Ok(self.copied(&record.id))
    }

    /// Makes a record without data for an image that has none at the source.
    async fn record(&mut self) -> Result<Done, CopyError> {
        let staged = Image { attributes: self.staged(), ..self.image.clone() };
        match self.make_record(staged).await? {
            Made::Burned => Ok(Done::Skipped(record::BURNED.to_owned())),
            Made::New(record) | Made::Found(record) => {
                self.journey.note_replica(&record);
                self.journey.proven = Some(Proven::Record);
                self.publish(&record).await?;
                Ok(self.copied(&record.id))
            }
        }
    }

    /// Copies data into an existing record without data, which an earlier run or another client
    /// made. The record is hidden until its data is proven.
    async fn complete(&mut self, record: &Image) -> Result<Done, CopyError> {
        let staged = self.stage(record).await?;
        let supply = self.supply(&staged).await?;
        self.fill(&staged, supply).await.map(|()| Done::Completed)
    }

    /// Decides how the data gets to the target. Fails if the target would reject the data for the
    /// formats in `record`.
    async fn supply(&mut self, record: &Image) -> Result<Supply, CopyError> {
        match self.import_request(record) {
            Ok(Some(import)) => {
                self.share.leave();
                self.check_head(record).await?;
                return Ok(Supply::Import(import));
            }
            Ok(None) => {}
            Err(reason) => self.fall_back(&reason)?,
        }
        self.replication.unless_broken_off(self.open(record)).await.map(Supply::Stream)
    }

    /// Gets the data into a queued record, verifies it, and publishes the image.
    async fn fill(&mut self, record: &Image, supply: Supply) -> Result<(), CopyError> {
        let replication = self.replication;
        self.journey.note_replica(record);
        replication.announce(Phase::Uploading, self.image, record).await?;
        let opened = match supply {
            Supply::Stream(opened) => opened,
            Supply::Import(import) => {
                self.meter.enter(Work::Importing);
                let imported = self.import(record, &import);
                if let Some(stored) = replication.unless_broken_off(imported).await? {
                    return self.accept_import(record, stored).await;
                }
                self.meter.enter(Work::Preparing);
                replication.unless_broken_off(self.open(record)).await?
            }
        };
        self.journey.way = Some(TransferMethod::Streamed);
        let (stored, verdict) = self.transfer(record, opened).await?;
        self.accept_upload(&stored, &verdict).await
    }

    /// Verifies data that was sent through this process, and publishes the image.
    async fn accept_upload(
        &mut self,
        stored: &Image,
        verdict: &DataVerdict,
    ) -> Result<(), CopyError> {
        let (replication, image) = (self.replication, self.image);
        let policy = &replication.policy;
        policy.journal.note(Phase::Stored, image, stored).await;
        self.journey.note_replica(stored);
        self.journey.in_transit = verdict.digests().cloned().unwrap_or_default();
        if let Some(difference) = disagreement(image, stored, verdict) {
            return Err(self.quarantine(stored, difference).await);
        }
        if !is_proven(image, stored, verdict) {
            self.prove_stored(stored).await?;
        }
        let is_checked = verdict.digests().is_some();
        self.journey.prove(replication.proven(image, stored, is_checked), stored);
        self.report_proof(stored, verdict.digests());
        if let Some(digests) = verdict.digests() {
            policy.known_source.keep(image, digests).await;
        }
        self.finish(stored).await
    }

    /// Proves a replica that was just uploaded or imported by reading the source. A replica that
    /// differs is quarantined.
    async fn prove_stored(&mut self, stored: &Image) -> Result<(), CopyError> {
        match self.replication.prove(self.image, stored, &self.meter).await {
            Err(CopyError::ContentDiffers(difference)) => {
                Err(self.quarantine(stored, difference).await)
            }
            proven => {
                self.journey.in_transit = proven?;
                Ok(())
            }
        }
    }

    fn report_proof(&self, stored: &Image, in_transit: Option<&Digests>) {
        if let Some(by) = &self.journey.proven {
            self.meter.verified(by, stored, in_transit);
        }
    }

    fn copied(&self, id: &ImageId) -> Done {
        match self.image.id == *id {
            true => Done::Copied,
            false => Done::CopiedAs(id.clone()),
        }
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
