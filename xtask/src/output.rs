//! The only module that prints.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes a line of progress or diagnostics to standard error.
pub(crate) fn say(line: impl Display) {
    // The work continues even if standard error is closed.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes a line of requested output to standard output.
pub(crate) fn print(line: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}
