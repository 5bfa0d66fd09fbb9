//! Errors that end a command before its report is complete.

use std::error::Error;
use std::{fmt, io};

use glance_core::error::{BodyError, causes};
use glance_core::store::StoreError;
use keystone_auth::{ConfigError, SignInError};
use replicator_engine::{CancelReason, JournalError, NothingRemoved, RunError};
use safe_files::file_lock::LockError;

use crate::exit::Exit;

/// An error with an exit code and an optional hint at the remedy.
#[derive(Debug)]
pub(crate) struct CliError {
    pub(crate) exit: Exit,
    pub(crate) hint: Option<String>,
    /// The servers' ids of the requests that failed.
    pub(crate) request_ids: Vec<String>,
    message: String,
    source: Option<BodyError>,
}

/// The servers' ids of the requests that an error and its causes are about.
pub(crate) fn request_ids(error: &(dyn Error + 'static)) -> Vec<String> {
    let of_one = |error: &(dyn Error + 'static)| match error.downcast_ref::<StoreError>() {
        Some(error) => error.request_id.clone(),
        None => error.downcast_ref::<SignInError>()?.request_id.clone(),
    };
    causes(error).filter_map(of_one).collect()
}

impl CliError {
    /// The command line or the configuration is invalid.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        let (hint, request_ids, source) = (None, Vec::new(), None);
        Self { exit: Exit::Usage, hint, request_ids, message: message.into(), source }
    }

    /// A store changed since the plan was made.
    pub(crate) fn differences(message: impl Into<String>) -> Self {
        Self { exit: Exit::Differences, ..Self::usage(message) }
    }

    /// Some images failed or were not there.
    pub(crate) fn some_failed(message: impl Into<String>) -> Self {
        Self { exit: Exit::SomeFailed, ..Self::usage(message) }
    }

    /// The credentials are insufficient.
    pub(crate) fn authentication(message: impl Into<String>) -> Self {
        Self { exit: Exit::Authentication, ..Self::usage(message) }
    }

    /// Images were copied without their owners or members.
    pub(crate) fn lost(message: impl Into<String>) -> Self {
        Self { exit: Exit::Lost, ..Self::usage(message) }
    }

    /// A quota, a size limit or the disk is exhausted.
    pub(crate) fn limit(message: impl Into<String>) -> Self {
        Self { exit: Exit::LimitReached, ..Self::usage(message) }
    }

    /// A file that the operator named cannot be written. The exit code depends on `error`.
    pub(crate) fn unwritten(message: impl Into<String>, error: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let failure = match error.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::limit(message),
            _ => Self::usage(message),
        };
        failure.caused_by(error)
    }

    /// Another run works on the same images, stores or directory.
    pub(crate) fn held(message: impl Into<String>) -> Self {
        Self { exit: Exit::Held, ..Self::usage(message) }
    }

    /// Adds a hint at the remedy.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Prefixes the message with the name of a target, unless the message begins with the name.
    pub(crate) fn at(mut self, target: &str) -> Self {
        let rest = self.message.strip_prefix(target);
        if rest.is_some_and(|rest| rest.starts_with(": ") || rest.starts_with(" (")) {
            return self;
        }
        self.message = format!("{target}: {}", self.message);
        self
    }

    /// Adds the underlying error.
    pub(crate) fn caused_by(mut self, source: impl Into<BodyError>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn runtime(error: io::Error) -> Self {
        let what = "cannot start the worker threads";
        Self { exit: Exit::SomeFailed, ..Self::usage(what).caused_by(error) }
    }
}

impl From<tokio::task::JoinError> for CliError {
    fn from(error: tokio::task::JoinError) -> Self {
        let what = "internal error; please report it";
        Self { exit: Exit::SomeFailed, ..Self::usage(what).caused_by(error) }
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        let (exit, request_ids) = (Exit::from(&error), request_ids(&error));
        let (hint, message) = (error.hint.clone(), error.to_string());
        Self { exit, hint, request_ids, message, source: error.source }
    }
}

impl CliError {
    /// The error of a run whose target is a directory.
    pub(crate) fn of_run_to_directory(error: RunError) -> Self {
        Self::of_run(error, CONTINUE_IN_DIRECTORY)
    }

    /// The error of a run. `to_continue` is the hint if the run was stopped.
    fn of_run(error: RunError, to_continue: &str) -> Self {
        let what = error.to_string();
        let (exit, hint) = match error {
            RunError::Listing(error) => return error.into(),
            RunError::NothingRemoved(nothing) => {
                let exit = match nothing {
                    NothingRemoved::Failures { .. } => Exit::SomeFailed,
                    NothingRemoved::Declined { .. } => Exit::Differences,
                    _ => Exit::LimitReached,
                };
                (exit, nothing.hint())
            }
            RunError::Stopped { why: CancelReason::OutOfBytes, .. } => {
                (Exit::LimitReached, "run the command again, or raise --max-transfer")
            }
            RunError::Stopped { why: CancelReason::Unwritten, .. } => (
                Exit::LimitReached,
                "make the journal writable (free space, permissions), then run `resume`",
            ),
            RunError::Stopped { why, .. } => (why.into(), to_continue),
            RunError::TooManyFailures { .. } => (
                Exit::SomeFailed,
                "fix the failures and run the command again, or raise --max-errors",
            ),
            _ => return Self { exit: Exit::SomeFailed, ..Self::usage(what) },
        };
        Self { exit, ..Self::usage(what).hint(hint) }
    }
}

impl From<RunError> for CliError {
    fn from(error: RunError) -> Self {
        Self::of_run(error, CONTINUE)
    }
}

impl From<JournalError> for CliError {
    fn from(error: JournalError) -> Self {
        let exit = Exit::from(&error);
        let hint = match (exit, &error) {
            (Exit::LimitReached, _) => {
                Some("free space there, or choose another directory with --state-dir")
            }
            (_, JournalError::Later { .. }) => Some("use that release, or remove the file"),
            (Exit::Usage, _) => {
                Some("choose a directory with --state-dir, or disable the journal with --no-state")
            }
            _ => None,
        };
        let failure = Self { exit, ..Self::usage(error.to_string()) };
        let failure = hint.into_iter().fold(failure, Self::hint);
        match error {
            JournalError::File { error, .. }
            | JournalError::Lock(LockError::File { error, .. }) => failure.caused_by(error),
            _ => failure,
        }
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        let hint = error.hint.clone();
        let failure = Self::usage("cannot use the configuration").caused_by(error);
        Self { hint, ..failure }
    }
}

impl From<SignInError> for CliError {
    fn from(error: SignInError) -> Self {
        let (exit, request_ids) = (Exit::from(&error), request_ids(&error));
        let (hint, message) = (error.hint.clone(), error.to_string());
        Self { exit, hint, request_ids, message, source: error.source }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for CliError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// The hint after a run that was stopped. Glance has no request that continues an upload.
const CONTINUE: &str = "run the command again: it skips the images in place, and sends the image whose \
    upload was interrupted once more in full";

/// The hint if the target is a directory.
const CONTINUE_IN_DIRECTORY: &str = "run the command again to continue: it skips the images in place, \
    and continues an image where it stopped";
