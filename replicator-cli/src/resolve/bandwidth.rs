//! The bandwidth limit of `--bwlimit`, following the local time.

use glance_core::rate_limit::{BandwidthLimits, ByteRateLimiter, Timetable};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::args::LimitArgs;
use crate::output;

/// The rate limiters of both sides.
pub(crate) fn bandwidth_limits(limits: &LimitArgs) -> BandwidthLimits {
    let Some(limit) = &limits.bwlimit else { return BandwidthLimits::default() };
    if let Err(error) = TimeZone::try_system() {
        tracing::debug!(
            "the times of --bwlimit are UTC because the local time zone is unknown: {error}"
        );
    }
    if let Some(rate) = limits.lowest_rate().filter(|rate| *rate < UNUSUAL) {
        output::warning(&format!(
            "--bwlimit {rate} is {rate} bytes per second; write a unit, such as 10M for 10 MiB"
        ));
    }
    BandwidthLimits { source: limiter(&limit.source), target: limiter(&limit.target) }
}

/// A lower rate, in bytes per second, probably lacks its unit.
const UNUSUAL: u64 = 1024;

/// The rate limiter of a timetable; `None` if the timetable never sets a limit.
fn limiter(timetable: &Timetable) -> Option<ByteRateLimiter> {
    timetable.lowest().map(|_| ByteRateLimiter::by(timetable.clone(), local_time))
}

/// The local time, or UTC if the time zone is unknown.
pub(crate) fn local_time() -> DateTime {
    TimeZone::system().to_datetime(Timestamp::now())
}
