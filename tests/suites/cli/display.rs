//! The options about messages: quiet, verbose, colours, and the last line.

use std::path::Path;

use super::replicator;
use crate::support::common::replicator_with;
use crate::support::old_dump::{ID, OTHER_ID, write_old_image};

/// An old dump with one good and one truncated image, and the directory of the new dump.
fn dumps(directory: &Path) -> (String, String) {
    let (old, new) = (directory.join("old"), directory.join("new"));
    std::fs::create_dir(&old).unwrap();
    write_old_image(&old, ID, 3, b"abc");
    write_old_image(&old, OTHER_ID, 3, b"ab");
    (old.to_str().unwrap().to_owned(), new.to_str().unwrap().to_owned())
}

#[test]
fn quiet_leaves_only_errors() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = dumps(directory.path());
    let report = directory.path().join("report");
    let run =
        replicator(&["load", &old, &new, "-q", "--report", report.to_str().unwrap()]).exits(6);
    assert_eq!(run.stdout, "");
    assert!(run.stderr.starts_with("error: image "), "{}", run.stderr);
    let report = std::fs::read_to_string(report).unwrap();
    assert!(report.contains(&format!("copied: {ID}")), "{report}");
    // Formats for programs are complete.
    let run = replicator(&["size", &old, "-q", "--output", "json"]).exits(0);
    assert!(run.stdout.contains("\"images\":2"), "{}", run.stdout);
    assert_eq!(replicator(&["size", &old, "--quiet"]).exits(0).stdout, "");
}

#[test]
fn the_last_line_has_the_bytes_the_time_the_rate_and_the_stores() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = dumps(directory.path());
    let run = replicator(&["load", &old, &new]).exits(6);
    let last = run.stdout.lines().last().unwrap();
    assert!(last.starts_with("3 B in 0."), "{last}");
    assert!(last.contains(" B/s, ") && last.ends_with(&format!(", {old} → {new}")), "{last}");
    // Without a terminal there are no escapes, and no progress in the first minute.
    let said = [&run.stdout, &run.stderr];
    assert!(!said.iter().any(|text| text.contains('\u{1b}') || text.contains("progress")));
}

#[test]
fn log_lines_begin_with_the_time() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = dumps(directory.path());
    let run = replicator(&["load", &old, &new, "-v", "--no-progress"]).exits(6);
    let is_logged = |line: &&str| {
        let date = line.get(..20).is_some_and(|time| time.starts_with("20") && time.ends_with('Z'));
        date && line[20..].trim_start().starts_with("INFO ")
    };
    assert!(run.stderr.lines().any(|line| is_logged(&line)), "{}", run.stderr);
    let more = replicator(&["load", &old, &new, "-vv"]);
    assert!(more.stderr.contains(" DEBUG "), "{}", more.stderr);
    let run = replicator(&["load", &old, &new, "-q", "-v"]).exits(2);
    assert!(run.stderr.contains("cannot be used with"), "{}", run.stderr);
}

#[test]
fn colours_are_used_on_request() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = dumps(directory.path());
    let bold_red = "\u{1b}[1m\u{1b}[31merror:\u{1b}[0m image ";
    for (when, variables, colored) in [
        ("always", &[][..], true),
        ("always", &[("NO_COLOR", "1")], true),
        ("never", &[], false),
        ("auto", &[("TERM", "xterm")], false),
    ] {
        let line = ["load", &old, &new, "--color", when];
        let run = replicator_with(&line, variables).exits(6);
        assert_eq!(run.stderr.contains(bold_red), colored, "{when}: {:?}", run.stderr);
        assert_eq!(run.stderr.contains('\u{1b}'), colored, "{when}: {:?}", run.stderr);
    }
}

#[test]
fn progress_is_refused_where_nothing_is_copied() {
    for option in ["--progress", "--no-progress"] {
        let run = replicator(&["size", "./x", option]).exits(2);
        assert!(run.stderr.contains("has no effect on size"), "{}", run.stderr);
    }
}
