//! Log lines with their severity, for journald.

use std::io::{self, Write};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use crate::output::journal;

/// Begins each line with the prefix for the severity of its event, if journald reads the lines.
#[derive(Debug)]
pub(super) struct Levelled<M>(pub(super) M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Levelled<M> {
    type Writer = LevelledLine<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        LevelledLine { severity: journal::INFORMATIONAL, inner: self.0.make_writer() }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Self::Writer {
        LevelledLine { severity: severity(*event.level()), inner: self.0.make_writer_for(event) }
    }
}

/// The severity of an event.
pub(super) fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => journal::ERROR,
        Level::WARN => journal::WARNING,
        Level::INFO => journal::INFORMATIONAL,
        _ => journal::DEBUG,
    }
}

/// The writer of one line.
#[derive(Debug)]
pub(super) struct LevelledLine<W> {
    severity: u8,
    inner: W,
}

impl<W: Write> Write for LevelledLine<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let prefix = journal::prefix(self.severity);
        self.inner.write_all(&[prefix.as_bytes(), line].concat())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
