//! Sizes, rates and times in few characters.

use std::time::Duration;

const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

/// A position in data of a known or unknown size, such as `1.2/2.0 GiB`. At most 13 characters.
pub(super) fn bytes_of(position: u64, size: Option<u64>) -> String {
    let Some(size) = size else { return bytes(position) };
    let unit = unit_of(size);
    let number = |bytes| number(bytes, unit);
    format!("{}/{} {}", number(position), number(size), UNITS[unit])
}

/// A number of bytes, such as `1.2 GiB`.
pub(super) fn bytes(bytes: u64) -> String {
    let unit = unit_of(bytes);
    format!("{} {}", number(bytes, unit), UNITS[unit])
}

/// A rate in bytes per second, such as `85.2 MiB/s`. At most 10 characters.
pub(super) fn rate(per_second: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is far from the limits of the type"
    )]
    let per_second = per_second.max(0.0) as u64;
    format!("{}/s", bytes(per_second))
}

/// A time such as `0:07`, `12:34` or `1:02:03`.
pub(super) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// A time in words, such as `7 s`, `12 min 34 s` or `1 h 2 min`.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) if seconds < 10 => format!("{:.1} s", time.as_secs_f64()),
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// The unit in which a number is below 1000.
fn unit_of(bytes: u64) -> usize {
    let fits = |unit: &usize| bytes >> (10 * unit) < 1000;
    (0..UNITS.len()).find(fits).unwrap_or(UNITS.len() - 1)
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn number(bytes: u64, unit: usize) -> String {
    let number = bytes as f64 / (1_u64 << (10 * unit)) as f64;
    match unit {
        0 => format!("{bytes}"),
        _ if number < 99.95 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short_and_share_a_unit() {
        let gib = 1 << 30;
        for (position, size, text) in [
            (0, Some(2 * gib), "0.0/2.0 GiB"),
            (1288490188, Some(2 * gib), "1.2/2.0 GiB"),
            (5 << 20, Some(1000 << 20), "0.0/1.0 GiB"),
            (5 << 20, Some(999 << 20), "5.0/999 MiB"),
            (700, Some(999), "700/999 B"),
            (999 * gib, Some(999 * gib), "999/999 GiB"),
            (gib, None, "1.0 GiB"),
            (0, Some(0), "0/0 B"),
        ] {
            let found = bytes_of(position, size);
            assert_eq!(found, text);
            assert!(found.len() <= 13);
        }
        assert_eq!(rate(89_128_960.0), "85.0 MiB/s");
        assert_eq!(rate(0.4), "0 B/s");
        assert!((0..50).all(|bits| rate((1_u64 << bits) as f64 * 1.3).len() <= 10));
    }

    #[test]
    fn times_are_read_at_a_glance() {
        let seconds = Duration::from_secs;
        assert_eq!([7, 754, 3723].map(|it| clock(seconds(it))), ["0:07", "12:34", "1:02:03"]);
        let words = [7, 59, 754, 3723].map(|it| duration(seconds(it)));
        assert_eq!(words, ["7.0 s", "59 s", "12 min 34 s", "1 h 2 min"]);
    }
}
