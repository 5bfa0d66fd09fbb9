//! A number in a file that several processes raise.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::{FlockOperation, flock};

use crate::dir::Dir;

/// A number in a file that several processes raise. A process that also counts how often it raised
/// the number itself knows whether others did.
///
/// ```
/// # use safe_files::{dir::Dir, shared_counter::SharedCounter};
/// # let directory = tempfile::tempdir()?;
/// let directory = Dir::open(directory.path())?;
/// let ours = SharedCounter::open(&directory, "count")?;
/// let theirs = SharedCounter::open(&directory, "count")?;
/// assert_eq!(ours.raise()?, 1);
/// assert_eq!(theirs.raise()?, 2);
/// assert_eq!(ours.raise()?, 3);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct SharedCounter {
    // The lock on the file is one for all threads of this process.
    file: Mutex<File>,
    directory: Dir,
    name: PathBuf,
}

impl SharedCounter {
    /// Opens the counter in the file `name`. A missing file is created, and counts as 0.
    ///
    /// # Errors
    /// When the file cannot be opened, created, locked, read or written.
    pub fn open(directory: &Dir, name: impl AsRef<Path>) -> io::Result<Self> {
        let (file, _) = directory.open_or_create(&name)?;
        let (directory, name) = (directory.clone(), name.as_ref().to_owned());
        let counter = Self { file: Mutex::new(file), directory, name };
        // A file that has its length needs no more space on a disk that is full later.
        counter.add(0)?;
        Ok(counter)
    }

    /// The number now.
    ///
    /// # Errors
    /// As for [`raise`](Self::raise).
    pub fn value(&self) -> io::Result<u64> {
        self.add(0)
    }

    /// Adds one and returns the sum. Waits while another process does the same.
    ///
    /// # Errors
    /// When the file cannot be locked, read or written, or when it has been removed or replaced.
    pub fn raise(&self) -> io::Result<u64> {
        self.add(1)
    }

    fn add(&self, one: u64) -> io::Result<u64> {
        let file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        flock(&*file, FlockOperation::LockExclusive)?;
        let sum = self.add_locked(&file, one);
        flock(&*file, FlockOperation::Unlock)?;
        sum
    }

    fn add_locked(&self, file: &File, one: u64) -> io::Result<u64> {
        if !self.directory.holds(&self.name, file) {
            return Err(io::ErrorKind::NotFound.into());
        }
        // A file that is empty, or that a crash of the machine cut off, counts as 0.
        let mut number = [0; 8];
        file.read_at(&mut number, 0)?;
        let sum = u64::from_le_bytes(number).wrapping_add(one);
        file.write_all_at(&sum.to_le_bytes(), 0)?;
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn each_raise_counts_once() {
        let directory = tempfile::tempdir().unwrap();
        let dir = Dir::open(directory.path()).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let counter = SharedCounter::open(&dir, "count").unwrap();
                    let sums: Vec<u64> = (0..100).map(|_| counter.raise().unwrap()).collect();
                    assert!(sums.is_sorted_by(|one, next| one < next));
                });
            }
        });
        assert_eq!(SharedCounter::open(&dir, "count").unwrap().value().unwrap(), 400);
    }

    #[test]
    fn a_file_that_was_cut_off_is_written_anew_and_a_removed_one_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let dir = Dir::open(directory.path()).unwrap();
        let counter = SharedCounter::open(&dir, "count").unwrap();
        assert_eq!(counter.raise().unwrap(), 1);
        fs::remove_file(directory.path().join("count")).unwrap();
        assert_eq!(counter.raise().unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::write(directory.path().join("count"), "ab").unwrap();
        let short = SharedCounter::open(&dir, "count").unwrap();
        let first = short.value().unwrap();
        assert_eq!((short.raise().unwrap(), short.raise().unwrap()), (first + 1, first + 2));
    }
}
