//! The files of a dump: their names, and the meaning of file errors.

use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use glance_core::StoreError;
use glance_core::image::ImageId;
use glance_core::store::StoreErrorKind;
use safe_files::dir::{Dir, Refused, is_temporary};

/// Whether `dir` is empty, apart from what a run leaves that is killed at its first file.
pub(crate) fn is_empty(dir: &Dir) -> io::Result<bool> {
    for name in dir.names()? {
        let name = name?;
        let ours = name.to_str().is_some_and(|name| name == LOCK || is_temporary(name));
        if !ours {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Opens a file that may contain data already, and returns the length of that data.
pub(crate) fn open_begun(dir: &Dir, name: &str) -> io::Result<(File, u64)> {
    match dir.find(name)? {
        // The file is a hard link shared with another image, whose data must not change.
        Some(found) if found.links > 1 => Ok((open_new(dir, name)?, 0)),
        _ => dir.open_or_create(name).map(|(file, found)| (file, found.length)),
    }
}

/// Creates a file, replacing one left by an earlier run.
pub(crate) fn open_new(dir: &Dir, name: &str) -> io::Result<File> {
    dir.remove(name)?;
    dir.create_new(name)
}

/// The ids of the files in `dir` named `<id><suffix>`.
pub(crate) fn ids(dir: &Dir, suffix: &str) -> io::Result<Ids> {
    let mut ids: Vec<[u8; 36]> = Vec::new();
    for name in dir.names()? {
        let name = name?;
        // Files with other names are not records of images.
        let id: Option<ImageId> =
            name.to_str().and_then(|name| name.strip_suffix(suffix)?.parse().ok());
        if let Some(id) = id.and_then(|id| id.as_str().as_bytes().try_into().ok()) {
            ids.push(id);
        }
    }
    ids.sort_unstable();
    Ok(Ids(ids))
}

/// Sorted ids, each stored in as many bytes as its text.
#[derive(Debug)]
pub(crate) struct Ids(Vec<[u8; 36]>);

impl Ids {
    pub(crate) fn iter(&self) -> impl Iterator<Item = ImageId> {
        (0..self.0.len()).filter_map(|at| self.get(at))
    }

    pub(crate) fn into_iter(self) -> impl Iterator<Item = ImageId> {
        (0..self.0.len()).filter_map(move |at| self.get(at))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, id: &ImageId) -> bool {
        self.0.binary_search_by(|other| other[..].cmp(id.as_str().as_bytes())).is_ok()
    }

    fn get(&self, at: usize) -> Option<ImageId> {
        std::str::from_utf8(self.0.get(at)?).ok()?.parse().ok()
    }
}

/// Runs file operations on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Turns an I/O error of the file `name` into a store error.
pub(crate) fn failed(
    store: &dyn Display,
    operation: &'static str,
    dir: &Dir,
    name: &str,
    error: io::Error,
) -> StoreError {
    let failure = |kind, reason: String| StoreError::new(kind, store, operation, reason);
    if let Some(refused) = Refused::of(&error) {
        let reason = format!("{name} {}", refused.predicate());
        return failure(StoreErrorKind::Unreadable, reason).hint(refused.hint());
    }
    if error.kind() == ErrorKind::NotFound && dir.is_gone() {
        let reason = "the directory is gone".to_owned();
        return failure(StoreErrorKind::Invalid, reason).caused_by(error);
    }
    let kind = kind_of(&error);
    let failure = failure(kind, format!("the file {name} failed")).caused_by(error);
    match kind {
        StoreErrorKind::LimitReached => failure.hint("free space, then run the command again"),
        _ => failure,
    }
}

/// Turns an I/O error of the dump's directory into a store error.
pub(crate) fn directory_failed(
    store: &dyn Display,
    operation: &'static str,
    error: io::Error,
) -> StoreError {
    let failure = StoreError::new(kind_of(&error), store, operation, "the directory failed");
    failure.caused_by(error)
}

/// The kind of an I/O error, by what another run or the operator can do about it. File permissions
/// do not count as authentication.
fn kind_of(error: &io::Error) -> StoreErrorKind {
    match error.kind() {
        _ if is_full(error) => StoreErrorKind::LimitReached,
        ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::NotADirectory
        | ErrorKind::AlreadyExists
        | ErrorKind::Unsupported => StoreErrorKind::Invalid,
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => StoreErrorKind::Unreadable,
        _ => StoreErrorKind::Server,
    }
}

/// Whether the error means that the disk, a quota or the file size limit is exhausted.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// The lock file, held by the process that writes to a dump. Neither the old tool nor `load`
/// mistakes it for an image.
pub(crate) const LOCK: &str = ".glance-replicator.lock";

/// The file of digests.
pub(crate) const SUMS: &str = "SHA512SUMS";

/// The suffixes of an image's files, after its id.
pub(crate) const RECORD: &str = ".json";
/// Marks the data next to it as invalid: the writer of a stream failed on it.
pub(crate) const FAILED: &str = ".failed";

/// Names a dump's directory in messages.
pub(crate) struct Name<'a>(pub(crate) &'a Path);

impl<'a> Name<'a> {
    pub(crate) fn of(dir: &'a Dir) -> Self {
        Self(dir.path())
    }
}

impl Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dir:{}", self.0.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_errors_are_distinguished() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open(place.path()).unwrap();
        let rows = [
            (ErrorKind::StorageFull, StoreErrorKind::LimitReached),
            (ErrorKind::QuotaExceeded, StoreErrorKind::LimitReached),
            (ErrorKind::PermissionDenied, StoreErrorKind::Invalid),
            (ErrorKind::ReadOnlyFilesystem, StoreErrorKind::Invalid),
        ];
        for (found, meant) in rows {
            let error = failed(&"dir:x", "store the data", &dir, "y.img", found.into());
            assert_eq!(error.kind, meant);
            assert_eq!(error.reason, "the file y.img failed");
        }
    }

    #[test]
    fn ids_are_sorted_and_found() {
        let place = tempfile::tempdir().unwrap();
        let id =
            |digit: char| "00000000-0000-4000-8000-00000000000_".replace('_', &digit.to_string());
        for digit in ['c', '1', 'A'] {
            std::fs::write(place.path().join(format!("{}.json", id(digit))), "").unwrap();
        }
        std::fs::write(place.path().join("x.json"), "").unwrap();
        let ids = ids(&Dir::open(place.path()).unwrap(), ".json").unwrap();
        let found: Vec<String> = ids.iter().map(|id| id.to_string()).collect();
        assert_eq!(found, [id('1'), id('A'), id('c')]);
        assert!(
            ids.contains(&id('A').parse().unwrap()) && !ids.contains(&id('a').parse().unwrap())
        );
    }
}
