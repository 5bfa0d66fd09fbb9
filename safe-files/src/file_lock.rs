//! File locks, so that only one process works on a directory or file.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::dir::Dir;
use crate::dir::system::{self, Locking, this_host};
use glance_core::clock::now;

/// A lock that this process holds until the value is dropped. The kernel releases the lock however
/// the process ends.
///
/// The lock is a `flock` on a file; on Windows, a file that no other process can open for writing.
/// The file of an exclusive lock names the holder. The file is removed when the last lock on it is
/// released (on Windows, only that of an exclusive lock). A file that a killed process leaves behind
/// does not prevent locking.
#[derive(Debug)]
pub struct Lock {
    /// `None` if the filesystem does not support locks.
    held: Option<Held>,
}

/// A locked file.
#[derive(Debug)]
struct Held {
    file: File,
    how: Locking,
    directory: Dir,
    name: PathBuf,
}

/// The result of an attempt to lock a file.
enum Attempt {
    Locked(File),
    /// Another process has locked the file.
    Busy(Holder),
    /// The filesystem does not support locks.
    NoLocks,
}

/// The reason why a lock was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process holds the lock.
    #[error("locked by {0}")]
    Held(Holder),
    /// The lock file cannot be used.
    #[error("cannot lock {}", path.display())]
    File {
        /// The lock file.
        path: PathBuf,
        /// The error of the filesystem.
        #[source]
        error: io::Error,
    },
}

/// The holder of a lock, as far as the lock file states it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Holder {
    /// The id of the process.
    pub pid: Option<u32>,
    /// The host of the process: a filesystem may be shared.
    pub host: Option<String>,
    /// The time when the process began its work, by its own clock.
    pub since: Option<String>,
    /// The command that the process runs, without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

impl Holder {
    /// This process, which begins its work now. `command` must not contain secrets; a very long
    /// command is shortened.
    pub fn this_process(command: Option<&str>) -> Self {
        let shortened = |command: &str| match command.char_indices().nth(LONGEST_COMMAND) {
            Some((end, _)) => format!("{}…", &command[..end]),
            None => command.to_owned(),
        };
        Self {
            pid: Some(std::process::id()),
            host: Some(this_host()),
            since: Some(now()),
            command: command.filter(|command| !command.is_empty()).map(shortened),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(pid) = self.pid else { return f.write_str("another process") };
        write!(f, "process {pid}")?;
        if let Some(host) = self.host.as_ref().filter(|host| **host != this_host()) {
            write!(f, " on host {host}")?;
        }
        self.since.iter().try_for_each(|since| write!(f, " since {since}"))?;
        self.command.iter().try_for_each(|command| write!(f, " ({command})"))
    }
}

impl Lock {
    /// Takes the lock with the file at `path` exclusively, without waiting, and writes `holder` to
    /// the file. Missing files and directories are created. If the filesystem does not support
    /// locks, a warning is logged, and nothing is locked.
    ///
    /// # Errors
    /// When another process holds the lock, or when the file cannot be created.
    pub fn take(path: &Path, holder: &Holder) -> Result<Self, LockError> {
        let (directory, name) = directory_of(path)?;
        Self::take_in(&directory, &name, holder)
    }

    /// Like [`take`](Self::take), in an open directory.
    ///
    /// # Errors
    /// When another process holds the lock, or when the file cannot be created.
    pub fn take_in(directory: &Dir, name: &Path, holder: &Holder) -> Result<Self, LockError> {
        let mut lock = Self::acquire(directory, name, Locking::Exclusive)?;
        if let Some(held) = &mut lock.held {
            note_unsigned(sign(&mut held.file, holder), name);
        }
        Ok(lock)
    }

    /// Takes the lock with the file at `path` together with other holders that share it. Otherwise
    /// like [`take`](Self::take), but the file does not name the holders.
    ///
    /// # Errors
    /// When another process holds the lock exclusively, or when the file cannot be created.
    pub fn share(path: &Path) -> Result<Self, LockError> {
        let (directory, name) = directory_of(path)?;
        let lock = Self::acquire(&directory, &name, Locking::Shared)?;
        if let Some(held) = &lock.held {
            // A killed process may have left its name in the file.
            note_unsigned(held.file.set_len(0), &name);
        }
        Ok(lock)
    }

    fn acquire(directory: &Dir, name: &Path, how: Locking) -> Result<Self, LockError> {
        let path = || directory.path().join(name);
        for _ in 0..ATTEMPTS {
            match attempt(directory, name, how, true) {
                Err(error) => return Err(LockError::File { path: path(), error }),
                Ok(Attempt::Busy(holder)) => return Err(LockError::Held(holder)),
                Ok(Attempt::NoLocks) => {
                    tracing::warn!(
                        "cannot lock {}: the filesystem does not support locking; make sure that no \
                         other run uses the same files",
                        path().display()
                    );
                    return Ok(Self { held: None });
                }
                // The previous holder may just have removed the file; a lock on a removed file is
                // void.
                Ok(Attempt::Locked(file)) if directory.holds(name, &file) => {
                    let (directory, name) = (directory.clone(), name.to_owned());
                    return Ok(Self { held: Some(Held { file, how, directory, name }) });
                }
                Ok(Attempt::Locked(_)) => {}
            }
        }
        Err(LockError::Held(Holder::default()))
    }

    /// Whether the lock keeps other processes away: not on a filesystem without locks.
    pub fn is_effective(&self) -> bool {
        self.held.is_some()
    }

    /// The process that holds the lock with the file at `path` exclusively; `None` if there is no
    /// such process.
    pub fn holder(path: &Path) -> Option<Holder> {
        let (directory, name) = Dir::of_file(path).ok()?;
        match attempt(&directory, &name, Locking::Shared, false) {
            Ok(Attempt::Busy(holder)) => Some(holder),
            _ => None,
        }
    }

    /// Removes the lock file with this name if no process holds the lock.
    pub fn sweep(directory: &Dir, name: &Path) {
        let how = Locking::Exclusive;
        if let Ok(Attempt::Locked(file)) = attempt(directory, name, how, false) {
            let (directory, name) = (directory.clone(), name.to_owned());
            drop(Self { held: Some(Held { file, how, directory, name }) });
        }
    }
}

/// Opens the file and locks it. A missing file is created if `create` is set.
fn attempt(directory: &Dir, name: &Path, how: Locking, create: bool) -> io::Result<Attempt> {
    let file = match directory.open_to_lock(name, how, create) {
        Err(error) if system::is_locked(&error) => {
            return Ok(Attempt::Busy(directory.open_file(name).map(holder).unwrap_or_default()));
        }
        opened => opened?,
    };
    match system::lock(&file, how) {
        Ok(()) => Ok(Attempt::Locked(file)),
        Err(error) if system::is_locked(&error) => Ok(Attempt::Busy(holder(file))),
        Err(error) if system::has_no_locks(&error) => Ok(Attempt::NoLocks),
        Err(error) => Err(error),
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let Some(Held { file, how, directory, name }) = &self.held else { return };
        // The file is removed while the lock is held exclusively, so that no other process's file
        // is removed. With other holders, the last one removes the file.
        if system::lock_alone(file, *how) && directory.holds(name, file) {
            let _ = directory.remove(name);
        }
    }
}

/// The directory of a lock file, which is created if it is missing, and the name of the file.
fn directory_of(path: &Path) -> Result<(Dir, PathBuf), LockError> {
    Dir::made_for(path).map_err(|error| LockError::File { path: path.to_owned(), error })
}

/// Logs a failed write to a lock file. The lock is effective even if the file does not name the
/// holder: a full disk is no reason to fail.
fn note_unsigned(signed: io::Result<()>, name: &Path) {
    if let Err(error) = signed {
        tracing::debug!("cannot write the owner of the lock {}: {error}", name.display());
    }
}

fn sign(file: &mut File, holder: &Holder) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", serde_json::to_string(holder)?)
}

/// Reads the holder from the lock file. The file may still be empty if the holder is about to write
/// it.
fn holder(file: File) -> Holder {
    let mut text = String::new();
    let read = file.take(LONGEST).read_to_string(&mut text);
    read.ok().and_then(|_| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// The maximum number of attempts if the file is removed at the moment of locking.
const ATTEMPTS: usize = 16;

/// The maximum number of bytes that are read of a lock file.
const LONGEST: u64 = 4096;

/// The maximum number of characters of a command in a lock file.
const LONGEST_COMMAND: usize = 300;

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn me() -> Holder {
        Holder::this_process(Some("sync a b"))
    }

    #[test]
    fn a_lock_is_had_once_and_names_its_holder() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/pair.lock");
        assert_eq!(Lock::holder(&path), None);
        let lock = Lock::take(&path, &me()).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let error = Lock::take(&path, &me()).unwrap_err();
        let first = format!("locked by process {} since 2", std::process::id());
        assert!(error.to_string().starts_with(&first), "{error}");
        assert!(error.to_string().ends_with(" (sync a b)"), "{error}");
        assert_eq!(Lock::holder(&path).unwrap().pid, Some(std::process::id()));
        drop(lock);
        assert_eq!(Lock::holder(&path), None);
        assert!(!path.exists());
        drop(Lock::take(&path, &me()).unwrap());
    }

    /// Many threads compete for the lock, which is released and taken again: one at a time holds
    /// it.
    #[test]
    fn a_lock_that_is_given_back_is_had_by_one_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let inside = AtomicUsize::new(0);
        let taken = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while taken.load(Ordering::SeqCst) < 2000 {
                        let Ok(lock) = Lock::take(&path, &me()) else { continue };
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        taken.fetch_add(1, Ordering::SeqCst);
                        assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                        drop(lock);
                    }
                });
            }
        });
    }

    #[test]
    fn a_shared_lock_has_many_holders_and_excludes_an_exclusive_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        // The name of a killed holder does not stay in the file.
        fs::write(&path, "{\"pid\": 1}").unwrap();
        let (one, other) = (Lock::share(&path).unwrap(), Lock::share(&path).unwrap());
        assert!(one.is_effective());
        let error = Lock::take(&path, &me()).unwrap_err();
        assert_eq!(error.to_string(), "locked by another process");
        drop(one);
        assert!(path.exists(), "another holder is left");
        assert!(Lock::take(&path, &me()).is_err());
        drop(other);
        assert!(!path.exists());
        let alone = Lock::take(&path, &me()).unwrap();
        assert!(matches!(Lock::share(&path), Err(LockError::Held(_))));
        drop(alone);
        drop(Lock::share(&path).unwrap());
    }

    #[test]
    fn only_a_file_that_nothing_locks_is_swept() {
        let directory = tempfile::tempdir().unwrap();
        let (path, name) = (directory.path().join("lock"), Path::new("lock"));
        let dir = Dir::open(directory.path()).unwrap();
        Lock::sweep(&dir, name);
        let lock = Lock::take_in(&dir, name, &me()).unwrap();
        Lock::sweep(&dir, name);
        assert!(path.exists());
        assert!(Lock::take(&path, &me()).is_err(), "the lock is still held");
        drop(lock);
        fs::write(&path, "of a killed process").unwrap();
        Lock::sweep(&dir, name);
        assert!(!path.exists());
    }

    #[test]
    fn a_long_command_is_shortened_so_that_the_file_can_be_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let command = "livecopy ü\u{1f4bf} ".repeat(1000);
        let _lock = Lock::take(&path, &Holder::this_process(Some(&command))).unwrap();
        let read = Lock::holder(&path).unwrap();
        assert!(command.starts_with(read.command.unwrap().trim_end_matches('…')));
        assert_eq!(read.pid, Some(std::process::id()));
    }

    #[test]
    fn a_holder_need_not_say_who_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let _lock = Lock::take(&path, &me()).unwrap();
        for (text, said) in [
            ("", "another process"),
            ("{\"pid\": 12", "another process"),
            ("{\"pid\": 12, \"later\": {}}", "process 12"),
            ("{\"pid\": 12, \"host\": \"else.where\"}", "process 12 on host else.where"),
            ("{\"pid\": 12, \"command\": \"sync a b\"}", "process 12 (sync a b)"),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(Lock::holder(&path).unwrap().to_string(), said);
        }
    }

    #[test]
    fn a_place_without_room_for_the_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("file"), "").unwrap();
        let error = Lock::take(&directory.path().join("file/lock"), &me()).unwrap_err();
        assert!(matches!(&error, LockError::File { .. }), "{error:?}");
        assert!(error.to_string().contains("file/lock"), "{error}");
    }
}
