//! Retry limits.

use std::time::Duration;

use glance_core::transport::backoff::Backoff;

/// How often, and after which pauses, a run retries what can succeed without any change by an
/// operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// The number of consecutive retries without progress: of reads from the source that yield
    /// almost no data, and of status requests to the target that fail after an unanswered upload.
    pub low_level: usize,
    /// How often the data of one image is sent again into the same record.
    pub per_image: usize,
    /// How often failed images are retried at the end of a run.
    pub per_run: usize,
    /// The pauses between attempts.
    pub pauses: Backoff,
    /// The longest time to wait until a target finishes or gives up an upload that got no answer.
    pub settling: Duration,
}

impl Retries {
    /// No retries.
    pub const NONE: Self = Self {
        low_level: 0,
        per_image: 0,
        per_run: 0,
        pauses: Backoff::NONE,
        settling: Duration::ZERO,
    };
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            low_level: 10,
            per_image: 3,
            per_run: 3,
            pauses: Backoff::default(),
            // The target's storage may be busy with the received data for that long.
            settling: Duration::from_secs(60 * 60),
        }
    }
}
