//! A weekly timetable of bandwidth limits.

use std::collections::BTreeMap;
use std::str::FromStr;

use jiff::civil::{DateTime, Weekday};

use crate::units::byte_count;

/// A bandwidth limit in bytes per second for each time of the week. `None` means no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timetable {
    /// The rate from each minute of the week on, counted from Monday 00:00. At least one entry.
    rates: BTreeMap<u16, Option<u64>>,
}

/// The bandwidth limits of both sides of a copy.
///
/// Text form: a rate (`512k`, `10M`, `off`; powers of 1024), or two rates as `SOURCE:TARGET`; or a
/// list of such entries with start times, separated by spaces: `08:00,512k 19:00,10M:20M
/// Sat-00:00,off`. An entry applies until the next one; an entry without a weekday applies to every
/// day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bandwidth {
    /// The limit for reading from the source.
    pub source: Timetable,
    /// The limit for sending to targets.
    pub target: Timetable,
}

/// A text that is not a [`Bandwidth`], with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidBandwidth(String);

impl Timetable {
    /// The same rate at all times.
    pub fn always(rate: Option<u64>) -> Self {
        Self { rates: BTreeMap::from([(0, rate)]) }
    }

    /// The rate at `time`.
    pub fn at(&self, time: DateTime) -> Option<u64> {
        let [hour, minute] = [time.hour(), time.minute()].map(|part| part.unsigned_abs().into());
        let now = minute_of_week(time.weekday(), hour, minute);
        // Before the first entry of a week, the last entry of the previous week still applies.
        let holds = self.rates.range(..=now).next_back().or_else(|| self.rates.last_key_value());
        holds.and_then(|(_, rate)| *rate)
    }

    /// The lowest rate of the week; `None` if there is never a limit.
    pub fn lowest(&self) -> Option<u64> {
        self.rates.values().copied().flatten().min()
    }

    /// The highest rate of the week; `None` if there is a time without a limit.
    pub fn highest(&self) -> Option<u64> {
        let rates = self.rates.values().copied();
        rates.reduce(|one, other| Some(one?.max(other?))).flatten()
    }
}

impl FromStr for Bandwidth {
    type Err = InvalidBandwidth;

    fn from_str(text: &str) -> Result<Self, InvalidBandwidth> {
        if !text.contains(',') {
            let (source, target) = rates(text.trim())?;
            let [source, target] = [source, target].map(Timetable::always);
            return Ok(Self { source, target });
        }
        let (mut daily, mut special) = (BTreeMap::new(), BTreeMap::new());
        for entry in text.split_whitespace() {
            let (when, what) = entry.split_once(',').ok_or_else(|| no_entry(entry))?;
            let (day, time) = match when.split_once('-') {
                Some((day, time)) => (Some(weekday(day).ok_or_else(|| no_entry(entry))?), time),
                None => (None, when),
            };
            let (hour, minute) = clock(time).ok_or_else(|| no_entry(entry))?;
            let rates = rates(what)?;
            let known = match day {
                Some(day) => special.insert(minute_of_week(day, hour, minute), rates),
                None => daily.insert((hour, minute), rates),
            };
            if known.is_some() {
                return Err(InvalidBandwidth(format!("{when} has two rates")));
            }
        }
        let each_day = daily.iter().flat_map(|((hour, minute), rates)| {
            DAYS.map(|(_, day)| (minute_of_week(day, *hour, *minute), *rates))
        });
        let week: BTreeMap<u16, Rates> = each_day.chain(special).collect();
        let side = |rate: fn(&Rates) -> Option<u64>| Timetable {
            rates: week.iter().map(|(minute, rates)| (*minute, rate(rates))).collect(),
        };
        Ok(Self { source: side(|rates| rates.0), target: side(|rates| rates.1) })
    }
}

/// The rates for the source and for the target.
type Rates = (Option<u64>, Option<u64>);

/// Parses `RATE`, for both sides, or `SOURCE:TARGET`.
fn rates(text: &str) -> Result<Rates, InvalidBandwidth> {
    match text.split_once(':') {
        Some((source, target)) => Ok((rate(source)?, rate(target)?)),
        None => rate(text).map(|rate| (rate, rate)),
    }
}

fn rate(text: &str) -> Result<Option<u64>, InvalidBandwidth> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    match byte_count(text) {
        Ok(0) => Err(InvalidBandwidth(
            "the rate 0 would transfer no data; write `off` for no limit".into(),
        )),
        Ok(rate) => Ok(Some(rate)),
        Err(error) => Err(InvalidBandwidth(format!("{text:?} is not a rate: {error}, or `off`"))),
    }
}

/// Parses `HH:MM`.
fn clock(text: &str) -> Option<(u16, u16)> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| {
        text.parse().ok().filter(|_| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()))
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    (hour < 24 && minute < 60).then_some((hour, minute))
}

fn weekday(text: &str) -> Option<Weekday> {
    DAYS.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, day)| day)
}

fn minute_of_week(day: Weekday, hour: u16, minute: u16) -> u16 {
    let day = u16::from(day.to_monday_zero_offset().unsigned_abs());
    (day * 24 + hour) * 60 + minute
}

fn no_entry(text: &str) -> InvalidBandwidth {
    InvalidBandwidth(format!(
        "{text:?} is not a time and a rate; write 08:00,512k or Sat-08:00,512k"
    ))
}

const DAYS: [(&str, Weekday); 7] = [
    ("Mon", Weekday::Monday),
    ("Tue", Weekday::Tuesday),
    ("Wed", Weekday::Wednesday),
    ("Thu", Weekday::Thursday),
    ("Fri", Weekday::Friday),
    ("Sat", Weekday::Saturday),
    ("Sun", Weekday::Sunday),
];

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn parse(text: &str) -> Bandwidth {
        text.parse().unwrap()
    }

    /// A time in the week that begins on Monday, 5 January 2026.
    fn at(day: i8, hour: i8, minute: i8) -> DateTime {
        date(2026, 1, 5 + day).at(hour, minute, 59, 0)
    }

    #[test]
    fn one_rate_holds_all_the_time_and_for_both_sides() {
        for (text, source, target) in [
            ("1000", Some(1000), Some(1000)),
            ("512k", Some(512 << 10), Some(512 << 10)),
            ("10M:off", Some(10 << 20), None),
            ("OFF:1G", None, Some(1 << 30)),
            ("off", None, None),
        ] {
            let both = parse(text);
            assert_eq!(
                both,
                Bandwidth { source: Timetable::always(source), target: Timetable::always(target) }
            );
            assert_eq!(both.source.at(at(3, 4, 5)), source, "{text}");
            assert_eq!((both.target.lowest(), both.target.highest()), (target, target), "{text}");
        }
    }

    #[test]
    fn an_entry_holds_until_the_next() {
        let table = parse("08:00,1k 19:00,10k:20k 23:30,off Sat-08:00,off sun-20:15,7k");
        for (day, hour, minute, source) in [
            // Sunday's last entry applies until Monday's first one.
            (0, 0, 0, None),
            (0, 7, 59, None),
            (0, 8, 0, Some(1)),
            (4, 18, 59, Some(1)),
            (4, 19, 0, Some(10)),
            (4, 23, 29, Some(10)),
            (4, 23, 30, None),
            (5, 8, 0, None),
            (5, 19, 0, Some(10)),
            (6, 8, 0, Some(1)),
            (6, 20, 14, Some(10)),
            (6, 20, 15, Some(7)),
            (6, 23, 29, Some(7)),
        ] {
            let rate = table.source.at(at(day, hour, minute));
            assert_eq!(rate, source.map(|rate: u64| rate << 10), "{day} {hour}:{minute}");
        }
        assert_eq!(table.target.at(at(0, 20, 0)), Some(20 << 10));
        assert_eq!((table.source.lowest(), table.source.highest()), (Some(1 << 10), None));
        let never_off = parse("Mon-00:01,5 Tue-12:00,7").source;
        assert_eq!(never_off.at(at(0, 0, 0)), Some(7));
        assert_eq!(never_off.at(at(0, 0, 1)), Some(5));
        assert_eq!(never_off.at(at(1, 11, 59)), Some(5));
        assert_eq!(never_off.at(at(6, 23, 59)), Some(7));
        assert_eq!((never_off.lowest(), never_off.highest()), (Some(5), Some(7)));
    }

    #[test]
    fn what_is_no_limit_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "not a rate"),
            ("0", "would transfer no data"),
            ("10M:", "\"\" is not a rate"),
            ("10M:5M:1M", "\"5M:1M\" is not a rate"),
            ("10X", "write bytes as 512k, 10M, 1G or 1T"),
            ("10MB", "without B or b"),
            ("8:00,1k", "is not a time and a rate"),
            ("08:60,1k", "is not a time and a rate"),
            ("24:00,1k", "is not a time and a rate"),
            ("+8:00,1k", "is not a time and a rate"),
            ("Day-08:00,1k", "is not a time and a rate"),
            ("08:00,1k 19:00", "is not a time and a rate"),
            ("08:00,1k 08:00,2k", "08:00 has two rates"),
            ("08:00,0", "would transfer no data"),
        ] {
            let error = text.parse::<Bandwidth>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }
}
