//! Log lines with control characters escaped.

use std::io::{self, Write};

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use crate::output::escaped;

/// Writes each event immediately to the wrapped writer, as one line with control characters
/// escaped.
#[derive(Debug)]
pub(super) struct Escaped<W>(pub(super) W);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Escaped<M> {
    type Writer = Escaped<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Escaped(self.0.make_writer())
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Self::Writer {
        Escaped(self.0.make_writer_for(event))
    }
}

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        self.0.write_all(format!("{}\n", escaped(line)).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt;

    use super::*;

    /// The bytes written to the log.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_line_without_controls() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = fmt().with_writer(Escaped(move || writer.clone())).with_ansi(false);
        let subscriber = subscriber.without_time().with_target(false).finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!("a\n ERROR b\u{1b}[2J\u{9b}{}\u{202e}", "\r\u{2028}");
            tracing::warn!(name = "\n\u{202e}", "c");
        });
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.split('\n').collect();
        assert_eq!(lines.len(), 3, "{text:?}");
        assert!(lines[0].starts_with(" WARN a\\n ERROR b") && lines[2].is_empty(), "{text:?}");
        let odd = |c: char| c != '\n' && (c.is_control() || "\u{202e}\u{2028}".contains(c));
        assert!(!text.contains(odd), "{text:?}");
    }
}
