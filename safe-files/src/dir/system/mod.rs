//! What differs between systems: open directories, modes, links, locks, and positions in files. Code for
//! one system is only in this folder.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as here;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as here;

pub(crate) use here::{
    Handle, has_no_locks, is_locked, lock, lock_alone, make_directory, read_exact_at, restrict,
    status_of, this_host, write_all_at,
};
pub use here::{sync_all, sync_data};

/// What the system knows about the file with a name, or about an open file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Status {
    pub(crate) kind: FileKind,
    /// The length in bytes.
    pub(crate) length: u64,
    /// The number of hard links.
    pub(crate) links: u64,
    /// The filesystem, and the number of the file there.
    pub(crate) identity: (u64, u64),
}

/// What a name in a directory stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link. On Windows, also a junction.
    Symlink,
    /// A named pipe.
    Pipe,
    /// A socket.
    Socket,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// Anything else.
    Unknown,
}

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// For reading.
    Read,
    /// For reading and writing; a missing file is created.
    Write,
    /// For appending; a missing file is created.
    Append,
    /// For reading and writing; the name must not exist yet.
    New,
    /// For reading and writing; the name must not exist yet, and is removed as early as the system
    /// permits, at the latest when the file is closed.
    Temporary,
    /// For locking; a missing file is created.
    Lock(Locking),
    /// For locking a file that exists.
    LockExisting(Locking),
}

impl Access {
    /// Whether the file may be changed. Another name of the file may then be in another directory.
    pub(crate) fn writes(self) -> bool {
        !matches!(self, Self::Read | Self::LockExisting(_))
    }
}

/// How a lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Locking {
    /// By one process.
    Exclusive,
    /// By any number of processes.
    Shared,
}
