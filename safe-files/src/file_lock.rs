//! File locks, so that only one process works on a directory or file.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::dir::Dir;
use glance_core::clock::now;

/// A lock that this process holds until the value is dropped. The kernel releases the lock however
/// the process ends.
///
/// The lock is a `flock` on a file. The file names the holder and is removed when the lock is
/// released. A file that a killed process leaves behind does not prevent locking.
#[derive(Debug)]
pub struct Lock {
    /// The locked file, its directory and its name; `None` if the filesystem does not support
    /// locks.
    held: Option<(File, Dir, PathBuf)>,
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
    /// The time when the lock was taken, by the holder's clock.
    pub since: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(pid) = self.pid else { return f.write_str("another process") };
        write!(f, "process {pid}")?;
        if let Some(host) = self.host.as_ref().filter(|host| **host != this_host()) {
            write!(f, " on host {host}")?;
        }
        self.since.iter().try_for_each(|since| write!(f, " since {since}"))
    }
}

impl Lock {
    /// Takes the lock with the file at `path`, without waiting. Missing files and directories are
    /// created. If the filesystem does not support locks, a warning is logged, and nothing is
    /// locked.
    ///
    /// # Errors
    /// When another process holds the lock, or when the file cannot be created.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let failed = |error| LockError::File { path: path.to_owned(), error };
        let (directory, name) = Dir::made_for(path).map_err(failed)?;
        for _ in 0..ATTEMPTS {
            let (mut file, _) = directory.open_or_create(&name).map_err(failed)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Err(LockError::Held(holder(file))),
                Err(error) if UNSUPPORTED.contains(&error) => {
                    tracing::warn!(
                        "cannot lock {}: the filesystem does not support locking; make sure that no \
                         other run uses the same files",
                        path.display()
                    );
                    return Ok(Self { held: None });
                }
                Err(error) => return Err(failed(error.into())),
            }
            // The previous holder may just have removed the file; a lock on a removed file is void.
            if !directory.holds(&name, &file) {
                continue;
            }
            // The lock is effective even if the file does not name the holder: a full disk is no
            // reason to fail.
            if let Err(error) = sign(&mut file) {
                tracing::debug!("cannot write the owner of the lock {}: {error}", path.display());
            }
            return Ok(Self { held: Some((file, directory, name)) });
        }
        Err(LockError::Held(Holder::default()))
    }

    /// The holder of the lock with the file at `path`; `None` if the lock is free.
    pub fn holder(path: &Path) -> Option<Holder> {
        let (directory, name) = Dir::of_file(path).ok()?;
        let file = directory.open_file(&name).ok()?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(Errno::WOULDBLOCK) => Some(holder(file)),
            _ => None,
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some((file, directory, name)) = &self.held {
            // The file is removed while the lock is still held, so that no other process's file is
            // removed.
            if directory.holds(name, file) {
                let _ = directory.remove(name);
            }
        }
    }
}

fn sign(file: &mut File) -> io::Result<()> {
    let holder =
        Holder { pid: Some(std::process::id()), host: Some(this_host()), since: Some(now()) };
    file.set_len(0)?;
    writeln!(file, "{}", serde_json::to_string(&holder)?)
}

/// Reads the holder from the lock file. The file may still be empty if the holder is about to write
/// it.
fn holder(file: File) -> Holder {
    let mut text = String::new();
    let read = file.take(LONGEST).read_to_string(&mut text);
    read.ok().and_then(|_| serde_json::from_str(&text).ok()).unwrap_or_default()
}

fn this_host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The errors of filesystems that do not support locks.
const UNSUPPORTED: [Errno; 6] =
    [Errno::NOTSUP, Errno::NOSYS, Errno::NOLCK, Errno::INVAL, Errno::PERM, Errno::ACCESS];

/// The maximum number of attempts if the file is removed at the moment of locking.
const ATTEMPTS: usize = 16;

/// The maximum number of bytes that are read of a lock file.
const LONGEST: u64 = 4096;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_lock_is_had_once_and_names_its_holder() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/pair.lock");
        assert_eq!(Lock::holder(&path), None);
        let lock = Lock::take(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let error = Lock::take(&path).unwrap_err();
        let me = format!("locked by process {} since 2", std::process::id());
        assert!(error.to_string().starts_with(&me), "{error}");
        assert_eq!(Lock::holder(&path).unwrap().pid, Some(std::process::id()));
        drop(lock);
        assert_eq!(Lock::holder(&path), None);
        assert!(!path.exists());
        drop(Lock::take(&path).unwrap());
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
                        let Ok(lock) = Lock::take(&path) else { continue };
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
    fn a_holder_need_not_say_who_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let _lock = Lock::take(&path).unwrap();
        for (text, said) in [
            ("", "another process"),
            ("{\"pid\": 12", "another process"),
            ("{\"pid\": 12, \"later\": {}}", "process 12"),
            ("{\"pid\": 12, \"host\": \"else.where\"}", "process 12 on host else.where"),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(Lock::holder(&path).unwrap().to_string(), said);
        }
    }

    #[test]
    fn a_place_without_room_for_the_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("file"), "").unwrap();
        let error = Lock::take(&directory.path().join("file/lock")).unwrap_err();
        assert!(matches!(&error, LockError::File { .. }), "{error:?}");
        assert!(error.to_string().contains("file/lock"), "{error}");
    }
}
