//! How far the copy of an image is.

use std::fmt;
use std::time::Duration;

/// How far the copy of one image is, at all targets that are in work together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The bytes read from the source.
    pub read: Moved,
    /// How long the copy has waited so far.
    pub waited: Waited,
    /// The copy at each target.
    pub targets: Vec<TargetProgress>,
}

/// Bytes that were moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Number of bytes so far, all attempts together. It never decreases.
    pub total: u64,
    /// The position in the image's data. It decreases when data is sent again.
    pub position: u64,
}

/// How long a copy has waited so far, and what for. The times never decrease. What limits a run now
/// is where these times grow most. A copy waits for one thing at a time, except with several targets
/// or several streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waited {
    /// For bytes of the source.
    pub source: Duration,
    /// For this machine's processor: for the threads that compute digests, or because all threads of
    /// the runtime are busy.
    pub processor: Duration,
    /// For the bandwidth limit of the policy.
    pub bandwidth: Duration,
    /// For the disk of the spool.
    pub spool: Duration,
    /// For the targets to take bytes, the slowest one where several share one read. The time until
    /// the target has stored the last byte counts, too.
    pub targets: Duration,
}

impl Waited {
    /// The sums of these times and of others.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self {
            source: self.source + more.source,
            processor: self.processor + more.processor,
            bandwidth: self.bandwidth + more.bandwidth,
            spool: self.spool + more.spool,
            targets: self.targets + more.targets,
        }
    }

    /// How much longer these times are than those of an earlier moment.
    #[must_use]
    pub fn minus(self, earlier: Self) -> Self {
        Self {
            source: self.source.saturating_sub(earlier.source),
            processor: self.processor.saturating_sub(earlier.processor),
            bandwidth: self.bandwidth.saturating_sub(earlier.bandwidth),
            spool: self.spool.saturating_sub(earlier.spool),
            targets: self.targets.saturating_sub(earlier.targets),
        }
    }
}

/// The copy of an image at one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetProgress {
    /// The target.
    pub target: usize,
    /// The bytes sent to the target.
    pub sent: Moved,
    /// What the copy is doing now.
    pub activity: Activity,
}

/// What the copy of an image at one target is doing now. `Display` writes the words of displays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Activity {
    /// The record at the target is made, or the first bytes are checked.
    #[default]
    Preparing,
    /// Data moves, and nothing but the source limits it.
    Reading,
    /// Data moves, and the threads that compute digests limit it.
    Hashing,
    /// Data moves, and the target limits it.
    Sending,
    /// Data moves, and the bandwidth limit of the policy limits it.
    Throttled,
    /// Data moves, and the disk of the spool limits it.
    Spooling,
    /// No byte has come from the source for some time.
    WaitingForSource,
    /// The target has taken no byte for some time.
    WaitingForTarget,
    /// The target has all bytes and has not confirmed yet that they are stored.
    Storing,
    /// The target imports the data itself.
    Importing,
    /// The stored data is compared with the source's data.
    Verifying,
    /// The proven image is made visible to its users.
    Publishing,
}

impl Activity {
    /// Whether data moves.
    pub fn moves_data(self) -> bool {
        use Activity::{Hashing, Reading, Sending, Spooling, Throttled};
        matches!(self, Reading | Hashing | Sending | Throttled | Spooling)
    }

    /// The words of displays.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Reading => "reading",
            Self::Hashing => "hashing",
            Self::Sending => "sending",
            Self::Throttled => "limited by --bwlimit",
            Self::Spooling => "spooling",
            Self::WaitingForSource => "waiting for the source",
            Self::WaitingForTarget => "waiting for the target",
            Self::Storing => "target stores",
            Self::Importing => "importing",
            Self::Verifying => "verifying",
            Self::Publishing => "publishing",
        }
    }
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What the copy of an image to one target took, all attempts of the run together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spent {
    /// Time in work. The time between two attempts does not count.
    pub time: Duration,
    /// Number of bytes read from the source, for all targets together.
    pub read: u64,
    /// Number of bytes sent to the target.
    pub sent: u64,
    /// Number of times that data was sent to the target.
    pub attempts: u32,
}

impl Spent {
    /// What two parts of the work took together.
    pub(crate) fn plus(self, more: Self) -> Self {
        Self {
            time: self.time + more.time,
            read: self.read + more.read,
            sent: self.sent + more.sent,
            attempts: self.attempts + more.attempts,
        }
    }
}
