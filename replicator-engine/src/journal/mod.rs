//! The journal: a file that records what a run does, so that it is known after the process is gone.
//!
//! Before a record is made or data is sent, a line about it is written and synced to disk
//! (`fsync`). So a later run recognizes the records of a run that was killed. Completed steps are
//! written afterwards. The journal only tells where to look; the state itself is always read from
//! the stores.
//!
//! Runs between the same stores at the same time have a journal each (`slot`), and `claims` keeps
//! them from working on the same image.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use glance_core::clock::now;
use glance_core::image::{Image, ImageId};
use safe_files::file_lock::LockError;

mod claims;
mod entries;
mod file;
mod slot;

pub use claims::Claim;
pub use entries::{JournalContents, Run};
pub use file::{JournalFile, PairClaim};

/// The journal of one run, or none by default. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Journal(Option<(JournalFile, String)>);

/// How far a run got with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// A record is about to be made.
    Creating,
    /// The record was made.
    Created,
    /// Data is about to be sent.
    Uploading,
    /// The data is stored. It is not visible to users yet.
    Stored,
    /// The target stored different data than was sent. The replica is hidden from users.
    Quarantined,
    /// The run gave up on the image.
    Failed,
    /// The image is complete.
    Done,
    /// The target holds nothing of the image that this tool made.
    Dropped,
    /// A phase written by a later release.
    #[serde(other)]
    Unknown,
}

impl Phase {
    /// The word used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Uploading => "uploading",
            Self::Stored => "stored",
            Self::Quarantined => "quarantined",
            Self::Failed => "failed",
            Self::Done => "done",
            Self::Dropped => "dropped",
            Self::Unknown => "unknown",
        }
    }
}

/// An image that a run started and did not complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JournalEntry {
    /// The name of the run.
    pub run: String,
    /// Time of the last journal line about the image.
    pub at: String,
    /// The image's id at the source.
    #[serde(with = "id")]
    pub image: ImageId,
    /// The id of the record at the target.
    #[serde(with = "id")]
    pub target: ImageId,
    /// The image's name at the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How far the run got.
    pub phase: Phase,
    /// The record's time of creation, as reported by the target; `None` until it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Number of bytes that the target stored, as reported by the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The algorithm of `os_hash_value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_hash_algo: Option<String>,
    /// The target's digest of the stored bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_hash_value: Option<String>,
    /// Why the run gave up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The server's id of the failed request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// Why a journal can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Another run uses the journal, or its lock file can't be made.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The journal file can't be read or written.
    #[error("cannot {operation} the journal {}", path.display())]
    File {
        /// The operation that failed.
        operation: &'static str,
        /// The journal's path.
        path: PathBuf,
        /// Why it failed.
        #[source]
        error: io::Error,
    },
    /// A later release wrote the journal.
    #[error("the journal {} was written by a later release", path.display())]
    Later {
        /// The journal's path.
        path: PathBuf,
    },
}

impl JournalError {
    /// The I/O error, if there is one.
    pub fn file_error(&self) -> Option<&io::Error> {
        match self {
            Self::File { error, .. } | Self::Lock(LockError::File { error, .. }) => Some(error),
            Self::Lock(_) | Self::Later { .. } => None,
        }
    }

    /// What the operator can do if an image was not started because of this error.
    pub(crate) fn remedy(&self) -> &'static str {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match self.file_error().map(io::Error::kind) {
            Some(StorageFull | QuotaExceeded | FileTooLarge) => {
                "free space for the journal, then run the command again"
            }
            _ => "make the state directory writable, or choose another one with --state-dir",
        }
    }
}

impl Journal {
    /// Whether the run claims an image before it works on the image.
    pub(crate) fn claims_images(&self) -> bool {
        self.0.as_ref().is_some_and(|(file, _)| file.claims().are_needed())
    }

    /// Claims an image for this run, without waiting. Without a journal there are no claims.
    ///
    /// # Errors
    /// When another run has the image in work, or the lock file can't be made.
    pub(crate) async fn claim(&self, image: &ImageId) -> Result<Claim, LockError> {
        match &self.0 {
            Some((file, _)) => file.claims().take(image).await,
            None => Ok(Claim::default()),
        }
    }

    /// Records the next step for the record `record` of `image`, and syncs the line to disk. If
    /// this fails, the step must not be carried out.
    pub(crate) async fn announce(
        &self,
        phase: Phase,
        image: &Image,
        record: &Image,
    ) -> Result<(), JournalError> {
        let Some((file, run)) = &self.0 else { return Ok(()) };
        file.announce(leftover(run, phase, image, record)).await
    }

    /// Records a completed step. A failed write does not interrupt the image; it is reported at the
    /// end of the run.
    pub(crate) async fn note(&self, phase: Phase, image: &Image, record: &Image) {
        let Some((file, run)) = &self.0 else { return };
        file.note(leftover(run, phase, image, record)).await;
    }

    /// Records that the work on an image ended, if a step for it was announced: with `phase`, and
    /// for a failure with its text and the server's id of the failed request.
    pub(crate) async fn close(
        &self,
        image: &Image,
        phase: Phase,
        why: Option<String>,
        request_id: Option<String>,
    ) {
        let Some((file, run)) = &self.0 else { return };
        let Some(left) = file.leftover(&image.id) else { return };
        // The quarantine describes the state at the target.
        if phase == Phase::Failed && left.phase == Phase::Quarantined {
            return;
        }
        let run = run.clone();
        file.note(JournalEntry { run, at: now(), phase, why, request_id, ..left }).await;
    }
}

fn leftover(run: &str, phase: Phase, image: &Image, record: &Image) -> JournalEntry {
    let is_there = phase != Phase::Creating;
    let is_stored = record.status.has_data() && is_there;
    JournalEntry {
        run: run.to_owned(),
        at: now(),
        image: image.id.clone(),
        target: record.id.clone(),
        name: image.attributes.name.clone(),
        phase,
        created_at: record.created_at.clone().filter(|_| is_there),
        size: record.size.filter(|_| is_stored),
        os_hash_algo: record.os_hash_algo.clone().filter(|_| is_stored),
        os_hash_value: record.os_hash_value.clone().filter(|_| is_stored),
        why: None,
        request_id: None,
    }
}

/// Serializes an id as text.
mod id {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    use glance_core::image::ImageId;

    pub(crate) fn serialize<S: Serializer>(id: &ImageId, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(id.as_str())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ImageId, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
