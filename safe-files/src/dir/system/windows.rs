//! Windows: a directory is opened in a way that prevents its replacement, and every name in it is opened
//! itself, not what it links to. New files have the permissions of their directory.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use winapi_util::file::information;

use super::{Access, FileKind, Locking, Status};
use crate::dir::Refused;

/// An open directory. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    path: PathBuf,
    /// While this is open, the directory can be neither renamed nor removed.
    _open: Arc<File>,
}

impl Handle {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        // Links to the directory are followed here and not later.
        let path = fs::canonicalize(path)?;
        let open = opening(FILE_SHARE_READ | FILE_SHARE_WRITE).read(true).open(&path)?;
        match status_of(&open)?.kind {
            FileKind::Directory => Ok(Self { path, _open: open.into() }),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(crate) fn subdirectory(&self, name: &Path) -> io::Result<Self> {
        let path = self.path.join(name);
        let open = opening(FILE_SHARE_READ | FILE_SHARE_WRITE).read(true).open(&path)?;
        match status_of(&open)?.kind {
            FileKind::Directory => Ok(Self { path, _open: open.into() }),
            other => Err(Refused::NotADirectory(other).into()),
        }
    }

    /// Creates a subdirectory and opens it.
    pub(crate) fn new_subdirectory(&self, name: &Path, _path: &Path) -> io::Result<Self> {
        fs::create_dir(self.path.join(name))?;
        self.subdirectory(name)
    }

    pub(crate) fn status(&self, name: &Path) -> io::Result<Status> {
        status_of(&opening(SHARE_ALL).access_mode(0).open(self.path.join(name))?)
    }

    /// Opens a file without following a link.
    pub(crate) fn open_file(&self, name: &Path, access: Access) -> io::Result<File> {
        let path = self.path.join(name);
        let mut options = opening(SHARE_ALL);
        match access {
            Access::Read => options.read(true),
            Access::Write => options.read(true).write(true).create(true),
            Access::Append => options.append(true).create(true),
            Access::New => options.read(true).write(true).create_new(true),
            Access::Temporary => {
                let flags = OPEN_ITSELF | FILE_FLAG_DELETE_ON_CLOSE;
                options.read(true).write(true).create_new(true).custom_flags(flags)
            }
            // What is open in this way cannot be opened for writing.
            Access::Lock(Locking::Exclusive) => {
                options.read(true).write(true).create(true).share_mode(SHARE_READING)
            }
            Access::LockExisting(Locking::Exclusive) => {
                options.read(true).write(true).share_mode(SHARE_READING)
            }
            Access::Lock(Locking::Shared) => {
                // Fails if another process has locked the file; the next call then says so.
                let _ = opening(SHARE_ALL).write(true).create(true).open(&path);
                options.read(true).share_mode(SHARE_READING)
            }
            Access::LockExisting(Locking::Shared) => options.read(true).share_mode(SHARE_READING),
        };
        options.open(&path)
    }

    pub(crate) fn link(&self, first: &Path, second: &Path) -> io::Result<()> {
        fs::hard_link(self.path.join(first), self.path.join(second))
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    pub(crate) fn unlink(&self, name: &Path) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    pub(crate) fn names(&self) -> io::Result<impl Iterator<Item = io::Result<OsString>> + use<>> {
        Ok(fs::read_dir(&self.path)?.map(|entry| Ok(entry?.file_name())))
    }

    /// Does nothing: NTFS keeps names in its own journal.
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "Unix needs both")]
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    /// The standard library has no function for this.
    #[expect(clippy::unused_self, reason = "Unix needs it")]
    pub(crate) fn free_space(&self) -> Option<u64> {
        None
    }

    /// Does nothing: access control lists are not read.
    #[expect(clippy::unused_self, reason = "Unix needs it")]
    pub(crate) fn warn_if_shared(&self, _path: &Path) {}
}

/// Options that open a link itself, and also a directory.
fn opening(share: u32) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.share_mode(share).custom_flags(OPEN_ITSELF);
    options
}

pub(crate) fn status_of(file: &File) -> io::Result<Status> {
    let kind = file.metadata()?.file_type();
    let found = information(file)?;
    Ok(Status {
        kind: match (kind.is_file(), kind.is_dir(), kind.is_symlink()) {
            (true, ..) => FileKind::Regular,
            (_, true, _) => FileKind::Directory,
            (.., true) => FileKind::Symlink,
            _ => FileKind::Unknown,
        },
        length: found.file_size(),
        links: found.number_of_links(),
        identity: (found.volume_serial_number(), found.file_index()),
    })
}

/// Creates a directory.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}

/// Does nothing: a file has the permissions of its directory.
#[expect(clippy::unnecessary_wraps, reason = "Unix needs it")]
pub(crate) fn restrict(_file: &File, _directory: &Path) -> io::Result<()> {
    Ok(())
}

/// Does nothing: a file is locked when it is opened.
#[expect(clippy::unnecessary_wraps, reason = "Unix needs it")]
pub(crate) fn lock(_file: &File, _how: Locking) -> io::Result<()> {
    Ok(())
}

/// Whether the lock has no other holder. Other holders of a shared lock are not visible.
pub(crate) fn lock_alone(_file: &File, how: Locking) -> bool {
    how == Locking::Exclusive
}

/// Whether a file cannot be opened because another process has locked it.
pub(crate) fn is_locked(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ERROR_SHARING_VIOLATION)
}

/// Whether the filesystem does not support locks: all do.
pub(crate) fn has_no_locks(_error: &io::Error) -> bool {
    false
}

pub(crate) fn this_host() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

pub(crate) fn read_exact_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.seek_read(bytes, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                bytes = &mut bytes[read..];
                offset += read as u64;
            }
        }
    }
    Ok(())
}

pub(crate) fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.seek_write(bytes, offset)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
        }
    }
    Ok(())
}

/// Syncs a file and its metadata to the disk.
pub fn sync_all(file: &File) -> io::Result<()> {
    file.sync_all()
}

/// Syncs the data of a file to the disk.
pub fn sync_data(file: &File) -> io::Result<()> {
    file.sync_data()
}

/// Values from `winnt.h`, `winbase.h` and `winerror.h`.
const FILE_SHARE_READ: u32 = 1;
const FILE_SHARE_WRITE: u32 = 2;
const FILE_SHARE_DELETE: u32 = 4;
const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;
const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;
const FILE_FLAG_DELETE_ON_CLOSE: u32 = 0x0400_0000;
const ERROR_SHARING_VIOLATION: i32 = 32;

const SHARE_ALL: u32 = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
const SHARE_READING: u32 = FILE_SHARE_READ | FILE_SHARE_DELETE;
const OPEN_ITSELF: u32 = FILE_FLAG_OPEN_REPARSE_POINT | FILE_FLAG_BACKUP_SEMANTICS;
