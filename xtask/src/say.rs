//! The one place that prints.

use std::fmt::Display;
use std::io::{self, Write};

/// A line of progress or trouble, to standard error.
pub(crate) fn say(line: impl Display) {
    // When nobody reads it any more, the work goes on.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// A line that was asked for, to standard output.
pub(crate) fn print(line: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}
