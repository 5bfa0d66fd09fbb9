//! Exit codes: documented API, never renumbered.

use std::process::ExitCode;

use glance_core::identity::{SignInError, SignInErrorKind};
use glance_core::replicate::{CopyError, Why};
use glance_core::store::{StoreError, StoreErrorKind};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// All is in place.
    Success = 0,
    /// `compare` found differences.
    Differences = 1,
    /// The command line or the configuration can't be used.
    Usage = 2,
    /// Some images failed.
    SomeFailed = 3,
    /// No connection, or a server that can't be trusted.
    Connection = 4,
    /// The credentials are not good or not sufficient.
    Authentication = 5,
    /// Data was found to be other than it should be. Outranks [`Exit::SomeFailed`].
    Integrity = 6,
    /// A quota, a size limit or the disk is exhausted.
    LimitReached = 8,
    /// The time of the run was up (`--max-duration`).
    OutOfTime = 10,
    /// Stopped by SIGINT, cleanly.
    Interrupted = 130,
    /// Stopped by SIGTERM, cleanly.
    Terminated = 143,
}

impl Exit {
    /// What a code means; one that this release does not know means failure.
    pub(crate) fn of_code(code: u64) -> Self {
        let known = [
            Self::Success,
            Self::Differences,
            Self::Usage,
            Self::SomeFailed,
            Self::Connection,
            Self::Authentication,
            Self::Integrity,
            Self::LimitReached,
            Self::OutOfTime,
            Self::Interrupted,
            Self::Terminated,
        ];
        let found = known.into_iter().find(|exit| u64::from(*exit as u8) == code);
        found.unwrap_or(Self::SomeFailed)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<&StoreError> for Exit {
    fn from(error: &StoreError) -> Self {
        match error.kind {
            StoreErrorKind::Transport(_) => Self::Connection,
            StoreErrorKind::Unauthenticated
            | StoreErrorKind::Renewed
            | StoreErrorKind::Forbidden => Self::Authentication,
            StoreErrorKind::LimitReached => Self::LimitReached,
            StoreErrorKind::Invalid | StoreErrorKind::NotFound => Self::Usage,
            _ => Self::SomeFailed,
        }
    }
}

impl From<&SignInError> for Exit {
    fn from(error: &SignInError) -> Self {
        match error.kind {
            SignInErrorKind::Transport(_) => Self::Connection,
            _ => Self::Authentication,
        }
    }
}

impl From<&CopyError> for Exit {
    fn from(error: &CopyError) -> Self {
        match error {
            error if error.is_integrity_failure() => Self::Integrity,
            CopyError::Target(error) if error.kind == StoreErrorKind::LimitReached => {
                Self::LimitReached
            }
            // The run says why, and exits so.
            CopyError::BrokenOff => Self::Success,
            CopyError::Spool(_) => Self::LimitReached,
            _ => Self::SomeFailed,
        }
    }
}

impl From<Why> for Exit {
    fn from(why: Why) -> Self {
        match why {
            Why::Interrupted => Self::Interrupted,
            Why::Terminated => Self::Terminated,
            Why::OutOfTime => Self::OutOfTime,
            Why::OutOfBytes => Self::LimitReached,
            _ => Self::SomeFailed,
        }
    }
}

impl Exit {
    /// The one of two that says more: an integrity failure outranks all, any failure outranks
    /// differences and success.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let rank = |exit| match exit {
            Self::Success => 0,
            Self::Differences => 1,
            Self::SomeFailed => 2,
            Self::LimitReached | Self::OutOfTime => 3,
            Self::Integrity => 4,
            _ => 5,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}
