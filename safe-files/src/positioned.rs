//! Reads and writes at a position of a file, for several tasks that share the open file.

use std::fs::File;
use std::io;

use crate::dir::system;

/// Fills `bytes` from `offset` on.
///
/// # Errors
/// `UnexpectedEof` if the file ends earlier.
pub fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    system::read_exact_at(file, bytes, offset)
}

/// Writes all `bytes` from `offset` on.
pub fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    system::write_all_at(file, bytes, offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_absolute() {
        let file = tempfile::tempfile().unwrap();
        write_all_at(&file, b"world", 6).unwrap();
        write_all_at(&file, b"hello ", 0).unwrap();
        let mut bytes = [0; 5];
        read_exact_at(&file, &mut bytes, 6).unwrap();
        assert_eq!(&bytes, b"world");
        read_exact_at(&file, &mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"hello");
        let error = read_exact_at(&file, &mut bytes, 7).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
