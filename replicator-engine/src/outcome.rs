//! The result for one image.

use std::fmt;
use std::time::SystemTime;

use glance_core::digest::Digests;
use glance_core::image::{Image, ImageId};
use glance_core::verified_body::Expected;

use crate::error::CopyError;
use crate::known_digests::CachedDigests;
use crate::loss::Loss;

/// The result for one image.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The image as the source describes it; for a removed image, as the target described it.
    pub image: Image,
    /// What was done, or why the image failed.
    pub result: Result<Done, CopyError>,
    /// How the data reached the target, and what proves it.
    pub journey: DataPath,
    /// Parts of the image that could not be translated and therefore differ at the target.
    pub losses: Vec<Loss>,
    /// Whether the members of this shared image were not looked at
    /// ([`Policy::members`](crate::Policy::members)).
    pub members_skipped: bool,
    /// When the work on the image began, the first time.
    pub started: SystemTime,
    /// When the result was final.
    pub ended: SystemTime,
}

/// What was done successfully with one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// The data was copied into a new record and proven.
    Copied,
    /// Like `Copied`, but the replica has this id instead of the source image's id.
    CopiedAs(ImageId),
    /// The data was copied into an existing record without data, for example one that an earlier
    /// run left, and proven.
    Completed,
    /// The record was updated in the listed fields; the data was already in place.
    Updated(Vec<String>),
    /// The replica was already up to date.
    InPlace,
    /// The target's image was removed because the source no longer holds it.
    Removed(Removal),
    /// Nothing was done; the text is the reason.
    Skipped(String),
}

/// How an image is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// The image is hidden from default listings.
    Hide,
    /// The image is deactivated: only administrators can still use it.
    Deactivate,
    /// The image is deleted; Glance never frees its id.
    Delete,
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hide => "hidden",
            Self::Deactivate => "deactivated",
            Self::Delete => "deleted",
        })
    }
}

/// How the data of an image reached the target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DataPath {
    /// How the data was transferred; `None` if it was not.
    pub way: Option<TransferMethod>,
    /// What proves the data; `None` if it was not copied.
    pub proven: Option<Proven>,
    /// Number of bytes that the target stored, if its record says.
    pub bytes: Option<u64>,
    /// The target's record, as far as the target has one: after the transfer, or else as found.
    pub replica: Option<Box<Image>>,
    /// The digests that were computed while the source was read. Empty if its data was not read
    /// completely.
    pub in_transit: Digests,
    /// Notes for the operator, one sentence each, without a full stop.
    pub notes: Vec<String>,
}

/// A path of data to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferMethod {
    /// Streamed through this process.
    Streamed,
    /// Imported by the target itself.
    Imported,
}

impl DataPath {
    /// Records what proves the data, and the stored size.
    pub(crate) fn prove(&mut self, proven: Proven, stored: &Image) {
        (self.proven, self.bytes) = (Some(proven), stored.size);
    }

    /// Records the target's record.
    pub(crate) fn note_replica(&mut self, replica: &Image) {
        self.replica = Some(Box::new(replica.clone()));
    }
}

/// What proves that the target holds the source's data.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proven {
    /// A digest of this algorithm in the source's record.
    Digest(String),
    /// A digest of this algorithm, computed by an earlier read of the source. The source's record
    /// has none.
    Remembered(String),
    /// Only the size in the source's record, which has no digest. The target holds the data that
    /// was read.
    Size,
    /// Nothing in the source's record. The target holds the data that was read.
    Transfer,
    /// There is no data; only the record was copied.
    Record,
}

impl Proven {
    /// Proof by a digest of `image`. The digest may be a remembered one if the record has none.
    pub(crate) fn by_digest(algorithm: &str, image: &Image, known: &CachedDigests) -> Self {
        match known.knows(image, algorithm) {
            true => Self::Remembered(algorithm.to_owned()),
            false => Self::Digest(algorithm.to_owned()),
        }
    }

    /// Proof for data that was streamed completely and verified in transit against the record of
    /// `image`.
    pub fn on_the_way(image: &Image) -> Self {
        match (Expected::of(image).digest, image.size) {
            (Some((algorithm, _)), _) => Self::Digest(algorithm.to_string()),
            (None, Some(_)) => Self::Size,
            (None, None) => Self::Transfer,
        }
    }
}

impl Outcome {
    /// The result for an image, without details of a data transfer and without losses.
    pub fn of(image: Image, result: Result<Done, CopyError>) -> Self {
        let now = SystemTime::now();
        Self {
            image,
            result,
            journey: DataPath::default(),
            losses: Vec::new(),
            members_skipped: false,
            started: now,
            ended: now,
        }
    }

    /// The same outcome of work that began at this time.
    #[must_use]
    pub(crate) fn since(self, started: SystemTime) -> Self {
        Self { started, ..self }
    }

    /// The outcome of a repeated attempt after an earlier one.
    #[must_use]
    pub(crate) fn after(self, earlier: &Self) -> Self {
        self.since(earlier.started)
    }

    /// Adds the losses of an image that is at the target. Skipped and failed images keep none.
    #[must_use]
    pub fn with_losses(self, losses: Vec<Loss>) -> Self {
        match self.result {
            Ok(Done::Skipped(_)) | Err(_) => self,
            Ok(_) => Self { losses, ..self },
        }
    }
}
