//! Severities for journald. If journald reads standard error, a line that begins with `<N>` has the
//! severity N of syslog (sd-daemon(3)).

#[cfg(unix)]
use std::fs::{self, Metadata};
#[cfg(unix)]
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

/// The severity of an error.
pub(crate) const ERROR: u8 = 3;
/// The severity of a warning.
pub(crate) const WARNING: u8 = 4;
/// The severity of an informational message.
pub(crate) const INFORMATIONAL: u8 = 6;
/// The severity of a message for debugging.
pub(crate) const DEBUG: u8 = 7;

/// The prefix of a line on standard error with this severity; empty unless journald reads it.
pub(crate) fn prefix(severity: u8) -> String {
    match READS_MESSAGES.get_or_init(reads_messages) {
        true => format!("<{severity}>"),
        false => String::new(),
    }
}

static READS_MESSAGES: OnceLock<bool> = OnceLock::new();

/// The severity of a line of messages.
pub(super) fn severity(line: &str) -> u8 {
    match line {
        // The causes and the hint of an error are indented.
        _ if line.starts_with("error") || line.starts_with("  ") => ERROR,
        _ if line.starts_with("warning") => WARNING,
        _ => INFORMATIONAL,
    }
}

#[cfg(not(unix))]
fn reads_messages() -> bool {
    false
}

#[cfg(unix)]
fn reads_messages() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    fs::metadata("/dev/stderr").is_ok_and(|found| is_stream(&stream, &found))
}

/// Whether `JOURNAL_STREAM` names this file, by device and inode.
#[cfg(unix)]
fn is_stream(stream: &str, found: &Metadata) -> bool {
    stream.split_once(':').is_some_and(|(device, inode)| {
        device.parse() == Ok(found.dev()) && inode.parse() == Ok(found.ino())
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_stream_of_the_journal_is_named_by_device_and_inode() {
        let file = fs::metadata("Cargo.toml").unwrap();
        let (device, inode) = (file.dev(), file.ino());
        assert!(is_stream(&format!("{device}:{inode}"), &file));
        for other in [format!("{device}:{}", inode + 1), format!("{}:{inode}", device + 1)] {
            assert!(!is_stream(&other, &file), "{other}");
        }
        for wrong in ["", ":", "x:y", "12"] {
            assert!(!is_stream(wrong, &file), "{wrong}");
        }
    }

    #[test]
    fn the_lines_of_an_error_have_the_severity_of_an_error() {
        for (line, expected) in [
            ("error: no connection", ERROR),
            ("  caused by: a cause", ERROR),
            ("  hint: a remedy", ERROR),
            ("warning: no image matches", WARNING),
            ("stopped by signal 2", INFORMATIONAL),
        ] {
            assert_eq!(severity(line), expected, "{line}");
        }
    }
}
