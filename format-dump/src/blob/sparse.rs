//! A file with holes where its data is zero.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Writes a file from its beginning. What is zero is left out, so that the filesystem need not keep
/// it; what the file has already is not written again.
#[derive(Debug)]
pub(super) struct Sparse {
    file: Arc<File>,
    /// Bytes of data so far.
    length: u64,
    /// The end of what an earlier upload left in the file.
    begun: u64,
    /// For looking at that.
    found: Vec<u8>,
}

impl Sparse {
    /// A file that has `begun` bytes, which may be those that come.
    pub(super) fn new(file: Arc<File>, begun: u64) -> Self {
        Self { file, length: 0, begun, found: Vec::new() }
    }

    pub(super) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        let there = self.pass(data)?;
        self.put(&data[there..])
    }

    /// Makes the file as long as its data, and says how long that is.
    pub(super) fn finish(self) -> io::Result<u64> {
        if self.begun > self.length {
            self.file.set_len(self.length)?;
        }
        Ok(self.length)
    }

    /// The bytes at the beginning of `data` that the file has where they belong. From the first
    /// other one on, what it has is cut off.
    fn pass(&mut self, data: &[u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.begun.saturating_sub(self.length)).unwrap_or(usize::MAX);
        let data = &data[..data.len().min(rest)];
        if data.is_empty() {
            return Ok(0);
        }
        self.found.resize(data.len(), 0);
        // What can't be read is written anew.
        let read = self.file.read_exact_at(&mut self.found, self.length);
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

    /// Writes `data` behind all that the file has.
    fn put(&mut self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let zeros = self.run(data, true);
            self.length += zeros as u64;
            data = &data[zeros..];
            if data.is_empty() {
                // So that zeros at its end are begun, too, should no more come.
                return self.file.set_len(self.length);
            }
            let (rest, at) = (self.run(data, false), self.length);
            self.file.write_all_at(&data[..rest], at)?;
            self.length += rest as u64;
            data = &data[rest..];
        }
        Ok(())
    }

    /// The bytes at the beginning of `data` that are whole blocks of the file and zero, or not
    /// zero. The first and the last block may be parts of one.
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

/// What common filesystems keep or leave out at once.
const BLOCK: usize = 4096;
static ZEROS: [u8; BLOCK] = [0; BLOCK];
