//! Files that appear whole or not at all, for their owner only, whatever the umask.

use std::fmt::Display;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use glance_core::StoreError;
use glance_core::image::ImageId;
use glance_core::store::StoreErrorKind;

use crate::manifest;

/// Makes `dir` and the directories above it where they are missing. Those that are there keep their
/// modes.
pub(crate) fn make_directory(dir: &Path) -> io::Result<()> {
    match make_one(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => match dir.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => {
                make_directory(parent)?;
                make_one(dir)
            }
            _ => Err(error),
        },
        made => made,
    }
}

fn make_one(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        // The umask may have taken from the owner, too.
        Ok(()) => fs::set_permissions(dir, Permissions::from_mode(0o700)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether nothing is in `dir` but what a run left that was killed at its first file.
pub(crate) fn is_empty(dir: &Path) -> io::Result<bool> {
    let leftover = with_suffix(Path::new(manifest::FILE), NEW);
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        if name != leftover && name != LOCK {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Opens a new file, or an old one cut to nothing.
pub(crate) fn open_new(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // The umask may have taken from the owner, and a leftover may have had another mode.
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Opens a file that may have data already, and says how much.
pub(crate) fn open_begun(path: &Path) -> io::Result<(File, u64)> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(path)?;
    let found = file.metadata()?;
    let begun = begun(&found);
    if found.len() > begun {
        // What is done to it is done to the data of another image.
        remove(path)?;
        file = options.create_new(true).open(path)?;
    }
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok((file, begun))
}

/// The bytes in a file that an upload can go on from. A file of several names is another image's.
pub(crate) fn begun(found: &Metadata) -> u64 {
    if found.is_file() && found.nlink() == 1 { found.len() } else { 0 }
}

/// Gives the file at `path` the contents `text`, all or nothing.
pub(crate) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let new = with_suffix(path, NEW);
    let write = || {
        let mut file = open_new(&new)?;
        file.write_all(text)?;
        file.sync_all()?;
        rename(&new, path)
    };
    // Where there is no room, half a file takes more of it.
    write().inspect_err(|_| drop(remove(&new)))
}

/// Renames within a directory, and makes the new name last.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    match to.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

/// Removes a file that need not be there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The ids that begin the names of the files in `dir` that end in `suffix`, in order.
pub(crate) fn ids(dir: &Path, suffix: &str) -> io::Result<Vec<ImageId>> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        // What has another name is no image's record.
        let id = name.to_str().and_then(|name| name.strip_suffix(suffix)?.parse().ok());
        ids.extend(id);
    }
    ids.sort();
    Ok(ids)
}

/// `path` with more at its end.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Runs file operations where they may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// What it means that the file at `path` failed.
pub(crate) fn failed(
    store: &dyn Display,
    operation: &'static str,
    path: &Path,
    error: io::Error,
) -> StoreError {
    let is_gone = error.kind() == ErrorKind::NotFound
        && path.parent().is_some_and(|dir| !dir.as_os_str().is_empty() && !dir.exists());
    let kind = match error.kind() {
        _ if is_full(&error) => StoreErrorKind::LimitReached,
        _ if is_gone => StoreErrorKind::Invalid,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => StoreErrorKind::Forbidden,
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => StoreErrorKind::Invalid,
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => StoreErrorKind::Unreadable,
        _ => StoreErrorKind::Server,
    };
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let reason = match is_gone {
        true => "the directory is gone".to_owned(),
        false => format!("the file {name} failed"),
    };
    let failure = StoreError::new(kind, store, operation, reason);
    let failure = failure.caused_by(error);
    match kind {
        StoreErrorKind::LimitReached => failure.hint("make room and run again"),
        _ => failure,
    }
}

/// Whether there is no room for more.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// The file of the lock that whoever writes to a dump holds. Neither the old tool nor a load takes it
/// for an image's.
pub(crate) const LOCK: &str = ".glance-replicator.lock";

/// What follows a file's name until it is whole.
pub(crate) const NEW: &str = ".new";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_a_limit() {
        for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded] {
            let error = failed(&"dir:x", "store the data", Path::new("x/y.img"), kind.into());
            assert_eq!(error.kind, StoreErrorKind::LimitReached);
            assert_eq!(error.reason, "the file y.img failed");
        }
    }
}
