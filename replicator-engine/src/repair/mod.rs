//! Repair: finds what killed runs left at the target, and tells what can be done about it.
//!
//! The journal tells where to look; if it was lost, the provenance properties of replicas made by
//! `sync` do. The state itself is read from the stores. Nothing is ever deleted, because Glance
//! does not free the id of a deleted image.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use glance_core::image::provenance::SOURCE;
use glance_core::image::{Image, ImageId, Status, Visibility};
use glance_core::selection::{Condition, Selection};
use glance_core::store::{ImageStore, ImageStoreExt, StoreError};

use crate::comparison::content_difference;
use crate::journal::{JournalContents, JournalEntry, JournalFile, Phase};
use crate::provenance;

mod leftover_state;
#[cfg(test)]
mod tests;

pub use leftover_state::{KnownBy, LeftoverState};

/// An unfinished record at the target.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Leftover {
    /// The image's id at the source.
    pub image: ImageId,
    /// The id of the record at the target.
    pub target: ImageId,
    /// The image's name.
    pub name: Option<String>,
    /// How this tool recognized the record as its own.
    pub known_by: KnownBy,
    /// The journal's last line about the image.
    pub left: Option<JournalEntry>,
    /// The status of the record, if it exists.
    pub status: Option<Status>,
    /// Time of the target's last change, by the target's clock.
    pub updated_at: Option<String>,
    /// The state of the leftover.
    pub standing: LeftoverState,
}

/// Settings of a search for leftovers.
#[derive(Debug, Clone, Copy)]
pub struct LeftoverScan<'a> {
    /// The store that images were copied from.
    pub source: &'a dyn ImageStore,
    /// The store that images were copied to.
    pub target: &'a dyn ImageStore,
    /// The state of the journal.
    pub recorded: &'a JournalContents,
    /// The source as replicas are marked with it.
    pub stamp: &'a provenance::Source,
    /// How long to wait for the target to end an upload that gets no more data.
    pub patience: Duration,
}

impl LeftoverScan<'_> {
    /// Finds all leftovers, ordered by the images' ids at the source. Changes nothing.
    ///
    /// # Errors
    /// When a store does not answer.
    pub async fn run(&self) -> Result<Vec<Leftover>, StoreError> {
        let left: Vec<JournalEntry> = self.recorded.leftovers.values().cloned().collect();
        let known = stream::iter(left).map(|left| self.look(left)).buffered(LOOKUPS);
        let mut findings: Vec<Leftover> = known.try_collect().await?;
        findings.extend(self.unknown_to_the_journal().await?);
        findings.sort_by(|one, other| one.image.cmp(&other.image));
        Ok(findings)
    }

    /// Finds out the state of a leftover in the journal.
    async fn look(&self, left: JournalEntry) -> Result<Leftover, StoreError> {
        let (record, standing) = match self.settled(&left.target).await {
            Err(error) => unreadable(error)?,
            Ok(None) => (None, LeftoverState::Gone),
            Ok(Some(record)) if is_another(&left, &record) => {
                (Some(record), LeftoverState::Foreign)
            }
            Ok(Some(record)) => {
                let standing = self.judge(&left.image, &record).await?;
                (Some(record), standing)
            }
        };
        let (image, target) = (left.image.clone(), left.target.clone());
        let finding = Leftover::of(image, target, record, KnownBy::Journal, standing);
        Ok(Leftover { name: left.name.clone(), left: Some(left), ..finding })
    }

    /// The record, once the target has ended an upload that gets no more data, or the patience is
    /// used up.
    async fn settled(&self, id: &ImageId) -> Result<Option<Image>, StoreError> {
        let mut waited = Duration::ZERO;
        let mut pause = FIRST_PAUSE;
        loop {
            let record = self.target.find(id).await?;
            let moves = record.as_ref().is_some_and(|record| record.status == Status::Saving);
            if !moves || waited >= self.patience {
                return Ok(record);
            }
            tokio::time::sleep(pause).await;
            waited += pause;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }

    async fn judge(&self, image: &ImageId, record: &Image) -> Result<LeftoverState, StoreError> {
        match record.status {
            Status::Saving => return Ok(LeftoverState::Saving),
            Status::Killed => return Ok(LeftoverState::Killed),
            Status::Deleted | Status::PendingDelete => return Ok(LeftoverState::Gone),
            _ if record.is_importing() && !record.status.has_data() => {
                return Ok(LeftoverState::Importing);
            }
            _ => {}
        }
        Ok(match self.source.find(image).await {
            Err(error) => unreadable(error)?.1,
            Ok(None) => LeftoverState::SourceGone,
            Ok(Some(image)) if record.status.has_data() => {
                match content_difference(&image, record) {
                    Some(difference) => LeftoverState::Content(difference),
                    None => LeftoverState::Mendable,
                }
            }
            Ok(Some(image)) if image.status.has_data() || image.status == Status::Queued => {
                LeftoverState::Mendable
            }
            Ok(Some(image)) => LeftoverState::SourceEmpty(image.status),
        })
    }

    /// Whether the source, too, has only a record of this image. A run with `--queued` copies it.
    async fn is_record(&self, image: &ImageId) -> Result<bool, StoreError> {
        let found = self.source.find(image).await?;
        Ok(found.is_some_and(|image| image.status == Status::Queued))
    }

    /// Unfinished records that the journal does not contain. Records without this source's stamp
    /// are included only if the source holds an image with the same id.
    async fn unknown_to_the_journal(&self) -> Result<Vec<Leftover>, StoreError> {
        let known: BTreeSet<&ImageId> =
            self.recorded.leftovers.values().map(|left| &left.target).collect();
        let unfinished = UNFINISHED.map(Condition::Status);
        let unfinished = self.target.list(&Selection::new(unfinished, [], [])).await?;
        let (mut ours, mut findings) = (Vec::new(), Vec::new());
        let mut others = BTreeMap::new();
        let mut records = unfinished.chain(self.out_of_sight().await?);
        while let Some(record) = records.next().await {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    findings.extend(self.stamped_unreadable(unreadable(error)?, &known));
                    continue;
                }
            };
            match provenance::source(&record.attributes).is_some_and(|source| self.stamp.is(source))
            {
                _ if known.contains(&record.id) => {}
                true => ours.push(record),
                false => drop(others.insert(record.id.clone(), record)),
            }
            if others.len() == MOST_OTHERS {
                findings.extend(self.not_ours(std::mem::take(&mut others)).await?);
            }
        }
        for record in ours {
            findings.extend(self.stamped(record).await?);
        }
        findings.extend(self.not_ours(others).await?);
        Ok(findings)
    }

    /// A finding for an unreadable record with this source's stamp that the journal does not
    /// contain.
    fn stamped_unreadable(
        &self,
        (record, standing): (Option<Image>, LeftoverState),
        known: &BTreeSet<&ImageId>,
    ) -> Option<Leftover> {
        let record = record.filter(|record| !known.contains(&record.id))?;
        let source = provenance::source(&record.attributes)?;
        let (image, id) = (provenance::source_id(&record), record.id.clone());
        let found = || Leftover::of(image, id, Some(record.clone()), KnownBy::Stamp, standing);
        self.stamp.is(source).then(found)
    }

    /// Lists records that a run may have quarantined: private and deactivated, with this source's
    /// stamp.
    async fn out_of_sight(&self) -> Result<glance_core::store::ImageStream<'_>, StoreError> {
        let stamped = self.stamp.values().map(|value| Condition::Property {
            key: SOURCE.to_owned(),
            value: Some(value.to_owned()),
        });
        let hidden =
            [Condition::Status(Status::Deactivated), Condition::Visibility(Visibility::Private)];
        let conditions = stamped.into_iter().chain(hidden);
        self.target.list(&Selection::new(conditions, [], [])).await
    }

    async fn stamped(&self, record: Image) -> Result<Option<Leftover>, StoreError> {
        let image = provenance::source_id(&record);
        let Some(now) = self.settled(&record.id).await? else { return Ok(None) };
        let standing = self.judge(&image, &now).await?;
        // A deactivated, private image with the right data is probably the same at the source.
        if record.status.has_data() && !matches!(standing, LeftoverState::Content(_)) {
            return Ok(None);
        }
        // The replica of a record without data is complete.
        if standing == LeftoverState::Mendable && self.is_record(&image).await? {
            return Ok(None);
        }
        Ok(Some(Leftover::of(image, record.id, Some(now), KnownBy::Stamp, standing)))
    }

    async fn not_ours(
        &self,
        mut records: BTreeMap<ImageId, Image>,
    ) -> Result<Vec<Leftover>, StoreError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let ids = records.keys().cloned().collect();
        let mut images = self.source.list(&Selection::of_ids(ids)).await?;
        let mut findings = Vec::new();
        while let Some(item) = images.next().await {
            let image = match item {
                Ok(image) => image,
                // The next run reports the error.
                Err(error) if error.record.is_some() => continue,
                Err(error) => return Err(error),
            };
            let record = records.remove(&image.id);
            if image.status.has_data() {
                let (id, standing) = (image.id, LeftoverState::NotOurs);
                findings.push(Leftover::of(id.clone(), id, record, KnownBy::Nothing, standing));
            }
        }
        Ok(findings)
    }
}

impl Leftover {
    fn of(
        image: ImageId,
        target: ImageId,
        record: Option<Image>,
        known_by: KnownBy,
        standing: LeftoverState,
    ) -> Self {
        let status = record.as_ref().map(|record| record.status);
        let (name, updated_at) = match record {
            Some(record) => (record.attributes.name, record.updated_at),
            None => (None, None),
        };
        Self { image, target, name, known_by, left: None, status, updated_at, standing }
    }

    /// Whether the journal or a stamp shows that this tool made the record.
    pub fn is_ours(&self) -> bool {
        self.known_by != KnownBy::Nothing
    }

    /// Removes the leftover from the journal if the target holds nothing of it.
    pub async fn close(&self, journal: &JournalFile) {
        let is_nothing = matches!(self.standing, LeftoverState::Gone | LeftoverState::Foreign);
        let of_this = |left: &JournalEntry| journal.leftover(&left.image).as_ref() == Some(left);
        if let Some(left) = self.left.clone().filter(|left| is_nothing && of_this(left)) {
            journal.note(JournalEntry { phase: Phase::Dropped, ..left }).await;
        }
    }
}

/// Whether the id now belongs to a different record than the one that the run made.
fn is_another(left: &JournalEntry, record: &Image) -> bool {
    left.created_at.is_some() && record.created_at.is_some() && left.created_at != record.created_at
}

/// The readable part of a record, and that it is unreadable.
///
/// # Errors
/// When the error is not about the record.
fn unreadable(mut error: StoreError) -> Result<(Option<Image>, LeftoverState), StoreError> {
    match error.record.take() {
        Some(read) => Ok((Some(*read), LeftoverState::Unreadable(error.to_string()))),
        None => Err(error),
    }
}

/// The statuses of records without data.
const UNFINISHED: [Status; 5] =
    [Status::Queued, Status::Saving, Status::Uploading, Status::Importing, Status::Killed];

/// Number of records that are looked up concurrently.
const LOOKUPS: usize = 4;

/// Number of records without a stamp that are held in memory before their ids are looked up at the
/// source.
const MOST_OTHERS: usize = 10_000;

/// The pause before the first repeated look-up of a record.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
