//! Exit codes. They are documented API and are never renumbered.

use std::io::{Error, ErrorKind};
use std::process::ExitCode;

use glance_core::store::{StoreError, StoreErrorKind};
use keystone_auth::{SignInError, SignInErrorKind};
use replicator_engine::{CancelReason, CopyError, JournalError};
use safe_files::file_lock::LockError;

/// The exit code of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Success.
    Success = 0,
    /// A command such as `compare`, `plan` or `verify` found differences, or the operator declined a
    /// removal.
    Differences = 1,
    /// The command line or the configuration is invalid.
    Usage = 2,
    /// Some images failed.
    SomeFailed = 3,
    /// No connection, or a server that is not trusted.
    Connection = 4,
    /// The credentials are invalid or insufficient.
    Authentication = 5,
    /// Integrity failure: data differs from the expected digest or size. Outranks
    /// [`Exit::SomeFailed`].
    Integrity = 6,
    /// Another run works on the same stores, directory or images.
    Held = 7,
    /// A quota, a size limit or the disk is exhausted, or results could not be written.
    LimitReached = 8,
    /// All copied data is proven, but owners or members of images could not be reproduced.
    Lost = 9,
    /// The time limit of the run was reached (`--max-duration`).
    OutOfTime = 10,
    /// Stopped cleanly by SIGHUP.
    HungUp = 129,
    /// Stopped cleanly by SIGINT.
    Interrupted = 130,
    /// Stopped cleanly by SIGTERM.
    Terminated = 143,
}

impl Exit {
    /// All exits, in the order of their codes.
    pub(crate) const ALL: [Self; 14] = [
        Self::Success,
        Self::Differences,
        Self::Usage,
        Self::SomeFailed,
        Self::Connection,
        Self::Authentication,
        Self::Integrity,
        Self::Held,
        Self::LimitReached,
        Self::Lost,
        Self::OutOfTime,
        Self::HungUp,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// Whether a signal ended the run.
    pub(crate) fn is_by_signal(self) -> bool {
        matches!(self, Self::HungUp | Self::Interrupted | Self::Terminated)
    }

    /// The meaning in words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Differences => "differences",
            Self::Usage => "invalid usage or configuration",
            Self::SomeFailed => "some images failed",
            Self::Connection => "no connection, or a server that is not trusted",
            Self::Authentication => "authentication failed, or a policy denied the request",
            Self::Integrity => "integrity failure: data differs from what it should be",
            Self::Held => "another run works on the same images, stores or directory",
            Self::LimitReached => "a limit was reached, or results could not be written",
            Self::Lost => "everything is copied, but owners or members were lost",
            Self::OutOfTime => "the time limit was reached",
            Self::HungUp => "stopped by SIGHUP",
            Self::Interrupted => "stopped by SIGINT",
            Self::Terminated => "stopped by SIGTERM",
        }
    }

    /// The exit of a numeric code. An unknown code, from a later release, is [`Exit::SomeFailed`].
    pub(crate) fn of_code(code: u64) -> Self {
        let found = Self::ALL.into_iter().find(|exit| u64::from(*exit as u8) == code);
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
            | StoreErrorKind::CredentialsRenewed
            | StoreErrorKind::Forbidden => Self::Authentication,
            StoreErrorKind::LimitReached => Self::LimitReached,
            StoreErrorKind::Locked => Self::Held,
            StoreErrorKind::Invalid | StoreErrorKind::NotFound => Self::Usage,
            _ => Self::SomeFailed,
        }
    }
}

impl From<&SignInError> for Exit {
    fn from(error: &SignInError) -> Self {
        match error.kind {
            SignInErrorKind::Transport(_) => Self::Connection,
            SignInErrorKind::PlainHttp => Self::Usage,
            _ => Self::Authentication,
        }
    }
}

impl From<&JournalError> for Exit {
    fn from(error: &JournalError) -> Self {
        use ErrorKind::{
            FileTooLarge, NotADirectory, NotFound, PermissionDenied, QuotaExceeded,
            ReadOnlyFilesystem, StorageFull,
        };
        match (error, error.file_error().map(Error::kind)) {
            (JournalError::Lock(LockError::Held(_)), _) => Self::Held,
            (_, Some(StorageFull | QuotaExceeded | FileTooLarge)) => Self::LimitReached,
            (_, Some(NotFound | NotADirectory | PermissionDenied | ReadOnlyFilesystem)) => {
                Self::Usage
            }
            (JournalError::Later { .. }, _) => Self::Usage,
            _ => Self::SomeFailed,
        }
    }
}

impl From<&CopyError> for Exit {
    fn from(error: &CopyError) -> Self {
        match error {
            error if error.is_integrity_failure() => Self::Integrity,
            CopyError::InUse(_) => Self::Held,
            CopyError::Journal(error) => error.into(),
            CopyError::Target(error) if error.kind == StoreErrorKind::LimitReached => {
                Self::LimitReached
            }
            CopyError::Spool(_) => Self::LimitReached,
            _ => Self::SomeFailed,
        }
    }
}

impl From<CancelReason> for Exit {
    fn from(why: CancelReason) -> Self {
        match why {
            CancelReason::Interrupted => Self::Interrupted,
            CancelReason::Terminated => Self::Terminated,
            CancelReason::HungUp => Self::HungUp,
            CancelReason::OutOfTime => Self::OutOfTime,
            CancelReason::OutOfBytes | CancelReason::Unwritten => Self::LimitReached,
            _ => Self::SomeFailed,
        }
    }
}

impl Exit {
    /// The one of two exits that outranks the other. From lowest to highest: success, differences,
    /// lost owners or members, failed images, an exhausted limit, the time limit, an integrity
    /// failure, and everything that ended the run early.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let rank = |exit| match exit {
            Self::Success => 0,
            Self::Differences => 1,
            Self::Lost => 2,
            // What another run does needs less attention than what failed.
            Self::Held => 3,
            Self::SomeFailed => 4,
            Self::LimitReached => 5,
            Self::OutOfTime => 6,
            Self::Integrity => 7,
            _ => 8,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}
