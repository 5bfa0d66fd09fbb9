//! What a filesystem need not know: modes, and when data is on the disk.

use std::collections::BTreeSet;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::fs::Stat;
use rustix::io::Errno;

/// Makes the mode of a file of `directory` this one. Where the filesystem knows no modes (SMB, `WebDAV`,
/// 9p), it stays as it is, with a warning.
pub(super) fn set_mode(file: &File, mode: u32, directory: &Path) -> io::Result<()> {
    unless_unsupported(file.set_permissions(Permissions::from_mode(mode)), directory)
}

/// The outcome of a change of mode, unless the filesystem knows no modes: then there is a warning.
pub(super) fn unless_unsupported(changed: io::Result<()>, directory: &Path) -> io::Result<()> {
    const UNSUPPORTED: [Errno; 5] =
        [Errno::OPNOTSUPP, Errno::PERM, Errno::NOSYS, Errno::ACCESS, Errno::INVAL];
    let Err(error) = changed else { return Ok(()) };
    if !Errno::from_io_error(&error).is_some_and(|errno| UNSUPPORTED.contains(&errno)) {
        return Err(error);
    }
    if is_first(Subject::Modes) {
        tracing::warn!(
            "cannot set file modes in {}: {error}; others may read what is written there: restrict \
             access by the options of the mount",
            directory.display()
        );
    }
    Ok(())
}

/// Returns when a file, and what its directory says of it, is on the disk (fsync(2)). Where the
/// filesystem can't say so, there is a warning.
///
/// # Errors
/// When something was not written.
pub fn sync_all(file: &File) -> io::Result<()> {
    warned(file.sync_all())
}

/// Returns when the data of a file is on the disk (fdatasync(2)). Where the filesystem can't say so,
/// there is a warning.
///
/// # Errors
/// When something was not written.
pub fn sync_data(file: &File) -> io::Result<()> {
    warned(file.sync_data())
}

/// The same of the names in a directory. Many filesystems do not know this, and keep the order all the
/// same.
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
                    "the filesystem does not say when files are on the disk ({error}): verify what \
                     is written there if the machine crashes"
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

/// Warns, once for each directory, where other users may write to it.
pub(super) fn warn_if_shared(found: &Stat, path: &Path) {
    let mode = found.st_mode & 0o7777;
    let by_whom = match (mode & 0o002, mode & 0o020) {
        (0, 0) => return,
        (0, _) => "its group",
        _ => "every user",
    };
    if is_first(Subject::Directory(found.st_dev, found.st_ino)) {
        let path = path.display();
        tracing::warn!(
            "{path} can be written by {by_whom} (mode {mode:04o}), who may replace what is in it: \
             chmod go-w {path}"
        );
    }
}

/// What is warned of once.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Modes,
    Sync,
    Directory(u64, u64),
}

/// Whether this process has not warned of it yet.
fn is_first(subject: Subject) -> bool {
    static WARNED: Mutex<BTreeSet<Subject>> = Mutex::new(BTreeSet::new());
    WARNED.lock().unwrap_or_else(PoisonError::into_inner).insert(subject)
}
