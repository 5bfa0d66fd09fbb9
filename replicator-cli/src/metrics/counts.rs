//! What a command counts for its metrics, for one target.

use std::collections::{BTreeMap, BTreeSet};

use replicator_engine::{CopyError, Done, LossKind, Outcome};

use crate::exit::Exit;

/// Numbers by word. The words of a list are the same in every run, so that no series disappears.
pub(super) type List = BTreeMap<&'static str, u64>;

/// The counts of one target.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// The number of images in each state.
    pub(super) states: List,
    /// The number of failures of each kind.
    pub(super) failures: List,
    /// The number of images that lost something.
    pub(super) lost: List,
    /// Bytes of image data that were copied.
    pub(super) bytes: u64,
    /// The exit for this target, once it is known.
    pub(super) exit: Option<Exit>,
}

impl Counts {
    /// Counts of images with these states.
    pub(super) fn of(states: &[&'static str]) -> Self {
        let none = |words: &[&'static str]| words.iter().map(|word| (*word, 0)).collect();
        let lost = [LossKind::Owner, LossKind::Members].map(LossKind::as_str);
        Self { states: none(states), failures: none(&KINDS), lost: none(&lost), ..Self::default() }
    }

    /// Counts an image with this state, and a failure if `exit` is that of a failure.
    pub(super) fn image(&mut self, state: &'static str, exit: Exit) {
        *self.states.entry(state).or_default() += 1;
        self.failure(exit);
    }

    /// Counts a failure if `exit` is that of a failure.
    pub(super) fn failure(&mut self, exit: Exit) {
        if let Some(kind) = kind(exit) {
            *self.failures.entry(kind).or_default() += 1;
        }
    }

    /// Counts the outcome of one image of a run.
    pub(super) fn outcome(&mut self, outcome: &Outcome, bytes: u64) {
        let exit = match &outcome.result {
            Ok(_) | Err(CopyError::BrokenOff) => Exit::Success,
            Err(error) => exit_of(error),
        };
        self.image(state(&outcome.result), exit);
        if matches!(&outcome.result, Ok(Done::Copied | Done::CopiedAs(_) | Done::Completed)) {
            self.bytes = self.bytes.saturating_add(bytes);
        }
        let lost: BTreeSet<LossKind> = outcome.losses.iter().map(|loss| loss.kind).collect();
        for lost in lost {
            *self.lost.entry(lost.as_str()).or_default() += 1;
        }
    }

    /// Records the number of images that were not started.
    pub(super) fn not_started(&mut self, images: u64) {
        self.states.insert(NOT_STARTED, images);
    }

    /// Records the exit at the end. A failure that is not that of an image counts once.
    pub(super) fn close(&mut self, exit: Exit) {
        self.exit = Some(exit);
        let Some(kind) = kind(exit) else { return };
        let known = match exit {
            Exit::SomeFailed => self.failures.values().sum(),
            _ => self.failures.get(kind).copied().unwrap_or(0),
        };
        if known == 0 {
            *self.failures.entry(kind).or_default() += 1;
        }
    }

    /// The number of images whose data is not as it should be.
    pub(super) fn integrity_failures(&self) -> u64 {
        self.failures.get(INTEGRITY).copied().unwrap_or(0)
    }
}

/// The exit that describes the failure of an image best. The exit code of a run only tells that
/// some images failed.
fn exit_of(error: &CopyError) -> Exit {
    match error {
        error if error.is_integrity_failure() => Exit::Integrity,
        CopyError::Source(error)
        | CopyError::Target(error)
        | CopyError::NotInStores { error, .. }
        | CopyError::IdUnavailable(error) => match Exit::from(error) {
            // A request for one image that a server does not accept.
            Exit::Usage => Exit::SomeFailed,
            exit => exit,
        },
        CopyError::Unresolved(error) => error.into(),
        error => error.into(),
    }
}

/// The kind of the failure with this exit; `None` if nothing failed.
fn kind(exit: Exit) -> Option<&'static str> {
    Some(match exit {
        Exit::Success | Exit::Differences | Exit::Lost => return None,
        Exit::Usage => "usage",
        Exit::SomeFailed => "other",
        Exit::Connection => "connection",
        Exit::Authentication => "authentication",
        Exit::Integrity => INTEGRITY,
        Exit::Held => "held",
        Exit::LimitReached => "limit",
        Exit::OutOfTime => "time_limit",
        Exit::HungUp | Exit::Interrupted | Exit::Terminated => "stopped",
    })
}

const INTEGRITY: &str = "integrity";

/// All kinds of failures.
const KINDS: [&str; 9] = [
    "authentication",
    "connection",
    "held",
    INTEGRITY,
    "limit",
    "other",
    "stopped",
    "time_limit",
    "usage",
];

/// The state of an image of a run, in the metrics and in the document.
pub(crate) fn state(result: &Result<Done, CopyError>) -> &'static str {
    match result {
        Ok(Done::Copied | Done::CopiedAs(_) | Done::Completed) => "copied",
        Ok(Done::Updated(_)) => "updated",
        Ok(Done::Removed(_)) => "removed",
        Ok(Done::InPlace) => "in_place",
        Ok(Done::Skipped(_)) => "skipped",
        Err(CopyError::BrokenOff) => "broken_off",
        Err(CopyError::InUse(_)) => "in_use",
        Err(_) => "failed",
    }
}

const NOT_STARTED: &str = "not_started";

/// All states of the images of a run.
pub(super) const OF_RUNS: [&str; 9] = [
    "broken_off",
    "copied",
    "failed",
    "in_place",
    "in_use",
    NOT_STARTED,
    "removed",
    "skipped",
    "updated",
];

/// All verdicts of `verify`.
pub(super) const OF_VERIFY: [&str; 12] = [
    "bad",
    "blocked",
    "content",
    "extra",
    "failed",
    "missing",
    "no data",
    "not chosen",
    "partial",
    "skipped",
    "unproven",
    "verified",
];
