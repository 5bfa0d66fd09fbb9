//! Several runs between the same stores at the same time. Each writes to a journal of its own, the
//! first one that no process writes to: `PAIR.ndjson`, `PAIR.2.ndjson` and so on.
//!
//! The lock of a journal tells whether its run lives. A run that begins takes over the journals of
//! dead runs, so their number is bounded by the runs at the same time.

use std::io;
use std::path::{Path, PathBuf};

use safe_files::dir::Dir;
use safe_files::file_lock::{Holder, Lock, LockError};

/// A journal that only this process writes to.
#[derive(Debug)]
pub(super) struct Slot {
    /// The path of the journal.
    pub(super) path: PathBuf,
    /// The lock of the journal; `None` on a filesystem without locks.
    pub(super) lock: Option<Lock>,
}

impl Slot {
    /// Takes the first free journal of the pair whose first journal is at `first`.
    pub(super) fn take(first: &Path, holder: &Holder) -> Result<Self, LockError> {
        let mut held = LockError::Held(Holder::default());
        for number in 1..=MOST {
            let path = numbered(first, number);
            match Lock::take(&lock_path(&path), holder) {
                Ok(lock) => return Ok(Self { path, lock: Some(lock) }),
                Err(error @ LockError::Held(_)) => held = error,
                Err(error) => return Err(error),
            }
        }
        Err(held)
    }

    /// The other journals of the pair that no process writes to. They stay locked. Removes lock files
    /// of processes that were killed before they wrote a journal.
    pub(super) fn dead(&self, directory: &Dir, holder: &Holder) -> io::Result<Vec<Self>> {
        let mut dead = Vec::new();
        for name in directory.names()? {
            let path = self.path.with_file_name(name?);
            let is = |end| path.extension().is_some_and(|extension| extension == end);
            if path == self.path || first(&path) != first(&self.path) {
                continue;
            }
            if is("lock") && path != pair_lock(&path) {
                Lock::sweep(directory, Path::new(path.file_name().unwrap_or_default()));
            }
            if !is("ndjson") {
                continue;
            }
            match Lock::take(&lock_path(&path), holder) {
                // The run that held the lock may just have ended, or its journal was taken over.
                Ok(lock) if path.exists() => dead.push(Self { path, lock: Some(lock) }),
                Err(LockError::File { error, .. }) => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(dead)
    }
}

/// The path of the pair's lock, which all runs hold together or one run alone.
pub(super) fn pair_lock(journal: &Path) -> PathBuf {
    first(journal).with_extension("lock")
}

/// The path of the lock of one journal.
pub(super) fn lock_path(journal: &Path) -> PathBuf {
    match first(journal) == journal {
        true => journal.with_extension("1.lock"),
        false => journal.with_extension("lock"),
    }
}

/// The processes that write to journals of the pair.
pub(super) fn writers(journal: &Path) -> Vec<Holder> {
    let pair = pair_lock(journal);
    let Some(names) = Dir::of_file(&pair).ok().and_then(|(directory, _)| directory.names().ok())
    else {
        return Vec::new();
    };
    let paths = names.filter_map(|name| Some(pair.with_file_name(name.ok()?)));
    let is_lock = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "lock");
    let of_journals =
        paths.filter(|path| is_lock(path) && *path != pair && first(path) == first(&pair));
    of_journals.filter_map(|path| Lock::holder(&path)).collect()
}

fn numbered(first: &Path, number: u16) -> PathBuf {
    match number {
        1 => first.to_owned(),
        number => first.with_extension(format!("{number}.ndjson")),
    }
}

/// The path of the first journal of the pair that the journal at `path` belongs to.
pub(super) fn first(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let pair = name.split('.').next().unwrap_or_default();
    path.with_file_name(format!("{pair}.ndjson"))
}

/// The most runs between the same stores at the same time.
const MOST: u16 = 1000;
