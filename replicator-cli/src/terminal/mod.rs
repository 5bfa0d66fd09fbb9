//! Standard output and standard error, and the live lines at the bottom of the terminal.
//!
//! Live lines are drawn again and again in the same place. Everything else that the process writes
//! goes through [`write`], which puts it above the live lines. The cursor is never hidden: it stands
//! on the empty line below the live lines, so a killed process leaves the terminal usable.
//!
//! A progress library erases as many rows as it has drawn. That is wrong after the terminal became
//! narrower and broke the drawn lines into more rows, so this module counts the rows anew.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use terminal_size::{Height, Width};

mod style;
mod width;

pub(crate) use style::{Tone, choose_colors, painted};
pub(crate) use width::{columns_of, fitted};

/// A standard stream of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    pub(crate) fn is_terminal(self) -> bool {
        match self {
            Self::Out => io::stdout().is_terminal(),
            Self::Err => io::stderr().is_terminal(),
        }
    }

    fn write_all(self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Out => io::stdout().lock().write_all(bytes),
            Self::Err => io::stderr().lock().write_all(bytes),
        }
    }
}

/// A line of the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LiveLine {
    /// The text, with its colours.
    pub(crate) text: String,
    /// The number of columns that the text takes.
    pub(crate) columns: usize,
}

/// The size of the terminal of standard error in columns and rows; `None` if it has none.
pub(crate) fn size() -> Option<(usize, usize)> {
    let (Width(columns), Height(rows)) = terminal_size::terminal_size_of(io::stderr())?;
    (columns > 0 && rows > 0).then_some((columns.into(), rows.into()))
}

/// Writes to a stream, above the live lines.
pub(crate) fn write(stream: Stream, bytes: &[u8]) -> io::Result<()> {
    let mut screen = screen();
    if !stream.is_terminal() {
        return stream.write_all(bytes);
    }
    if !screen.live.is_empty() && screen.is_drawn {
        Stream::Err.write_all(screen.erasure(size()).as_bytes())?;
        screen.is_drawn = false;
    }
    stream.write_all(bytes)?;
    if let Some(last) = bytes.last() {
        screen.is_in_line = *last != b'\n';
    }
    if stream == Stream::Out {
        io::stdout().lock().flush()?;
    }
    screen.draw(size())
}

/// Shows these lines at the bottom of the terminal, in place of the lines shown before.
pub(crate) fn show(lines: Vec<LiveLine>) {
    let mut screen = screen();
    if screen.is_closed {
        return;
    }
    let frame = screen.frame(lines, size());
    // Without a terminal, the live lines are lost, and nothing else.
    let _ = Stream::Err.write_all(frame.as_bytes());
}

/// Notes that the operator has ended the current line. The live lines are drawn again.
pub(crate) fn line_ended() {
    let mut screen = screen();
    screen.is_in_line = false;
    // Without a terminal, the live lines are lost, and nothing else.
    let _ = screen.draw(size());
}

/// Removes the live lines.
pub(crate) fn clear() {
    show(Vec::new());
}

/// Removes the live lines, and shows none from now on.
pub(crate) fn close() {
    clear();
    screen().is_closed = true;
}

/// What the terminal shows.
#[derive(Debug, Default)]
struct Screen {
    live: Vec<LiveLine>,
    /// Whether the live lines are on the terminal.
    is_drawn: bool,
    /// Whether the text above does not end with a line feed. The live lines wait until it does.
    is_in_line: bool,
    /// The columns of the terminal when the live lines were drawn.
    columns: usize,
    /// Whether no live lines are shown any more.
    is_closed: bool,
}

impl Screen {
    /// The text that erases the live lines and moves the cursor to the first of them. The rows are
    /// erased one by one: a terminal with a history, such as tmux, keeps the text of a screen that is
    /// erased as a whole.
    fn erasure(&self, size: Option<(usize, usize)>) -> String {
        format!("\r\u{1b}[K{}", "\u{1b}[1A\u{1b}[2K".repeat(self.rows(size)))
    }

    /// The number of rows that the drawn lines take now. A terminal that became narrower breaks
    /// lines into several rows.
    fn rows(&self, size: Option<(usize, usize)>) -> usize {
        let columns = size.map_or(self.columns, |(columns, _)| columns).max(1);
        if columns >= self.columns || !breaks_lines() {
            return self.live.len();
        }
        self.live.iter().map(|line| line.columns.max(1).div_ceil(columns)).sum()
    }

    /// The text that replaces the drawn lines by `lines`.
    fn frame(&mut self, lines: Vec<LiveLine>, size: Option<(usize, usize)>) -> String {
        let columns = size.map_or(0, |(columns, _)| columns);
        let before = if self.is_drawn { self.live.len() } else { 0 };
        let is_in_place = columns == self.columns && !lines.is_empty();
        let mut frame = match (before, is_in_place) {
            (0, _) => String::new(),
            // Lines that are overwritten in place do not flicker.
            (rows, true) => format!("\r\u{1b}[{rows}A"),
            (_, false) => self.erasure(size),
        };
        self.live = lines;
        if self.is_in_line {
            self.is_drawn = false;
            return String::new();
        }
        // The whole row is erased before it is written. Of a row whose end alone is erased, tmux
        // remembers the former length, and makes two rows of it in a narrower terminal.
        for line in &self.live {
            let _ = writeln!(frame, "\u{1b}[2K{}", line.text);
        }
        if !self.live.is_empty() {
            // Below, there may be earlier lines, or what the operator typed.
            frame.push_str("\u{1b}[J");
        }
        (self.is_drawn, self.columns) = (!self.live.is_empty(), columns);
        frame
    }

    /// Draws the live lines again after they were erased.
    fn draw(&mut self, size: Option<(usize, usize)>) -> io::Result<()> {
        let lines = std::mem::take(&mut self.live);
        let frame = self.frame(lines, size);
        Stream::Err.write_all(frame.as_bytes())
    }
}

/// Whether the terminal breaks lines that no longer fit when it becomes narrower. xterm and the
/// console of Linux cut them off.
fn breaks_lines() -> bool {
    let is_set = |name| std::env::var_os(name).is_some();
    let is_console = std::env::var_os("TERM").is_some_and(|term| term == "linux");
    is_set("TMUX") || !(is_set("XTERM_VERSION") || is_console)
}

fn screen() -> MutexGuard<'static, Screen> {
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

static SCREEN: Mutex<Screen> = Mutex::new(Screen {
    live: Vec::new(),
    is_drawn: false,
    is_in_line: false,
    columns: 0,
    is_closed: false,
});

/// A writer to one of the streams, above the live lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writer(pub(crate) Stream);

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write(self.0, bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0 {
            Stream::Out => io::stdout().lock().flush(),
            Stream::Err => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<LiveLine> {
        let line = |text: &&str| LiveLine { text: (*text).to_owned(), columns: text.len() };
        texts.iter().map(line).collect()
    }

    /// One row up, erased.
    const ERASED: &str = "\u{1b}[1A\u{1b}[2K";

    const WIDE: Option<(usize, usize)> = Some((20, 5));

    #[test]
    fn lines_are_overwritten_in_place_and_the_rest_is_erased() {
        let mut screen = Screen::default();
        assert_eq!(screen.frame(lines(&["a", "b"]), WIDE), "\u{1b}[2Ka\n\u{1b}[2Kb\n\u{1b}[J");
        assert_eq!(
            screen.frame(lines(&["c", "d"]), WIDE),
            "\r\u{1b}[2A\u{1b}[2Kc\n\u{1b}[2Kd\n\u{1b}[J"
        );
        assert_eq!(screen.frame(lines(&["e"]), WIDE), "\r\u{1b}[2A\u{1b}[2Ke\n\u{1b}[J");
        assert_eq!(screen.frame(Vec::new(), WIDE), format!("\r\u{1b}[K{ERASED}"));
        assert_eq!(screen.frame(Vec::new(), WIDE), "");
    }

    #[test]
    fn a_narrower_terminal_has_more_rows_to_erase() {
        let mut screen = Screen::default();
        screen.frame(lines(&["12345678901234567", "123", ""]), WIDE);
        assert_eq!(screen.rows(WIDE), 3);
        assert_eq!(screen.rows(Some((30, 5))), 3);
        let rows = if breaks_lines() { 4 } else { 3 };
        assert_eq!(screen.rows(Some((10, 5))), rows);
        let frame = screen.frame(lines(&["x"]), Some((10, 5)));
        assert_eq!(frame, format!("\r\u{1b}[K{}\u{1b}[2Kx\n\u{1b}[J", ERASED.repeat(rows)));
    }

    #[test]
    fn lines_wait_for_the_end_of_the_line_above() {
        let mut screen = Screen { is_in_line: true, ..Screen::default() };
        assert_eq!(screen.frame(lines(&["a"]), WIDE), "");
        screen.is_in_line = false;
        assert_eq!(screen.frame(lines(&["a"]), WIDE), "\u{1b}[2Ka\n\u{1b}[J");
    }
}
