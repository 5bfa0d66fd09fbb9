//! The time of day.

use std::time::SystemTime;

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

/// A time in milliseconds, as in reports: `2026-01-01T00:00:00.000Z`.
pub fn text(time: SystemTime) -> String {
    format!("{:.3}", Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_written_in_milliseconds() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_045_678);
        assert_eq!(text(time), "2023-11-14T22:13:20.045Z");
        assert_eq!(text(SystemTime::UNIX_EPOCH), "1970-01-01T00:00:00.000Z");
    }
}
