//! Errors of a run and of one image, with the side at fault.

use glance_core::content_format::{Format, Unfit};
use glance_core::digest::Algorithm;
use glance_core::image::Status;
use glance_core::store::{StoreError, StoreErrorKind};
use glance_core::verified_body::DataFault;
use keystone_auth::{SignInError, SignInErrorKind};

use crate::cancel::CancelReason;
use crate::comparison::Difference;
use crate::journal::JournalError;

/// Why a run ended early or left something undone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A store can't be listed.
    #[error(transparent)]
    Listing(#[from] StoreError),
    /// Pruning was requested, but nothing was removed.
    #[error(transparent)]
    NothingRemoved(#[from] NothingRemoved),
    /// The run was told to stop before its end.
    #[error("{why}{}", undone(*.left, *.unseen))]
    Stopped {
        /// Why the run was stopped.
        why: CancelReason,
        /// Number of images that were not started.
        left: u64,
        /// Whether there may be more, because not all images had been examined.
        unseen: bool,
    },
    /// No more images were started because too many had failed.
    #[error("{failures} images have failed, the most allowed{}", undone(*.left, false))]
    TooManyFailures {
        /// Number of images that failed.
        failures: u64,
        /// Number of images that were not started.
        left: u64,
    },
}

impl RunError {
    /// The known number of images that were not started.
    pub fn left(&self) -> u64 {
        match self {
            Self::Listing(_) | Self::NothingRemoved(_) => 0,
            Self::Stopped { left, .. } | Self::TooManyFailures { left, .. } => *left,
        }
    }

    /// Whether the run ended before every image of the selection was tried.
    pub fn is_early(&self) -> bool {
        match self {
            Self::NothingRemoved(_) => false,
            Self::TooManyFailures { left, .. } => *left > 0,
            Self::Listing(_) | Self::Stopped { .. } => true,
        }
    }
}

/// Why nothing was removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NothingRemoved {
    /// The source holds no images.
    #[error("the source shows no image at all, so none of the {found} at the target was removed")]
    EmptySource {
        /// Number of images that would have been removed.
        found: u64,
    },
    /// An image or a listing failed.
    #[error("not all images are in place, so none of the {found} extra ones was removed")]
    Failures {
        /// Number of images that would have been removed.
        found: u64,
    },
    /// There were more images to remove than allowed.
    #[error("{found} images would be removed, more than the {most} allowed: none was")]
    TooMany {
        /// Number of images that would have been removed.
        found: u64,
        /// The limit.
        most: u64,
    },
}

impl NothingRemoved {
    /// What the operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::EmptySource { .. } => {
                "see whether the source is the right one and its sign-in sees the images; nothing \
                 is ever removed because of an empty source"
            }
            Self::Failures { .. } => "mend what failed, and run again",
            Self::TooMany { .. } => {
                "look at them with `plan`; if all of them may go, allow it by --max-delete"
            }
        }
    }
}

/// Why one image could not be replicated. The variants name the side at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The target cannot hold the image as wanted.
    #[error("{reason}")]
    Blocked {
        /// What is impossible, and why.
        reason: String,
        /// What the operator can do about it.
        hint: Option<String>,
    },
    /// The target refused this image id.
    #[error("the target does not give it its id")]
    IdUnavailable(#[source] StoreError),
    /// Another client's upload to the same record is in progress, or an upload was left unfinished.
    #[error(
        "the target's record is {status}: another upload is under way, or one was left hanging"
    )]
    Busy {
        /// The record's status.
        status: Status,
    },
    /// The target holds different data under the same id.
    #[error(
        "the target holds other data under this id: {} is {} there and {} at the source",
        .0.field, .0.target, .0.source
    )]
    ContentDiffers(Difference),
    /// The source's data was incomplete or wrong. The target's record has no data.
    #[error("the data of {source_store} is not good, and the upload was broken off")]
    Data {
        /// The store that the data came from.
        source_store: String,
        /// What was wrong with the data.
        #[source]
        fault: DataFault,
    },
    /// The run was told to stop, and the upload was aborted.
    #[error("it was broken off, since the run was to end")]
    BrokenOff,
    /// The next step at the target could not be written to the journal, so it was not carried out.
    #[error("it was not begun, since that can't be written down")]
    Journal(#[source] JournalError),
    /// The target took the data so slowly that the other targets went on without it.
    #[error("{target_store} took the data too slowly: the others did not wait after {got} bytes")]
    LeftBehind {
        /// The slow store.
        target_store: String,
        /// Number of bytes that the store had taken.
        got: u64,
    },
    /// The target did not copy the data to all of the stores where it should be. Otherwise the
    /// image is complete.
    #[error("it is in place and proven, but not in store {stores}")]
    NotInStores {
        /// The stores without the data.
        stores: String,
        /// Why the copy failed.
        #[source]
        error: StoreError,
    },
    /// A request to the source failed.
    #[error("the source failed")]
    Source(#[source] StoreError),
    /// The data could not be written to or read from the spool.
    #[error("the spool can't take its data")]
    Spool(#[source] DataFault),
    /// The target stored different data than it was sent. The replica was made private and
    /// deactivated where possible.
    #[error(
        "{target_store} stored other data than it was sent: {} is {} there and {} at the source; \
         {quarantine}",
        .difference.field, .difference.target, .difference.source
    )]
    TargetCorrupted {
        /// The store that the data was sent to.
        target_store: String,
        /// How the target's record differs from the source's.
        difference: Difference,
        /// What was done with the replica.
        quarantine: String,
    },
    /// A request to the target failed.
    #[error("the target failed")]
    Target(#[source] StoreError),
    /// The target would reject this data, but only after taking all of it, and would keep an
    /// unusable record. No record was made and nothing was sent.
    #[error("its data is nothing that {target_store} accepts, and was not sent")]
    FormatRejected {
        /// The store that the data was meant for.
        target_store: String,
        /// What Glance rejects.
        #[source]
        fault: Unfit,
    },
    /// The owner or members at the target are unknown because a Keystone request failed.
    #[error("its projects can't be looked up")]
    Unresolved(#[source] SignInError),
    /// The source's only digest uses an algorithm that the cryptography in use does not compute.
    /// Nothing was copied.
    #[error("it cannot be verified in FIPS mode: its only digest is {algorithm}")]
    Unverifiable {
        /// The digest's algorithm.
        algorithm: Algorithm,
    },
    /// The target's record has no digest to prove the copy with.
    #[error("the target's record has no digest that the copy could be proven by")]
    Unproven,
}

impl CopyError {
    pub(crate) fn content_differs(difference: Difference) -> Self {
        Self::ContentDiffers(difference)
    }

    pub(crate) fn busy(status: Status) -> Self {
        Self::Busy { status }
    }

    /// The error and its causes as one line.
    pub(crate) fn chain(&self) -> String {
        let error: &dyn std::error::Error = self;
        let all = std::iter::successors(Some(error), |error| error.source());
        all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    }

    /// Whether the data was found to be wrong.
    pub fn is_integrity_failure(&self) -> bool {
        match self {
            Self::ContentDiffers(_) | Self::TargetCorrupted { .. } | Self::Unproven => true,
            Self::Data { fault, .. } => is_wrong(fault),
            // A record that can't be read says nothing about the data.
            Self::Source(error) | Self::Target(error) => {
                error.kind == StoreErrorKind::Unreadable && error.record.is_none()
            }
            Self::Blocked { .. }
            | Self::BrokenOff
            | Self::IdUnavailable(_)
            | Self::Busy { .. }
            | Self::Journal(_)
            | Self::LeftBehind { .. }
            | Self::NotInStores { .. }
            | Self::Spool(_)
            | Self::Unresolved(_)
            | Self::FormatRejected { .. }
            | Self::Unverifiable { .. } => false,
        }
    }

    /// Whether a later retry may succeed without any change by an operator.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::LeftBehind { .. } => true,
            Self::Data { fault, .. } => !is_wrong(fault),
            // Another client may be working on the image at the moment.
            Self::Source(error) | Self::Target(error) | Self::NotInStores { error, .. } => {
                error.kind.is_retryable() || error.kind == StoreErrorKind::Conflict
            }
            Self::Unresolved(error) => {
                matches!(error.kind, SignInErrorKind::Transport(kind) if kind.is_retryable())
            }
            Self::Blocked { .. }
            | Self::BrokenOff
            | Self::IdUnavailable(_)
            | Self::ContentDiffers(_)
            | Self::Journal(_)
            | Self::Spool(_)
            | Self::TargetCorrupted { .. }
            | Self::FormatRejected { .. }
            | Self::Unproven
            | Self::Unverifiable { .. } => false,
        }
    }

    /// What the operator can do about the error.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Blocked { hint, .. } => hint.as_deref(),
            Self::IdUnavailable(_) => Some(
                "Glance never frees an id, not even of a deleted image, unless its administrator \
                 does (glance-manage db purge_images_table); or an image that your credentials \
                 can't see has it; --on-burned-id new gives the replica another id, skip leaves it \
                 out",
            ),
            Self::Busy { .. } => Some("wait for it; a record left so can only be deleted"),
            Self::ContentDiffers(_) | Self::TargetCorrupted { .. } => Some(
                "an active image takes no second upload: examine the target's storage, delete the \
                 replica there, have its id purged (glance-manage db purge_images_table), and run \
                 again",
            ),
            Self::Data { fault: DataFault::Digest { .. }, .. } => {
                Some("run again; if the same digest comes again, the source's storage is damaged")
            }
            Self::Data { fault: DataFault::TooLong { .. }, .. } => Some(
                "the source's record and its data do not fit together: have its administrator \
                 correct the size on record, or the data",
            ),
            Self::Data { fault: DataFault::Damaged { .. }, .. } => {
                Some("verify the source, and get the image anew from where it came")
            }
            Self::BrokenOff => Some("run again: it is completed under the same id"),
            Self::Data { .. } => Some("run again: the image is completed under the same id"),
            Self::Journal(_) => Some("make room for the journal, and run again"),
            Self::LeftBehind { .. } => {
                Some("let the others go ahead of it by --spool auto, or copy to it alone")
            }
            Self::NotInStores { error, .. } => match error.kind {
                StoreErrorKind::Forbidden => Some("sign in to the target as an administrator"),
                _ => Some("run again: it is copied to the stores where it is not yet"),
            },
            Self::Source(error) | Self::Target(error) => error.hint.as_deref(),
            Self::FormatRejected { fault, .. } => Some(unfit_hint(fault)),
            Self::Spool(_) => {
                Some("make room there, name another directory by --spool-dir, or run without it")
            }
            Self::Unproven => None,
            Self::Unresolved(error) => error.hint.as_deref(),
            Self::Unverifiable { .. } => Some(
                "copy it outside FIPS mode, or upload it anew to a Glance that computes \
                 os_hash_value",
            ),
        }
    }
}

/// Whether the fault is in the data itself, so that another read would give the same result.
fn is_wrong(fault: &DataFault) -> bool {
    use DataFault::{Damaged, Digest, TooLong};
    matches!(fault, Damaged { .. } | Digest { .. } | TooLong { .. })
}

/// The part of a message that says how many images were not started, appended to the reason.
fn undone(images: u64, unseen: bool) -> String {
    match (images, unseen) {
        (0, false) => String::new(),
        (0, true) => ", and not all images had been looked at".to_owned(),
        (images, false) => format!(": {images} images were not begun"),
        (images, true) => {
            format!(": {images} images were not begun, and not all had been looked at")
        }
    }
}

fn unfit_hint(fault: &Unfit) -> &'static str {
    match fault {
        Unfit::Mislabelled { declared, found: Format::Raw } if declared == "vhd" => {
            "of VHD disks, Glance knows dynamic ones only: `qemu-img convert -O vpc` makes one of a \
             fixed one; a Glance before 2025.1 takes both, with --content-check off"
        }
        Unfit::Mislabelled { .. } => {
            "if the record is wrong, `dump` the image, correct disk_format in its .json file, and \
             `load` it; a Glance that does not compare (before 2025.1, or with \
             require_image_format_match off) takes it as it is, with --content-check off"
        }
        _ => {
            "examine it before anyone uses it: files that it names are those of whoever opens it; \
             of a good one, `qemu-img convert` makes an image that needs no others; a Glance \
             before 2025.1 takes it as it is, with --content-check off"
        }
    }
}
