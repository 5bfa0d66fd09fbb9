//! Reading of lines with bounded memory.

use std::io::{self, BufRead, ErrorKind, Read};

/// The lines of a file, including their line ends.
pub struct Lines<R> {
    file: R,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `file`.
    pub fn of(file: R) -> Self {
        Self { file, line: Vec::new() }
    }

    /// Returns the next line; `None` at the end. The last line may lack a line end.
    ///
    /// # Errors
    /// `InvalidData` for a line that is longer than any that the tool writes.
    pub fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        let read = (&mut self.file).take(LONGEST).read_until(b'\n', &mut self.line)?;
        match (read, self.line.last()) {
            (0, _) => Ok(None),
            (_, Some(b'\n')) => Ok(Some(&self.line)),
            _ if read as u64 == LONGEST => Err(io::Error::new(
                ErrorKind::InvalidData,
                format!("a line has more than {} MiB", LONGEST >> 20),
            )),
            _ => Ok(Some(&self.line)),
        }
    }
}

/// The maximum length of a line in bytes.
const LONGEST: u64 = 1 << 20;
