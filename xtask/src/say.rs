//! The one place that prints.

use std::fmt::Display;

/// A line of progress or trouble, to standard error.
#[expect(clippy::print_stderr, reason = "the one place that does")]
pub(crate) fn say(line: impl Display) {
    eprintln!("{line}");
}

/// A line that was asked for, to standard output.
#[expect(clippy::print_stdout, reason = "the one place that does")]
pub(crate) fn print(line: impl Display) {
    println!("{line}");
}
