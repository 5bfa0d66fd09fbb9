//! The file of a journal.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use glance_core::clock::now;
use glance_core::digest::hex;
use glance_core::image::ImageId;
use safe_files::dir::{self, Dir};
use safe_files::file_lock::{Holder, Lock, LockError};

use super::claims::{Claim, Claims};
use super::slot::{self, Slot};
use super::{Journal, JournalEntry, JournalError};
use crate::journal::entries::{Ended, JournalContents, Line, Run};

/// A journal of the runs from one store to another. While the value lives, no other process can
/// write to it: another run between these stores writes to a journal of its own. Clones share it.
///
/// Each step appends a line of JSON. When a run begins or ends, the file is replaced by a compacted
/// one, so that it does not grow from run to run.
#[derive(Debug, Clone)]
pub struct JournalFile(Arc<Writer>);

/// How a run claims a pair of stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairClaim {
    /// Together with other runs that share the pair.
    Shared,
    /// Alone: for a run that removes images, or judges what other runs left.
    Alone,
}

#[derive(Debug)]
struct Writer {
    path: PathBuf,
    directory: Dir,
    name: PathBuf,
    /// The locks on the pair of stores, and the lock of this journal.
    _locks: Vec<Lock>,
    claims: Claims,
    state: Mutex<State>,
    /// Number of lines that are known to be synced to disk. The lock is held during `fsync`, so
    /// that all tasks that wait for it share the next one.
    synced: Mutex<u64>,
}

#[derive(Debug)]
struct State {
    recorded: JournalContents,
    /// Opened by the first append.
    file: Option<Arc<File>>,
    /// Number of lines appended.
    written: u64,
    /// The first write error. After it, nothing more is appended.
    failure: Option<Failure>,
}

#[derive(Debug, Clone, Copy)]
struct Failure {
    kind: io::ErrorKind,
    code: Option<i32>,
}

impl JournalFile {
    /// The path in `directory` of the journal for this pair of addresses. `part` distinguishes runs
    /// for a part of the work, such as a shard, which can then run at the same time.
    pub fn path(directory: &Path, source: &str, target: &str, part: &str) -> PathBuf {
        let pair = Sha256::digest(format!("{source}\n{target}\n{part}"));
        directory.join(format!("{}.ndjson", &hex(&pair)[..32]))
    }

    /// Claims the pair of stores of the journal at `path` for this process: together with other
    /// runs, or alone.
    ///
    /// # Errors
    /// When the claim of another process excludes this one, or the lock file can't be made.
    pub fn claim(path: &Path, claim: PairClaim, holder: &Holder) -> Result<Lock, LockError> {
        match claim {
            PairClaim::Shared => Lock::share(&slot::pair_lock(path)),
            PairClaim::Alone => Lock::take(&slot::pair_lock(path), holder),
        }
    }

    /// The process that keeps others from writing to the journal at `path`, if there is one.
    pub fn holder(path: &Path) -> Option<Holder> {
        let alone = || Lock::holder(&slot::pair_lock(path));
        Lock::holder(&slot::lock_path(path)).or_else(alone)
    }

    /// The processes with runs between the stores of the journal at `path`.
    pub fn holders(path: &Path) -> Vec<Holder> {
        slot::writers(path)
    }

    /// Opens the first journal that no other process writes to, of the pair of stores that `pair`
    /// claims: the one at `path`, or one next to it. Takes over the journals of dead runs. The
    /// files and their directories need not exist.
    ///
    /// # Errors
    /// When a journal can't be read, or what is taken over can't be written.
    pub fn open(
        path: &Path,
        source: &str,
        target: &str,
        holder: &Holder,
        pair: Vec<Lock>,
    ) -> Result<Self, JournalError> {
        let is_locked = pair.iter().all(Lock::is_effective);
        let own = match is_locked {
            true => Slot::take(path, holder)?,
            false => Slot { path: path.to_owned(), lock: None },
        };
        let failed =
            |error| JournalError::File { operation: "open", path: own.path.clone(), error };
        let (directory, name) = Dir::made_for(&own.path).map_err(failed)?;
        directory.warn_if_shared();
        directory.sweep(&name.to_string_lossy()).map_err(failed)?;
        let mut recorded = JournalContents::read(&own.path)?.unwrap_or_default();
        (recorded.source, recorded.target) = (source.to_owned(), target.to_owned());
        let (dead, claims) = match is_locked {
            true => {
                let dead = own.dead(&directory, holder).map_err(failed)?;
                (dead, Claims::open(&directory, target, holder).map_err(failed)?)
            }
            false => (Vec::new(), Claims::default()),
        };
        for slot in &dead {
            recorded.merge(JournalContents::read(&slot.path)?.unwrap_or_default());
        }
        let writer = Writer {
            path: own.path,
            directory,
            name,
            _locks: pair.into_iter().chain(own.lock).collect(),
            claims,
            state: Mutex::new(State { recorded, file: None, written: 0, failure: None }),
            synced: Mutex::default(),
        };
        writer.take_over(&dead)?;
        Ok(Self(Arc::new(writer)))
    }

    /// The path of the first journal of the pair that the journal at `path` belongs to: several runs
    /// at the same time have a journal each.
    pub fn first(path: &Path) -> PathBuf {
        slot::first(path)
    }

    /// The path of the first journal of the pair.
    pub fn pair(&self) -> PathBuf {
        slot::first(&self.0.path)
    }

    /// Claims the metadata definitions of the target for this process, without waiting.
    ///
    /// # Errors
    /// When another run copies metadata definitions to the target, or the lock file can't be made.
    pub fn claim_metadefs(&self) -> Result<Claim, LockError> {
        self.0.claims.take_metadefs()
    }

    /// The claims on images of the target.
    pub(super) fn claims(&self) -> &Claims {
        &self.0.claims
    }

    /// The current state of the journal.
    pub fn recorded(&self) -> JournalContents {
        self.0.state().recorded.clone()
    }

    /// The error after which nothing more is written, if any.
    pub fn failure(&self) -> Option<JournalError> {
        let failure = self.0.state().failure?;
        Some(self.0.failed("write", failure.error()))
    }

    /// Records that a run begins, and returns its journal.
    ///
    /// # Errors
    /// When the journal can't be written.
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

    /// The journal of a run that has already begun, possibly in another process.
    pub fn of(&self, run: &str) -> Journal {
        Journal(Some((self.clone(), run.to_owned())))
    }

    /// Records how a run ended. `whole`: whether it examined all images of its selection.
    ///
    /// # Errors
    /// When the journal can't be written.
    pub async fn end(&self, run: &str, exit: u8, whole: bool) -> Result<(), JournalError> {
        self.ended(run, Ended { at: now(), exit, whole, dismissed: false }).await
    }

    /// Records that a run is not to be resumed. Its leftovers stay.
    ///
    /// # Errors
    /// When the journal can't be written.
    pub async fn dismiss(&self, run: &str) -> Result<(), JournalError> {
        let known = self.0.state().recorded.run(run).cloned().unwrap_or_default();
        let ended = known.ended.unwrap_or_else(|| Ended { at: now(), ..Ended::default() });
        self.ended(run, Ended { dismissed: true, ..ended }).await
    }

    async fn ended(&self, run: &str, ended: Ended) -> Result<(), JournalError> {
        let line = Line::Ended { run: run.to_owned(), ended };
        self.blocking(move |writer| {
            let mut state = writer.state();
            state.recorded.take(line.clone());
            match writer.compact(&mut state) {
                Ok(()) => Ok(()),
                // A full disk may have room for one more line, but not for a second file.
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

    /// The leftover of this image, if any.
    pub(crate) fn leftover(&self, image: &ImageId) -> Option<JournalEntry> {
        self.0.state().recorded.leftovers.get(image).cloned()
    }

    /// Records the next step, and returns once the line is synced to disk.
    pub(super) async fn announce(&self, left: JournalEntry) -> Result<(), JournalError> {
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

    /// Records a completed step.
    pub(crate) async fn note(&self, left: JournalEntry) {
        let noted = self.blocking(move |writer| {
            let line = Line::Image(left);
            let mut state = writer.state();
            let appended = writer.append(&mut state, &line);
            // The step has happened, whether it could be written or not.
            state.recorded.take(line);
            appended
        });
        if let Err(error) = noted.await {
            tracing::debug!("{error}");
        }
    }

    /// Runs blocking work on the file. The work is completed even if the caller is cancelled.
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
        // A panic never leaves the state half changed, so a poisoned lock is safe to use.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a line.
    fn append(&self, state: &mut State, line: &Line) -> Result<(), JournalError> {
        if let Some(failure) = state.failure {
            return Err(self.failed("write", failure.error()));
        }
        let added = line.to_text().map_err(io::Error::from).and_then(|text| state.add(self, &text));
        added.map_err(|error| {
            // A part of the line may have been written.
            state.recorded.torn = true;
            state.failure = Some(Failure::of(&error));
            self.failed("write", error)
        })
    }

    /// Returns once all appended lines are synced to disk.
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

    /// Writes what was read of the journals of dead runs, and removes these journals.
    fn take_over(&self, dead: &[Slot]) -> Result<(), JournalError> {
        if dead.is_empty() {
            return Ok(());
        }
        self.compact(&mut self.state())?;
        for slot in dead {
            let removed = self.directory.remove(slot.path.file_name().unwrap_or_default());
            removed.map_err(|error| self.failed("write", error))?;
        }
        Ok(())
    }

    /// Replaces the file by a compacted one.
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
