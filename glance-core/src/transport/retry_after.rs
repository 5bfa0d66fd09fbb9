//! The `Retry-After` header (RFC 9110, 10.2.3).

use std::time::Duration;

use http::{HeaderMap, HeaderName, header};
use jiff::Timestamp;

/// The delay that the server asks for, given in seconds or as a date. A value that cannot be parsed
/// is ignored.
pub(super) fn retry_after(answer: &HeaderMap) -> Option<Duration> {
    let said = answer.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if !said.is_empty() && said.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit means forever.
        return Some(said.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let until = date(said)?;
    // Relative to the server's own clock, which may be wrong.
    let now = named_date(answer, header::DATE).unwrap_or_else(Timestamp::now);
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
}

fn named_date(answer: &HeaderMap, name: HeaderName) -> Option<Timestamp> {
    date(answer.get(name)?.to_str().ok()?)
}

/// Parses the date format that servers must send. The two obsolete formats are not supported.
fn date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text).ok().map(|date| date.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In seconds.
    fn read(said: &str, date: Option<&str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, said.parse().unwrap());
        if let Some(date) = date {
            headers.insert(header::DATE, date.parse().unwrap());
        }
        retry_after(&headers).map(|after| after.as_secs())
    }

    #[test]
    fn both_forms_are_understood() {
        let now = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        for (said, date, seconds) in [
            ("0", None, Some(0)),
            (" 120 ", None, Some(120)),
            ("99999999999999999999999", None, Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", now, Some(30)),
            // The past, by the server's clock and by the local clock.
            ("Sun, 06 Nov 1994 08:49:07 GMT", now, Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", None, Some(0)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some("nonsense"), Some(0)),
            ("-5", None, None),
            ("1.5", None, None),
            ("", None, None),
            ("soon", None, None),
        ] {
            assert_eq!(read(said, date), seconds, "{said:?}");
        }
        assert!(read("Tue, 01 Jan 2999 00:00:00 GMT", None).unwrap() > 1_000_000_000);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
