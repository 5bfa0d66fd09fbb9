//! Why a file is not used.

use std::fmt;
use std::io::{self, ErrorKind};

use rustix::fs::FileType;

/// Why the tool does not touch what has the name of a file of its own. It is the inner error of an
/// [`io::Error`] of the kind `InvalidData`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// It is no regular file.
    NotAFile(FileType),
    /// It is no directory.
    NotADirectory(FileType),
    /// It has more bytes than are read into memory.
    TooLong {
        /// Bytes that it has.
        length: u64,
        /// Bytes that it may have.
        most: u64,
    },
    /// It has several names, and would change under all of them.
    SeveralNames,
}

impl Refused {
    /// The refusal in an error, if it is one.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// What is said of the file, such as `is a symbolic link, not a regular file`.
    pub fn predicate(&self) -> String {
        match self {
            Self::NotAFile(kind) => format!("is {}, not a regular file", name_of(*kind)),
            Self::NotADirectory(kind) => format!("is {}, not a directory", name_of(*kind)),
            Self::TooLong { length, most } => {
                format!("has {length} bytes, more than the limit of {} MiB", most >> 20)
            }
            Self::SeveralNames => "has several names (hard links)".to_owned(),
        }
    }

    /// What the operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotAFile(_) | Self::NotADirectory(_) => {
                "find out who put it there, and remove it"
            }
            Self::TooLong { .. } => "it is damaged, or was not written by this tool",
            Self::SeveralNames => "replace it by a copy of its own",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it {}", self.predicate())
    }
}

impl std::error::Error for Refused {}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        Self::new(ErrorKind::InvalidData, refused)
    }
}

fn name_of(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice => "a character device",
        FileType::BlockDevice => "a block device",
        FileType::Unknown => "of an unknown type",
    }
}
