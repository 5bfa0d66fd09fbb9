//! Keeps the events about one thing from coming too often.

use std::time::Duration;

use tokio::time::Instant;

/// Lets an event pass at most ten times a second.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    /// When an event passed last.
    last: Option<Instant>,
}

impl Throttle {
    /// Whether an event passes now. The first one does.
    pub(crate) fn passes(&mut self) -> bool {
        let passes = self.last.is_none_or(|last| last.elapsed() >= INTERVAL);
        if passes {
            self.last = Some(Instant::now());
        }
        passes
    }
}

/// The least time between two events.
const INTERVAL: Duration = Duration::from_millis(100);
