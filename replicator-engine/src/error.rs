//! Why one image could not be replicated, and whose fault it was.

use glance_core::content_format::{Format, Unfit};
use glance_core::digest::Algorithm;
use glance_core::image::Status;
use glance_core::store::{StoreError, StoreErrorKind};
use keystone_auth::{SignInError, SignInErrorKind};

use super::JournalError;
use crate::planning::Difference;
use crate::running::cancel::Why;
use crate::running::prune::NothingRemoved;
use glance_core::verified_body::DataFault;

/// Why a run did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A store can't be listed.
    #[error(transparent)]
    Listing(#[from] StoreError),
    /// Nothing was removed.
    #[error(transparent)]
    NothingRemoved(#[from] NothingRemoved),
    /// It was told to end before.
    #[error("{why}{}", undone(*.left, *.unseen))]
    Stopped {
        /// Why.
        why: Why,
        /// Images that were not begun.
        left: u64,
        /// Whether there may be more, since not all were looked at.
        unseen: bool,
    },
    /// So many images have failed that no more were begun.
    #[error("{failures} images have failed, the most allowed{}", undone(*.left, false))]
    TooManyFailures {
        /// Images that failed.
        failures: u64,
        /// Images that were not begun.
        left: u64,
    },
}

impl RunError {
    /// How many images are known that were not begun.
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

/// Why one image could not be replicated. The variants name the guilty side.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// It can't be at the target as it should be.
    #[error("{reason}")]
    Blocked {
        /// What can't be, and why.
        reason: String,
        /// What the operator can do about it.
        hint: Option<String>,
    },
    /// The target will not give it its id.
    #[error("the target does not give it its id")]
    Burned(#[source] StoreError),
    /// Someone else's upload to the same record is under way, or was left hanging.
    #[error(
        "the target's record is {status}: another upload is under way, or one was left hanging"
    )]
    Busy {
        /// The record's state.
        status: Status,
    },
    /// The target holds other data under the same id.
    #[error(
        "the target holds other data under this id: {} is {} there and {} at the source",
        .0.field, .0.target, .0.source
    )]
    ContentDiffers(Difference),
    /// The data did not come whole from the source. The target's record has no data.
    #[error("the data of {source_store} is not good, and the upload was broken off")]
    Data {
        /// The store that it came from.
        source_store: String,
        /// What was wrong with it.
        #[source]
        fault: DataFault,
    },
    /// The run was told to end, and the upload was broken off.
    #[error("it was broken off, since the run was to end")]
    BrokenOff,
    /// What was about to happen at the target can't be written down, and did not happen.
    #[error("it was not begun, since that can't be written down")]
    Journal(#[source] JournalError),
    /// The target took the data so slowly that the others would have waited for it.
    #[error("{target_store} took the data too slowly: the others did not wait after {got} bytes")]
    LeftBehind {
        /// The store that is slow.
        target_store: String,
        /// Bytes that it took.
        got: u64,
    },
    /// The target did not copy its data to all of its stores where it should be. Apart from that,
    /// all is in place.
    #[error("it is in place and proven, but not in store {stores}")]
    NotInStores {
        /// Where it is not.
        stores: String,
        /// Why.
        #[source]
        error: StoreError,
    },
    /// The source failed.
    #[error("the source failed")]
    Source(#[source] StoreError),
    /// Its data can't be kept for a while, as is wanted.
    #[error("the spool can't take its data")]
    Spool(#[source] DataFault),
    /// The target stored something else than it was sent. The replica was made private and
    /// deactivated where that was possible.
    #[error(
        "{target_store} stored other data than it was sent: {} is {} there and {} at the source; \
         {quarantine}",
        .difference.field, .difference.target, .difference.source
    )]
    Stored {
        /// The store that it went to.
        target_store: String,
        /// How its record differs from the source's.
        difference: Difference,
        /// What was done with the replica.
        quarantine: String,
    },
    /// The target failed.
    #[error("the target failed")]
    Target(#[source] StoreError),
    /// The target would take the data whole, refuse it then, and keep a record that can't be used.
    /// It was neither sent nor was a record made.
    #[error("its data is nothing that {target_store} accepts, and was not sent")]
    Unfit {
        /// The store that it was meant for.
        target_store: String,
        /// What Glance refuses.
        #[source]
        fault: Unfit,
    },
    /// To whom it belongs at the target is not known, because a Keystone failed.
    #[error("its projects can't be looked up")]
    Unresolved(#[source] SignInError),
    /// The source's only digest is one that the cryptography in use does not compute. Nothing was
    /// copied.
    #[error("it cannot be verified in FIPS mode: its only digest is {algorithm}")]
    Unverifiable {
        /// The digest's algorithm.
        algorithm: Algorithm,
    },
    /// There is no digest to prove the copy by.
    #[error("the target's record has no digest that the copy could be proven by")]
    Unproven,
}

impl CopyError {
    pub(super) fn content_differs(difference: Difference) -> Self {
        Self::ContentDiffers(difference)
    }

    pub(super) fn busy(status: Status) -> Self {
        Self::Busy { status }
    }

    /// Whether data was found to be other than it should be.
    pub fn is_integrity_failure(&self) -> bool {
        match self {
            Self::ContentDiffers(_) | Self::Stored { .. } | Self::Unproven => true,
            Self::Data { fault, .. } => is_wrong(fault),
            // A record that can't be read says nothing of the data.
            Self::Source(error) | Self::Target(error) => {
                error.kind == StoreErrorKind::Unreadable && error.record.is_none()
            }
            Self::Blocked { .. }
            | Self::BrokenOff
            | Self::Burned(_)
            | Self::Busy { .. }
            | Self::Journal(_)
            | Self::LeftBehind { .. }
            | Self::NotInStores { .. }
            | Self::Spool(_)
            | Self::Unresolved(_)
            | Self::Unfit { .. }
            | Self::Unverifiable { .. } => false,
        }
    }

    /// Whether trying the image again later may help, without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::LeftBehind { .. } => true,
            Self::Data { fault, .. } => !is_wrong(fault),
            // Somebody else may just be at work on it.
            Self::Source(error) | Self::Target(error) | Self::NotInStores { error, .. } => {
                error.kind.is_retryable() || error.kind == StoreErrorKind::Conflict
            }
            Self::Unresolved(error) => {
                matches!(error.kind, SignInErrorKind::Transport(kind) if kind.is_retryable())
            }
            Self::Blocked { .. }
            | Self::BrokenOff
            | Self::Burned(_)
            | Self::ContentDiffers(_)
            | Self::Journal(_)
            | Self::Spool(_)
            | Self::Stored { .. }
            | Self::Unfit { .. }
            | Self::Unproven
            | Self::Unverifiable { .. } => false,
        }
    }

    /// What the operator can do about it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Blocked { hint, .. } => hint.as_deref(),
            Self::Burned(_) => Some(
                "Glance never frees an id, not even of a deleted image, unless its administrator \
                 does (glance-manage db purge_images_table); or an image that your credentials \
                 can't see has it; --on-burned-id new gives the replica another id, skip leaves it \
                 out",
            ),
            Self::Busy { .. } => Some("wait for it; a record left so can only be deleted"),
            Self::ContentDiffers(_) | Self::Stored { .. } => Some(
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
            Self::Unfit { fault, .. } => Some(unfit_hint(fault)),
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

/// Whether the data is not what it should be, and would be the same another time.
fn is_wrong(fault: &DataFault) -> bool {
    use DataFault::{Damaged, Digest, TooLong};
    matches!(fault, Damaged { .. } | Digest { .. } | TooLong { .. })
}

/// How much was not begun, behind the reason.
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
