//! The file of a journal.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use glance_core::digest::hex;
use glance_core::dir::{self, Dir};
use glance_core::file_lock::Lock;
use glance_core::image::ImageId;

use super::{Journal, JournalError, Leftover};
use crate::recovery::journal::entries::{Ended, Line, Recorded, Run, now};

/// The journal of the runs from one store to another, which this process alone writes to as long as
/// the value lives. Cloning it shares it.
///
/// Lines of JSON are added to the file as things happen. When a run begins or ends, the file is
/// replaced by one of what still matters, so that it does not grow from run to run.
#[derive(Debug, Clone)]
pub struct JournalFile(Arc<Writer>);

#[derive(Debug)]
struct Writer {
    path: PathBuf,
    directory: Dir,
    name: PathBuf,
    _lock: Lock,
    state: Mutex<State>,
    /// How many lines are known to be on the disk. Held by the one that sees to it, so that those
    /// who wait for it meanwhile have one `fsync` among them.
    synced: Mutex<u64>,
}

#[derive(Debug)]
struct State {
    recorded: Recorded,
    /// Open once something was added.
    file: Option<Arc<File>>,
    /// Lines that were added.
    written: u64,
    /// What went wrong first. Nothing is added any more then.
    failure: Option<Failure>,
}

#[derive(Debug, Clone, Copy)]
struct Failure {
    kind: io::ErrorKind,
    code: Option<i32>,
}

impl JournalFile {
    /// Where in `directory` the journal of this pair of addresses is, or of a `part` of what there is
    /// to do, which others do not wait for.
    pub fn path(directory: &Path, source: &str, target: &str, part: &str) -> PathBuf {
        let pair = Sha256::digest(format!("{source}\n{target}\n{part}"));
        directory.join(format!("{}.ndjson", &hex(&pair)[..32]))
    }

    /// The file that says who writes to the journal at `path`.
    pub fn lock_path(path: &Path) -> PathBuf {
        path.with_extension("lock")
    }

    /// Takes the journal at `path` of the runs between two addresses, which need not be there, as
    /// need not be the directories above it. Writes nothing to it yet.
    ///
    /// # Errors
    /// When another process has it, and when it can't be read.
    pub fn open(path: PathBuf, source: &str, target: &str) -> Result<Self, JournalError> {
        let lock = Lock::take(&Self::lock_path(&path))?;
        let opened = Dir::made_for(&path).and_then(|(directory, name)| {
            directory.warn_if_shared();
            directory.sweep(&name.to_string_lossy())?;
            Ok((directory, name))
        });
        let (directory, name) = opened.map_err(|error| {
            let path = path.clone();
            JournalError::File { operation: "open", path, error }
        })?;
        let mut recorded = Recorded::read(&path)?.unwrap_or_default();
        (recorded.source, recorded.target) = (source.to_owned(), target.to_owned());
        let state = State { recorded, file: None, written: 0, failure: None };
        let (state, synced) = (Mutex::new(state), Mutex::default());
        Ok(Self(Arc::new(Writer { path, directory, name, _lock: lock, state, synced })))
    }

    /// Where it is.
    pub fn location(&self) -> &Path {
        &self.0.path
    }

    /// What it says now.
    pub fn recorded(&self) -> Recorded {
        self.0.state().recorded.clone()
    }

    /// Why nothing is written to it any more, if so.
    pub fn failure(&self) -> Option<JournalError> {
        let failure = self.0.state().failure?;
        Some(self.0.failed("write", failure.error()))
    }

    /// Writes down that a run begins, and hands it a journal.
    ///
    /// # Errors
    /// When that can't be written.
    pub async fn begin(&self, run: Run) -> Result<Journal, JournalError> {
        let journal = self.of(&run.run);
        self.blocking(move |writer| {
            let mut state = writer.state();
            state.recorded.take(Line::Run(run));
            writer.compact(&mut state)
        })
        .await?;
        Ok(journal)
    }

    /// The journal of a run that was begun by another process.
    pub fn of(&self, run: &str) -> Journal {
        Journal(Some((self.clone(), run.to_owned())))
    }

    /// Writes down how a run ended: whether it had looked at all images that it was about.
    ///
    /// # Errors
    /// When that can't be written.
    pub async fn end(&self, run: &str, exit: u8, whole: bool) -> Result<(), JournalError> {
        let line = Line::Ended { run: run.to_owned(), ended: Ended { at: now(), exit, whole } };
        self.blocking(move |writer| {
            let mut state = writer.state();
            state.recorded.take(line.clone());
            match writer.compact(&mut state) {
                Ok(()) => Ok(()),
                // There may be room for a line where there is none for another file.
                Err(_) if state.failure.is_none() => {
                    writer.append(&mut state, &line)?;
                    drop(state);
                    writer.sync()
                }
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// What a run left of this image.
    pub(crate) fn leftover(&self, image: &ImageId) -> Option<Leftover> {
        self.0.state().recorded.leftovers.get(image).cloned()
    }

    /// Writes down that something is about to happen, and returns when that is on the disk.
    pub(super) async fn announce(&self, left: Leftover) -> Result<(), JournalError> {
        self.blocking(move |writer| {
            let line = Line::Image(left);
            let mut state = writer.state();
            writer.append(&mut state, &line)?;
            state.recorded.take(line);
            drop(state);
            writer.sync()
        })
        .await
    }

    /// Writes down that something has happened.
    pub(crate) async fn note(&self, left: Leftover) {
        let noted = self.blocking(move |writer| {
            let line = Line::Image(left);
            let mut state = writer.state();
            let appended = writer.append(&mut state, &line);
            // It has happened, be it written or not.
            state.recorded.take(line);
            appended
        });
        if let Err(error) = noted.await {
            tracing::debug!("{error}");
        }
    }

    /// Works on the file where it may block. What was begun is done even if nobody waits for it.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Writer) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let writer = Arc::clone(&self.0);
        let worked = tokio::task::spawn_blocking(move || work(&writer)).await;
        worked.map_err(|error| self.0.failed("write", io::Error::other(error)))?
    }
}

impl Writer {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done between two halves of a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line.
    fn append(&self, state: &mut State, line: &Line) -> Result<(), JournalError> {
        if let Some(failure) = state.failure {
            return Err(self.failed("write", failure.error()));
        }
        let added = line.to_text().map_err(io::Error::from).and_then(|text| state.add(self, &text));
        added.map_err(|error| {
            // A part of it may be there.
            state.recorded.torn = true;
            state.failure = Some(Failure::of(&error));
            self.failed("write", error)
        })
    }

    /// Returns when every line that was added is on the disk.
    fn sync(&self) -> Result<(), JournalError> {
        let wanted = self.state().written;
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if *synced >= wanted {
            return Ok(());
        }
        let (file, written) = {
            let state = self.state();
            (state.file.clone(), state.written)
        };
        if let Some(file) = file {
            dir::sync_data(&file).map_err(|error| {
                self.state().failure = Some(Failure::of(&error));
                self.failed("write", error)
            })?;
        }
        *synced = written;
        Ok(())
    }

    /// Replaces the file by one of what still matters.
    fn compact(&self, state: &mut State) -> Result<(), JournalError> {
        let text = state.recorded.to_text().map_err(io::Error::from);
        let replaced = text.and_then(|text| self.directory.replace(&self.name, text.as_bytes()));
        replaced.map_err(|error| self.failed("write", error))?;
        (state.file, state.recorded.torn) = (None, false);
        Ok(())
    }

    fn failed(&self, operation: &'static str, error: io::Error) -> JournalError {
        JournalError::File { operation, path: self.path.clone(), error }
    }
}

impl State {
    fn add(&mut self, writer: &Writer, text: &str) -> io::Result<()> {
        let file = if let Some(file) = &self.file {
            Arc::clone(file)
        } else {
            let file = writer.directory.open_to_append(&writer.name)?;
            Arc::clone(self.file.insert(Arc::new(file)))
        };
        let before = if self.recorded.torn { "\n" } else { "" };
        (&*file).write_all(format!("{before}{text}").as_bytes())?;
        self.recorded.torn = false;
        self.written += 1;
        Ok(())
    }
}

impl Failure {
    fn of(error: &io::Error) -> Self {
        Self { kind: error.kind(), code: error.raw_os_error() }
    }

    fn error(self) -> io::Error {
        self.code.map_or_else(|| self.kind.into(), io::Error::from_raw_os_error)
    }
}
