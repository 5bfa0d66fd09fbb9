//! The time of day.

use jiff::Timestamp;

/// The current time in whole seconds, as in records: `2026-01-01T00:00:00Z`.
pub fn now() -> String {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

/// The current time in whole seconds since the Unix epoch.
pub fn seconds() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or(0)
}
