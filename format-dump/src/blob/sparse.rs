//! A file with holes where its data is zero.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Writes a new file from its beginning. What is zero is left out, so that the filesystem need not
/// keep it.
#[derive(Debug)]
pub(super) struct Sparse {
    file: File,
    length: u64,
}

impl Sparse {
    pub(super) fn new(file: File) -> Self {
        Self { file, length: 0 }
    }

    pub(super) fn write(&mut self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let zeros = self.run(data, true);
            self.length += zeros as u64;
            data = &data[zeros..];
            let (rest, at) = (self.run(data, false), self.length);
            self.file.write_all_at(&data[..rest], at)?;
            self.length += rest as u64;
            data = &data[rest..];
        }
        Ok(())
    }

    /// Makes the file as long as its data.
    pub(super) fn finish(self) -> io::Result<File> {
        self.file.set_len(self.length)?;
        Ok(self.file)
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
