//! Reasons for refusing a file.

use std::io::{self, ErrorKind};

use rustix::fs::FileType;

/// The reason why the tool does not touch a file or directory that has the name of one of its own.
/// It is the inner error of an [`io::Error`] of the kind `InvalidData`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the file {}", self.predicate())]
#[non_exhaustive]
pub enum Refused {
    /// Not a regular file.
    NotAFile(FileType),
    /// Not a directory.
    NotADirectory(FileType),
    /// The file is longer than the limit for reading it into memory.
    TooLong {
        /// The file's length in bytes.
        length: u64,
        /// The limit in bytes.
        most: u64,
    },
    /// The JSON of the file has more values than may be held in memory.
    TooManyValues {
        /// The limit.
        most: usize,
    },
    /// The file has several hard links and would change under all of them.
    SeveralNames,
}

impl Refused {
    /// The refusal inside `error`, if it is one.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// The reason as a predicate of the file, such as `is a symbolic link, not a regular file`.
    pub fn predicate(&self) -> String {
        match self {
            Self::NotAFile(kind) => format!("is {}, not a regular file", name_of(*kind)),
            Self::NotADirectory(kind) => format!("is {}, not a directory", name_of(*kind)),
            Self::TooLong { length, most } => {
                format!("has {length} bytes, more than the limit of {} MiB", most >> 20)
            }
            Self::TooManyValues { most } => {
                format!("has more than {most} values of JSON, the limit")
            }
            Self::SeveralNames => "has several names (hard links)".to_owned(),
        }
    }

    /// What the operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotAFile(_) | Self::NotADirectory(_) => {
                "find out which user created it, and remove it"
            }
            Self::TooLong { .. } | Self::TooManyValues { .. } => {
                "restore the file from a backup or dump again; it is damaged, or another program \
                 wrote it"
            }
            Self::SeveralNames => "replace the file with a copy that has one name",
        }
    }
}

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
