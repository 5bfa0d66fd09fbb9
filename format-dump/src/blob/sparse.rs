//! Writes files with holes in place of zeros.

use std::fs::File;
use std::io;
use std::sync::Arc;

use safe_files::positioned::{read_exact_at, write_all_at};

/// Writes a file sequentially. Blocks of zeros become holes, and bytes that the file already
/// contains are not written again.
#[derive(Debug)]
pub(super) struct Sparse {
    file: Arc<File>,
    /// The number of bytes processed so far.
    length: u64,
    /// The length of the data left by an earlier upload.
    begun: u64,
    /// A buffer for comparing that data.
    found: Vec<u8>,
}

impl Sparse {
    /// Starts on a file with `begun` bytes, which may equal the bytes to be written.
    pub(super) fn new(file: Arc<File>, begun: u64) -> Self {
        Self { file, length: 0, begun, found: Vec::new() }
    }

    pub(super) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        let there = self.pass(data)?;
        self.put(&data[there..])
    }

    /// Sets the length of the file to that of the data, and returns the length.
    pub(super) fn finish(self) -> io::Result<u64> {
        if self.begun > self.length {
            self.file.set_len(self.length)?;
        }
        Ok(self.length)
    }

    /// Returns how many bytes at the beginning of `data` the file already contains. Truncates the
    /// file at the first difference.
    fn pass(&mut self, data: &[u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.begun.saturating_sub(self.length)).unwrap_or(usize::MAX);
        let data = &data[..data.len().min(rest)];
        if data.is_empty() {
            return Ok(0);
        }
        self.found.resize(data.len(), 0);
        // Unreadable bytes are written again.
        let read = read_exact_at(&self.file, &mut self.found, self.length);
        let same = match read {
            Ok(()) if self.found == data => data.len(),
            Ok(()) => self.found.iter().zip(data).take_while(|(one, other)| one == other).count(),
            Err(_) => 0,
        };
        self.length += same as u64;
        if same < data.len() {
            self.file.set_len(self.length)?;
            self.begun = self.length;
        }
        Ok(same)
    }

    /// Writes `data` at the current position, after all existing data.
    fn put(&mut self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let zeros = self.run(data, true);
            self.length += zeros as u64;
            data = &data[zeros..];
            if data.is_empty() {
                // So that a resumed upload can count trailing zeros as received.
                return self.file.set_len(self.length);
            }
            let (rest, at) = (self.run(data, false), self.length);
            write_all_at(&self.file, &data[..rest], at)?;
            self.length += rest as u64;
            data = &data[rest..];
        }
        Ok(())
    }

    /// The length of the leading run of blocks in `data` that are all zero, or not all zero. Blocks
    /// are aligned to the file, so the first and the last may be partial.
    fn run(&self, data: &[u8], zero: bool) -> usize {
        let mut end = 0;
        while end < data.len() {
            #[expect(clippy::cast_possible_truncation, reason = "less than a block")]
            let into_block = ((self.length + end as u64) % BLOCK as u64) as usize;
            let block = &data[end..data.len().min(end + BLOCK - into_block)];
            if (block == &ZEROS[..block.len()]) != zero {
                break;
            }
            end += block.len();
        }
        end
    }
}

/// The block size of common filesystems, and so the smallest hole.
const BLOCK: usize = 4096;
static ZEROS: [u8; BLOCK] = [0; BLOCK];
