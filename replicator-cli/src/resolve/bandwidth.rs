//! The bandwidth limit of `--bwlimit`, following the local time.

use glance_core::rate_limit::{Bandwidth, BandwidthLimits, ByteRateLimiter, Timetable};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The rate limiters of both sides.
pub(crate) fn bandwidth_limits(limit: Option<&Bandwidth>) -> BandwidthLimits {
    let Some(limit) = limit else { return BandwidthLimits::default() };
    if let Err(error) = TimeZone::try_system() {
        tracing::debug!(
            "the times of --bwlimit are UTC because the local time zone is unknown: {error}"
        );
    }
    BandwidthLimits { source: limiter(&limit.source), target: limiter(&limit.target) }
}

/// The rate limiter of a timetable; `None` if the timetable never sets a limit.
fn limiter(timetable: &Timetable) -> Option<ByteRateLimiter> {
    timetable.lowest().map(|_| ByteRateLimiter::by(timetable.clone(), local_time))
}

/// The local time, or UTC if the time zone is unknown.
fn local_time() -> DateTime {
    TimeZone::system().to_datetime(Timestamp::now())
}
