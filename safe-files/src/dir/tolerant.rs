//! Operations that some filesystems do not support: file modes, and syncing to the disk.

use std::collections::BTreeSet;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::fs::Stat;
use rustix::io::Errno;

/// Sets the mode of a file in `directory`. If the filesystem does not support modes (SMB, `WebDAV`,
/// 9p), the mode stays unchanged, and a warning is logged.
pub(super) fn set_mode(file: &File, mode: u32, directory: &Path) -> io::Result<()> {
    unless_unsupported(file.set_permissions(Permissions::from_mode(mode)), directory)
}

/// Turns the error of a filesystem that does not support modes into a warning.
pub(super) fn unless_unsupported(changed: io::Result<()>, directory: &Path) -> io::Result<()> {
    const UNSUPPORTED: [Errno; 5] =
        [Errno::OPNOTSUPP, Errno::PERM, Errno::NOSYS, Errno::ACCESS, Errno::INVAL];
    let Err(error) = changed else { return Ok(()) };
    if !Errno::from_io_error(&error).is_some_and(|errno| UNSUPPORTED.contains(&errno)) {
        return Err(error);
    }
    if is_first(Subject::Modes) {
        tracing::warn!(
            "cannot set file modes in {}: {error}; other users may read new files: restrict \
             access by the options of the mount",
            directory.display()
        );
    }
    Ok(())
}

/// Syncs a file and its metadata to the disk (fsync(2)). If the filesystem does not support this, a
/// warning is logged.
///
/// # Errors
/// When data could not be written.
pub fn sync_all(file: &File) -> io::Result<()> {
    warned(file.sync_all())
}

/// Syncs the data of a file to the disk (fdatasync(2)). If the filesystem does not support this, a
/// warning is logged.
///
/// # Errors
/// When data could not be written.
pub fn sync_data(file: &File) -> io::Result<()> {
    warned(file.sync_data())
}

/// Syncs the names in a directory to the disk. Many filesystems do not support this but keep the
/// order of operations, so there is no warning.
pub(super) fn sync_names(directory: &File) -> io::Result<()> {
    match directory.sync_all() {
        Err(error) if is_unknown(&error) => Ok(()),
        synced => synced,
    }
}

fn warned(synced: io::Result<()>) -> io::Result<()> {
    match synced {
        Err(error) if is_unknown(&error) => {
            if is_first(Subject::Sync) {
                tracing::warn!(
                    "the filesystem cannot confirm that files are on disk ({error}): verify new files \
                     after a crash of the machine"
                );
            }
            Ok(())
        }
        synced => synced,
    }
}

fn is_unknown(error: &io::Error) -> bool {
    const UNKNOWN: [Errno; 3] = [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP];
    Errno::from_io_error(error).is_some_and(|errno| UNKNOWN.contains(&errno))
}

/// Warns, once per directory, if other users can write to it.
pub(super) fn warn_if_shared(found: &Stat, path: &Path) {
    let mode = found.st_mode & 0o7777;
    let writers = match (mode & 0o002, mode & 0o020) {
        (0, 0) => return,
        (0, _) => "the group",
        _ => "every user",
    };
    // The types of these numbers differ between systems.
    let device_and_inode = format!("{}/{}", found.st_dev, found.st_ino);
    if is_first(Subject::Directory(device_and_inode)) {
        let path = path.display();
        tracing::warn!(
            "{path} is writable by {writers} (mode {mode:04o}), who can replace files in it: \
             run chmod go-w {path}"
        );
    }
}

/// The subject of a warning that is logged once.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Modes,
    Sync,
    Directory(String),
}

/// Whether this process has not yet warned about the subject.
fn is_first(subject: Subject) -> bool {
    static WARNED: Mutex<BTreeSet<Subject>> = Mutex::new(BTreeSet::new());
    WARNED.lock().unwrap_or_else(PoisonError::into_inner).insert(subject)
}
