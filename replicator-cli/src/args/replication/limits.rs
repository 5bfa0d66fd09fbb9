//! Rate limits, retries and timeouts.

use std::time::Duration;

use clap::Args;
use glance_core::rate_limit::{Bandwidth, Timetable};
use jiff::SignedDuration;

/// Rate limits, retries and timeouts of every command that connects to a server.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Limit the bytes per second, such as 10M
    ///
    /// The limit applies to all reads together, and separately to all sends together; units are
    /// powers of 1024. Two rates, such as 10M:2M, limit reading and sending. A timetable, such as
    /// "08:00,512k 19:00,10M Sat-00:00,off", changes the limit at these local times. Default: no
    /// limit.
    #[arg(long, global = true, value_name = "RATE|TIMETABLE")]
    pub bwlimit: Option<Bandwidth>,
    /// Limit the requests per second to the servers of each store, such as 10 or 0.5 (default: no
    /// limit)
    #[arg(long, global = true, value_name = "N", value_parser = per_second)]
    pub tpslimit: Option<f64>,
    /// Retry N times a request without image data that got no response or a temporary server error,
    /// and a download that broke off; 0 disables retries (default: the value in clouds.yaml, else
    /// 10; for `doctor` 0)
    #[arg(long, global = true, value_name = "N")]
    pub low_level_retries: Option<u32>,
    /// Stop connecting to a server, including the TLS handshake, after this time, such as 10s or 1m
    #[arg(long, global = true, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub connect_timeout: Duration,
    /// Give up a server that stays silent for this time, such as 30s or 5m
    #[arg(long, global = true, value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub idle_timeout: Duration,
}

impl LimitArgs {
    /// The lowest rate limit of either side at any time, in bytes per second; `None` without a
    /// limit.
    pub(crate) fn lowest_rate(&self) -> Option<u64> {
        let both = self.bwlimit.as_ref()?;
        [&both.source, &both.target].into_iter().filter_map(Timetable::lowest).min()
    }

    /// The highest rate limit, in bytes per second, of the side that is limited more; `None` if
    /// neither side is limited at all times.
    pub(crate) fn highest_rate(&self) -> Option<u64> {
        let both = self.bwlimit.as_ref()?;
        [&both.source, &both.target].into_iter().filter_map(Timetable::highest).min()
    }
}

fn per_second(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (0.001..=1_000_000.0).contains(&number) => Ok(number),
        _ => Err("write a number from 0.001 to 1000000".into()),
    }
}

/// Parses a duration such as `10s` or `1m30s`; a number without a unit is in seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().map(Duration::from_secs);
    let spelt = || text.parse::<SignedDuration>().ok()?.try_into().ok();
    let duration = seconds.or_else(spelt);
    let sensible = duration.filter(|time| (Duration::from_secs(1)..=LONGEST).contains(time));
    sensible.ok_or_else(|| {
        format!("{text:?} is not a duration from 1s to 30 days; write 30s, 5m or 1h")
    })
}

/// The longest duration accepted: longer ones are mistakes and overflow timers.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_rates_are_read() {
        let seconds = |text| duration(text).map(|duration| duration.as_secs_f64());
        assert_eq!(seconds("90"), Ok(90.0));
        assert_eq!(seconds("1m30s"), Ok(90.0));
        assert_eq!(seconds("1500ms"), Ok(1.5));
        for wrong in ["", "0", "999ms", "-5s", "5x", "999999999999", "31 days"] {
            assert!(duration(wrong).unwrap_err().contains("is not a duration"), "{wrong}");
        }
        assert_eq!(per_second("0.5"), Ok(0.5));
        for wrong in ["", "0", "-1", "NaN", "inf", "x"] {
            assert!(per_second(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_rates_of_both_sides_count() {
        let limits = |text: &str| LimitArgs {
            bwlimit: Some(text.parse().unwrap()),
            tpslimit: None,
            low_level_retries: None,
            connect_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(1),
        };
        let both = |text| (limits(text).lowest_rate(), limits(text).highest_rate());
        assert_eq!(both("10"), (Some(10), Some(10)));
        assert_eq!(both("10:off"), (Some(10), Some(10)));
        assert_eq!(both("08:00,5:20 09:00,30:9"), (Some(5), Some(20)));
        assert_eq!(both("08:00,5 09:00,off"), (Some(5), None));
        assert_eq!(both("off"), (None, None));
    }
}
