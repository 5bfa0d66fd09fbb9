//! Errors of a run and of one image, with the side at fault.

use glance_core::content_format::{Format, Unfit};
use glance_core::digest::Algorithm;
use glance_core::error::one_line;
use glance_core::image::Status;
use glance_core::store::{StoreError, StoreErrorKind};
use glance_core::units::plural;
use glance_core::verified_body::DataFault;
use keystone_auth::{SignInError, SignInErrorKind};
use safe_files::file_lock::Holder;

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
    #[error(
        "{failures} image{s} failed and --max-errors is reached{}",
        undone(*.left, false),
        s = plural(*.failures)
    )]
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
    #[error(
        "the source lists no images, so the tool did not remove the {found} extra image{s} at the \
         target",
        s = plural(*.found)
    )]
    EmptySource {
        /// Number of images that would have been removed.
        found: u64,
    },
    /// An image or a listing failed.
    #[error(
        "some images failed, so the tool did not remove the {found} image{s} that only the target \
         has",
        s = plural(*.found)
    )]
    Failures {
        /// Number of images that would have been removed.
        found: u64,
    },
    /// There were more images to remove than allowed.
    #[error(
        "--max-delete allows {most}, but {found} image{s} would be removed; the tool removed \
         none",
        s = plural(*.found)
    )]
    TooMany {
        /// Number of images that would have been removed.
        found: u64,
        /// The limit.
        most: u64,
    },
    /// The removals were not approved.
    #[error(
        "the answer was no; the tool did not remove the {found} image{s} that only the target has",
        s = plural(*.found)
    )]
    Declined {
        /// Number of images that would have been removed.
        found: u64,
    },
}

impl NothingRemoved {
    /// What the operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::EmptySource { .. } => {
                "check that the source is the right one and that its credentials see the images: \
                 an empty source never causes a removal"
            }
            Self::Failures { .. } => "fix the failures, then run the command again",
            Self::TooMany { .. } => {
                "review the images with `plan`; if all of them may be removed, raise --max-delete"
            }
            Self::Declined { .. } => "to remove them, run the command again and answer y",
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
    #[error("the target refused this image id")]
    IdUnavailable(#[source] StoreError),
    /// Another client's upload to the same record is in progress, or an upload was left unfinished.
    #[error(
        "the target's record has status {status}: another client is uploading, or an earlier \
         upload never finished"
    )]
    Busy {
        /// The record's status.
        status: Status,
    },
    /// Another run has claimed the image. This run did nothing with it.
    #[error("another run works on this image: {0}")]
    InUse(Holder),
    /// The target holds different data under the same id.
    #[error(
        "the target holds different data under this id: {} is {} at the target and {} at the \
         source",
        .0.field, .0.target, .0.source
    )]
    ContentDiffers(Difference),
    /// The source's data was incomplete or wrong. The target's record has no data.
    #[error("the data from {source_store} is incomplete or wrong; the upload was aborted")]
    Data {
        /// The store that the data came from.
        source_store: String,
        /// What was wrong with the data.
        #[source]
        fault: DataFault,
    },
    /// The run was told to stop, and the upload was aborted.
    #[error("the upload was aborted because the run was stopped")]
    BrokenOff,
    /// The next step at the target could not be written to the journal, so it was not carried out.
    #[error("not started: the journal cannot be written")]
    Journal(#[source] JournalError),
    /// The target took the data so slowly that the other targets went on without it.
    #[error("{target_store} had taken only {got} bytes when the tool stopped waiting for it")]
    LeftBehind {
        /// The slow store.
        target_store: String,
        /// Number of bytes that the store had taken.
        got: u64,
    },
    /// The target did not copy the data to all of the stores where it should be. Otherwise the
    /// image is complete.
    #[error("the image is complete and verified, but not in store {stores}")]
    NotInStores {
        /// The stores without the data.
        stores: String,
        /// Why the copy failed.
        #[source]
        error: StoreError,
    },
    /// A request to the source failed.
    #[error("cannot {} at the source", .0.operation)]
    Source(#[source] StoreError),
    /// The data could not be written to or read from the spool.
    #[error("the data could not be spooled")]
    Spool(#[source] DataFault),
    /// The target stored different data than it was sent. The replica was made private and
    /// deactivated where possible.
    #[error(
        "{target_store} stored different data than was sent: {} is {} at the target and {} at the \
         source; \
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
    #[error("cannot {} at the target", .0.operation)]
    Target(#[source] StoreError),
    /// The target would reject this data, but only after taking all of it, and would keep an
    /// unusable record. No record was made and nothing was sent.
    #[error("{target_store} would reject this data; nothing was sent")]
    FormatRejected {
        /// The store that the data was meant for.
        target_store: String,
        /// What Glance rejects.
        #[source]
        fault: Unfit,
    },
    /// The owner or members at the target are unknown because a Keystone request failed.
    #[error("Keystone could not name the projects that own or share the image")]
    Unresolved(#[source] SignInError),
    /// The source's only digest uses an algorithm that the cryptography in use does not compute.
    /// Nothing was copied.
    #[error("the image cannot be verified in FIPS mode: its only digest is {algorithm}")]
    Unverifiable {
        /// The digest's algorithm.
        algorithm: Algorithm,
    },
    /// The target's record has no digest to prove the copy with.
    #[error(
        "the target's record has no digest that the tool can compute, so the copy is not verified"
    )]
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
        one_line(self)
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
            | Self::InUse(_)
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
            Self::Busy { .. } | Self::InUse(_) | Self::LeftBehind { .. } => true,
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
            Self::Source(error) | Self::Target(error) => error.hint.as_deref(),
            Self::Unresolved(error) => error.hint.as_deref(),
            Self::Unproven => Some(VERIFY),
            Self::BrokenOff => Some(COMPLETE),
            Self::Busy { .. } => Some("wait for that upload; if it was abandoned, run `repair`"),
            Self::InUse(_) => Some("run the command again later, or wait for that run with --wait"),
            Self::ContentDiffers(_) | Self::TargetCorrupted { .. } => Some(WRONG_REPLICA),
            Self::Data { fault, .. } => Some(data_hint(fault)),
            Self::FormatRejected { fault, .. } => Some(unfit_hint(fault)),
            Self::IdUnavailable(_) => Some(UNAVAILABLE),
            Self::Journal(error) => Some(error.remedy()),
            Self::LeftBehind { .. } => Some(
                "use --spool auto, which keeps data on disk for slow targets, or copy to this target \
                 in its own run",
            ),
            Self::NotInStores { error, .. } if error.kind == StoreErrorKind::Forbidden => {
                error.hint.as_deref().or(Some("sign in to the target as an administrator"))
            }
            Self::NotInStores { .. } => {
                Some("run the command again: it copies the image to the missing stores")
            }
            Self::Spool(_) => Some(
                "free space in the spool directory, name another one with --spool-dir, or use --spool \
                 never",
            ),
            Self::Unverifiable { .. } => Some(
                "copy the image outside FIPS mode, or upload it again to a Glance that computes \
                 os_hash_value",
            ),
        }
    }
}

/// The hint for an incomplete copy.
const COMPLETE: &str = "run the command again: it completes the image under the same id";

/// The hint for a copy that neither record proves.
const VERIFY: &str = "compare the data of source and target with `verify FROM TO --deep`";

/// The hint for a replica with wrong data.
pub(crate) const WRONG_REPLICA: &str = "examine the target's storage. Delete the replica, ask the \
    administrator to purge its id (glance-manage db purge_images_table), and run the command \
    again. Glance accepts no second upload into an active image";

/// The hint for an id that the target refused.
const UNAVAILABLE: &str = "use --on-burned-id new to give the replica another id, or \
    --on-burned-id skip to leave the image out. The id belongs to a deleted image, or to one that \
    your credentials cannot see. An administrator can free a deleted id (glance-manage db \
    purge_images_table)";

fn data_hint(fault: &DataFault) -> &'static str {
    match fault {
        DataFault::Digest { .. } => {
            "run the command again; if the digest is the same, the source's storage is damaged"
        }
        DataFault::TooLong { .. } => {
            "have the source's administrator correct the size in the record, or the data: they do \
             not match"
        }
        DataFault::Damaged { .. } => "verify the source, and get the image again from its origin",
        _ => COMPLETE,
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
        (0, true) => ", and part of the listing was not read".to_owned(),
        (images, false) => format!("; {images} image{s} not started", s = plural(images)),
        (images, true) => {
            let s = plural(images);
            format!("; {images} image{s} not started, and part of the listing was not read")
        }
    }
}

fn unfit_hint(fault: &Unfit) -> &'static str {
    match fault {
        Unfit::Mislabelled { declared, found: Format::Raw } if declared == "vhd" => {
            "convert the fixed VHD disk to a dynamic one with `qemu-img convert -O vpc`: Glance \
             accepts only dynamic ones; a Glance before 2025.1 accepts both, with --content-check \
             off"
        }
        Unfit::Mislabelled { .. } => {
            "if disk_format is wrong: `dump` the image, correct disk_format in its .json file, and \
             `load` it. If the target is older than 2025.1 or has require_image_format_match off: \
             use --content-check off"
        }
        _ => {
            "examine this image before anyone uses it: the image can refer to files on the host \
             that opens it. If it is harmless, `qemu-img convert` makes a copy without references. \
             If the target is older than 2025.1: use --content-check off"
        }
    }
}
