//! Unix: every name is looked up relative to the descriptor of its directory.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirBuilderExt, FileExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{
    AtFlags, FileType, FlockOperation, Mode, OFlags, Stat, flock, fstat, openat, statat,
};
use rustix::io::Errno;

use super::{Access, FileKind, Locking, Status};
use crate::dir::Refused;

mod tolerant;

pub use tolerant::{sync_all, sync_data};

/// An open directory. Clones share the descriptor.
#[derive(Debug, Clone)]
pub(crate) struct Handle(Arc<OwnedFd>);

impl Handle {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::open(path, DIRECTORY, Mode::empty())?.into()))
    }

    pub(crate) fn subdirectory(&self, name: &Path) -> io::Result<Self> {
        match openat(&self.0, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(descriptor) => Ok(Self(descriptor.into())),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                Err(Refused::NotADirectory(self.status(name)?.kind).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Creates a subdirectory for this user alone, and opens it. `path` is for messages.
    pub(crate) fn new_subdirectory(&self, name: &Path, path: &Path) -> io::Result<Self> {
        rustix::fs::mkdirat(&self.0, name, Mode::RWXU)?;
        let made = self.subdirectory(name)?;
        tolerant::set_mode(&File::from(made.0.try_clone()?), 0o700, path)?;
        Ok(made)
    }

    pub(crate) fn status(&self, name: &Path) -> io::Result<Status> {
        Ok(statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?.into())
    }

    /// Opens a file without following a link.
    pub(crate) fn open_file(&self, name: &Path, access: Access) -> io::Result<File> {
        let flags = match access {
            Access::Read | Access::LockExisting(Locking::Shared) => OFlags::RDONLY,
            Access::LockExisting(Locking::Exclusive) => OFlags::RDWR,
            Access::Write | Access::Lock(_) => OFlags::RDWR | OFlags::CREATE,
            Access::Append => OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE,
            Access::New | Access::Temporary => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
        };
        let guarded = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        match openat(&self.0, name, flags | guarded, OWNER) {
            Ok(file) => {
                if access == Access::Temporary {
                    self.unlink(name)?;
                }
                Ok(file.into())
            }
            Err(Errno::LOOP) => Err(Refused::NotAFile(FileKind::Symlink).into()),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn link(&self, first: &Path, second: &Path) -> io::Result<()> {
        Ok(rustix::fs::linkat(&self.0, first, &self.0, second, AtFlags::empty())?)
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?)
    }

    pub(crate) fn unlink(&self, name: &Path) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    pub(crate) fn names(&self) -> io::Result<impl Iterator<Item = io::Result<OsString>> + use<>> {
        let entries = rustix::fs::Dir::read_from(&*self.0)?;
        Ok(entries.filter_map(|entry| match entry {
            Ok(entry) if matches!(entry.file_name().to_bytes(), b"." | b"..") => None,
            Ok(entry) => Some(Ok(OsString::from_vec(entry.file_name().to_bytes().to_vec()))),
            Err(error) => Some(Err(error.into())),
        }))
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        tolerant::sync_names(&File::from(self.0.try_clone()?))
    }

    pub(crate) fn free_space(&self) -> Option<u64> {
        let found = rustix::fs::fstatvfs(&*self.0).ok()?;
        // Network filesystems often do not report a size.
        (found.f_blocks > 0).then(|| found.f_bavail.saturating_mul(found.f_frsize))
    }

    pub(crate) fn warn_if_shared(&self, path: &Path) {
        if let Ok(found) = fstat(&*self.0) {
            tolerant::warn_if_shared(&found, path);
        }
    }
}

impl From<Stat> for Status {
    #[allow(
        clippy::cast_sign_loss,
        clippy::unnecessary_cast,
        clippy::useless_conversion,
        reason = "systems differ"
    )]
    fn from(found: Stat) -> Self {
        Self {
            kind: kind(FileType::from_raw_mode(found.st_mode)),
            length: u64::try_from(found.st_size).unwrap_or_default(),
            links: found.st_nlink.into(),
            identity: (found.st_dev as u64, found.st_ino),
        }
    }
}

fn kind(found: FileType) -> FileKind {
    match found {
        FileType::RegularFile => FileKind::Regular,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        FileType::Fifo => FileKind::Pipe,
        FileType::Socket => FileKind::Socket,
        FileType::CharacterDevice => FileKind::CharacterDevice,
        FileType::BlockDevice => FileKind::BlockDevice,
        FileType::Unknown => FileKind::Unknown,
    }
}

pub(crate) fn status_of(file: &File) -> io::Result<Status> {
    Ok(fstat(file.as_fd())?.into())
}

/// Creates a directory for this user alone.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)?;
    // The umask may have removed permissions of the owner.
    tolerant::unless_unsupported(fs::set_permissions(path, Permissions::from_mode(0o700)), path)
}

/// Keeps other users from the file. `directory` is for messages.
pub(crate) fn restrict(file: &File, directory: &Path) -> io::Result<()> {
    tolerant::set_mode(file, 0o600, directory)
}

/// Locks an open file without waiting (flock(2)).
pub(crate) fn lock(file: &File, how: Locking) -> io::Result<()> {
    Ok(flock(
        file,
        match how {
            Locking::Exclusive => FlockOperation::NonBlockingLockExclusive,
            Locking::Shared => FlockOperation::NonBlockingLockShared,
        },
    )?)
}

/// Makes a lock exclusive, if there is no other holder. Returns whether it is.
pub(crate) fn lock_alone(file: &File, _how: Locking) -> bool {
    lock(file, Locking::Exclusive).is_ok()
}

/// Whether a file cannot be opened or locked because another process has locked it.
pub(crate) fn is_locked(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::WOULDBLOCK)
}

/// Whether the filesystem does not support locks.
pub(crate) fn has_no_locks(error: &io::Error) -> bool {
    const UNSUPPORTED: [Errno; 6] =
        [Errno::NOTSUP, Errno::NOSYS, Errno::NOLCK, Errno::INVAL, Errno::PERM, Errno::ACCESS];
    Errno::from_io_error(error).is_some_and(|errno| UNSUPPORTED.contains(&errno))
}

pub(crate) fn this_host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

pub(crate) fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    file.read_exact_at(bytes, offset)
}

pub(crate) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(bytes, offset)
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);
const OWNER: Mode = Mode::RUSR.union(Mode::WUSR);
