//! What a run was about, in a file, so that it can be told after its process is gone.
//!
//! Before anything is made or sent, a line says so and is on the disk (`fsync`): a record that a killed
//! run made is known as its own. What was done is written behind it. Nobody ever believes the file
//! alone: it says where to look, and what is there, the stores say.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use glance_core::file_lock::LockError;
use glance_core::image::{Image, ImageId};

use crate::{CopyError, Done, Level, Replication, Why};

mod entries;
mod file;

pub use entries::{Recorded, Run};
pub use file::JournalFile;

/// Where a run writes down what it is about to do: by default, nowhere. Cloning it shares it.
#[derive(Debug, Clone, Default)]
pub struct Journal(Option<(JournalFile, String)>);

/// How far a run came with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// A record is about to be made.
    Creating,
    /// The record is there.
    Created,
    /// Its data is about to come.
    Uploading,
    /// The data is there. Nobody sees it yet.
    Stored,
    /// The data is another than was sent, and out of everybody's sight.
    Quarantined,
    /// The run gave up.
    Failed,
    /// All is in place.
    Done,
    /// There is nothing of the image at the target that is ours.
    Dropped,
    /// A later release knows.
    #[serde(other)]
    Unknown,
}

impl Phase {
    /// The word of reports.
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

/// An image that a run began and did not bring to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Leftover {
    /// The run.
    pub run: String,
    /// When it was last written about.
    pub at: String,
    /// The image's id at the source.
    #[serde(with = "id")]
    pub image: ImageId,
    /// That of the record at the target.
    #[serde(with = "id")]
    pub target: ImageId,
    /// Its name at the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How far the run came.
    pub phase: Phase,
    /// When the record was made, by the target's account; absent as long as it did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Bytes that the target stored, by its account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The algorithm of the target's digest of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_hash_algo: Option<String>,
    /// That digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_hash_value: Option<String>,
    /// Why the run gave up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The server's id of the request that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Another run has it, or the file of its lock can't be made.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It can't be read or written.
    #[error("cannot {operation} the journal {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// Its file.
        path: PathBuf,
        /// Why not.
        #[source]
        error: io::Error,
    },
    /// A later release wrote it.
    #[error("the journal {} is one of a later release", path.display())]
    Later {
        /// Its file.
        path: PathBuf,
    },
}

impl JournalError {
    /// What the filesystem said, if it is to blame.
    pub fn file_error(&self) -> Option<&io::Error> {
        match self {
            Self::File { error, .. } | Self::Lock(LockError::File { error, .. }) => Some(error),
            Self::Lock(_) | Self::Later { .. } => None,
        }
    }
}

impl Journal {
    /// Writes down what is about to happen to the record `record` of the target for `image`. It
    /// must not happen when this fails.
    async fn announce(
        &self,
        phase: Phase,
        image: &Image,
        record: &Image,
    ) -> Result<(), JournalError> {
        let Some((file, run)) = &self.0 else { return Ok(()) };
        file.announce(leftover(run, phase, image, record)).await
    }

    /// Writes down what has happened. That it can't be written is said at the end of the run: what
    /// was begun is brought to its end all the same.
    pub(crate) async fn note(&self, phase: Phase, image: &Image, record: &Image) {
        let Some((file, run)) = &self.0 else { return };
        file.note(leftover(run, phase, image, record)).await;
    }

    /// Writes down what became of an image, if something was announced of it.
    pub(crate) async fn close(&self, image: &Image, result: &Result<Done, CopyError>) {
        let Some((file, run)) = &self.0 else { return };
        let Some(left) = file.leftover(&image.id) else { return };
        let phase = match result {
            Ok(Done::Skipped(_)) | Err(CopyError::Burned(_)) => Phase::Dropped,
            Ok(_) => Phase::Done,
            // What was said last is what there is.
            Err(CopyError::BrokenOff) => return,
            Err(_) if left.phase == Phase::Quarantined => return,
            Err(_) => Phase::Failed,
        };
        let error = result.as_ref().err();
        let why = error.map(because);
        let request_id = error.and_then(request_id).map(str::to_owned);
        let run = run.clone();
        file.note(Leftover { run, at: entries::now(), phase, why, request_id, ..left }).await;
    }
}

impl Replication {
    /// Writes down what is about to happen to a record of the target. Where that can't be, no image
    /// is begun any more.
    pub(crate) async fn announce(
        &self,
        phase: Phase,
        image: &Image,
        record: &Image,
    ) -> Result<(), CopyError> {
        self.policy.journal.announce(phase, image, record).await.map_err(|error| {
            self.policy.stop.stop(Level::NoNew, Why::Unwritten);
            CopyError::Journal(error)
        })
    }
}

fn leftover(run: &str, phase: Phase, image: &Image, record: &Image) -> Leftover {
    let is_there = phase != Phase::Creating;
    let is_stored = record.status.has_data() && is_there;
    Leftover {
        run: run.to_owned(),
        at: entries::now(),
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

fn because(error: &CopyError) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn request_id(error: &CopyError) -> Option<&str> {
    match error {
        CopyError::Source(error)
        | CopyError::Target(error)
        | CopyError::NotInStores { error, .. } => error,
        _ => return None,
    }
    .request_id
    .as_deref()
}

/// An id as its text.
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
