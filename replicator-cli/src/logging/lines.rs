//! Log lines on standard error, with the level in colour.

use std::io::{self, Write};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use crate::terminal::{self, Stream, Tone, painted};

/// Writes log lines to standard error, above the live lines of the terminal.
#[derive(Debug)]
pub(super) struct Lines;

/// The writer of one line.
#[derive(Debug)]
pub(super) struct Line {
    level: Option<Level>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { level: None }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Line {
        Line { level: Some(*event.level()) }
    }
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let text = match self.level {
            Some(level) => with_color(&text, level),
            None => text.into_owned(),
        };
        terminal::write(Stream::Err, text.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The line with the word of its level in colour. The word follows the time.
fn with_color(line: &str, level: Level) -> String {
    let tone = match level {
        Level::ERROR => Tone::Bad,
        Level::WARN => Tone::Notice,
        Level::INFO => Tone::Plain,
        _ => Tone::Weak,
    };
    let word = level.as_str();
    line.replacen(word, &painted(Stream::Err, tone, word), 1)
}
