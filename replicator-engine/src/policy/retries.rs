//! How often is tried again what can succeed later.

use std::time::Duration;

use glance_core::transport::backoff::Pauses;

/// How often, and after which pauses, a run tries again what can succeed without anybody changing
/// anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// How often in a row the source is asked for the rest of an image's data, as long as hardly
    /// anything of it comes; and the target what became of an upload, as long as no answer comes.
    pub low_level: usize,
    /// How often the data of one image is sent to the target again, into the same record.
    pub per_image: usize,
    /// How often the images that failed are tried again at the end of a run.
    pub per_run: usize,
    /// The pauses in between.
    pub pauses: Pauses,
    /// How long a target may take to make up its mind about an upload that was not answered.
    pub settling: Duration,
}

impl Retries {
    /// Nothing is tried again.
    pub const NONE: Self = Self {
        low_level: 0,
        per_image: 0,
        per_run: 0,
        pauses: Pauses::NONE,
        settling: Duration::ZERO,
    };
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            low_level: 10,
            per_image: 3,
            per_run: 3,
            pauses: Pauses::default(),
            // Storage may be busy with what it was given for that long.
            settling: Duration::from_secs(60 * 60),
        }
    }
}
