//! The time at the beginning of a log line on standard error.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::terminal::Stream;

/// The time of day at a terminal. Elsewhere the date and time in UTC, in whole seconds.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    /// The operator's time zone, at a terminal.
    zone: Option<TimeZone>,
}

impl Clock {
    pub(super) fn of(stream: Stream) -> Self {
        Self { zone: stream.is_terminal().then(TimeZone::system) }
    }

    fn text(&self, now: Timestamp) -> String {
        match &self.zone {
            Some(zone) => zone.to_datetime(now).strftime("%H:%M:%S").to_string(),
            None => now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        }
    }
}

impl FormatTime for Clock {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        writer.write_str(&self.text(Timestamp::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_shows_the_time_of_day_and_a_file_the_date_too() {
        let now: Timestamp = "2026-11-30T23:05:09.9Z".parse().unwrap();
        let clock = |zone| Clock { zone };
        assert_eq!(clock(None).text(now), "2026-11-30T23:05:09Z");
        assert_eq!(clock(Some(TimeZone::fixed(jiff::tz::offset(2)))).text(now), "01:05:09");
    }
}
