//! The journals of this user: runs in progress and unfinished runs.

use std::fmt::Display;
use std::io::ErrorKind;
use std::path::PathBuf;

use glance_core::selection::Shard;
use replicator_engine::{JournalContents, JournalError, JournalFile, Run};
use safe_files::file_lock::{Holder, Lock, LockError};

use crate::args::{self, Options, RecordedArgs};
use crate::error::CliError;
use crate::exit::Exit;
use crate::resolve::endpoint::Opened;
use crate::resolve::state;

/// The contents of a journal, which may be read while another process writes to it.
#[derive(Debug)]
pub(crate) struct Kept {
    path: PathBuf,
    pub(crate) recorded: JournalContents,
    /// The process that writes to the journal, if there is one.
    pub(crate) holder: Option<Holder>,
}

/// Opens and locks the journal of the runs from one store to another. Returns `None` if no state is
/// kept, and for streams, which cannot be opened again. Each shard has its own journal, because
/// shards run at the same time.
pub(crate) fn journal(
    source: &Opened,
    target: &Opened,
    shard: Option<Shard>,
    options: &Options,
) -> Result<Option<JournalFile>, CliError> {
    if source.is_stream() || target.is_stream() {
        return Ok(None);
    }
    let Some(directory) = state::journals(&options.state) else { return Ok(None) };
    let part = shard.map(|shard| shard.to_string()).unwrap_or_default();
    let path = JournalFile::path(&directory, &source.address, &target.address, &part);
    open(path, &source.address, &target.address).map(Some)
}

/// All journals of the runs from one store to another; the journal of runs without shards is first.
pub(crate) fn journals_of(
    source: &Opened,
    target: &Opened,
    options: &Options,
) -> Result<Vec<JournalFile>, CliError> {
    let mut files: Vec<JournalFile> = journal(source, target, None, options)?.into_iter().collect();
    let Some(whole) = files.first().map(|file| file.location().to_owned()) else {
        return Ok(files);
    };
    for kept in journals(&options.state)? {
        let JournalContents { source: from, target: to, .. } = &kept.recorded;
        if (from, to) == (&source.address, &target.address) && kept.path != whole {
            files.push(open(kept.path, &source.address, &target.address)?);
        }
    }
    Ok(files)
}

/// The contents of all journals of the runs from one store to another. Creates and locks no file.
///
/// # Errors
/// When such a run is in progress, or a journal cannot be read.
pub(crate) fn recorded_of(
    source: &Opened,
    target: &Opened,
    options: &Options,
) -> Result<Vec<JournalContents>, CliError> {
    if state::journals(&options.state).is_none() {
        return Ok(Vec::new());
    }
    let (source, target) = (&source.address, &target.address);
    let mut journals = journals(&options.state)?;
    journals.retain(|kept| (&kept.recorded.source, &kept.recorded.target) == (source, target));
    match journals.iter().find_map(|kept| kept.holder.clone()) {
        Some(holder) => Err(in_progress(source, target, &LockError::Held(holder))),
        None => Ok(journals.into_iter().map(|kept| kept.recorded).collect()),
    }
}

fn open(path: PathBuf, source: &str, target: &str) -> Result<JournalFile, CliError> {
    JournalFile::open(path, source, target).map_err(|error| match &error {
        JournalError::Lock(LockError::Held(_)) => in_progress(source, target, &error),
        _ => error.into(),
    })
}

fn in_progress(source: &str, target: &str, error: &impl Display) -> CliError {
    CliError::held(format!("another run from {source} to {target} is in progress: {error}"))
        .hint("wait for that run, or stop it. The lock disappears when the process ends, even if it is killed")
}

/// All journals of this user.
pub(crate) fn journals(options: &args::StateArg) -> Result<Vec<Kept>, CliError> {
    let Some(directory) = state::journals(options) else {
        return Err(CliError::usage("the tool has no state directory, so it has no journals")
            .hint("leave out --no-state, set HOME, or use --state-dir DIR"));
    };
    let cannot_read =
        |error| CliError::usage(format!("cannot read {}", directory.display())).caused_by(error);
    let entries = match std::fs::read_dir(&directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(cannot_read)?,
    };
    let mut journals = Vec::new();
    for entry in entries {
        let path = entry.map_err(cannot_read)?.path();
        if path.extension().is_some_and(|extension| extension == "ndjson") {
            let holder = Lock::holder(&JournalFile::lock_path(&path));
            let recorded = JournalContents::read(&path)?;
            journals.extend(recorded.map(|recorded| Kept { path, recorded, holder }));
        }
    }
    Ok(journals)
}

/// The journal entry for the run of this command line.
pub(crate) fn this_run(options: &Options) -> Run {
    let RecordedArgs { command, left_out } = options.typed.clone();
    let directory = std::env::current_dir().unwrap_or_default().display().to_string();
    Run::begins(command, left_out, directory)
}

/// Records in the journal the exit of a run, and whether it processed all its images.
///
/// # Errors
/// When an entry of the journal could not be written.
pub(crate) async fn end(
    file: &JournalFile,
    run: &Run,
    exit: Exit,
    is_whole: bool,
) -> Result<(), CliError> {
    let failure = file.failure();
    let exit = match failure {
        Some(_) => exit.worse(Exit::LimitReached),
        None => exit,
    };
    let ended = file.end(&run.run, exit as u8, is_whole && came_to_its_end(exit)).await;
    match failure.or(ended.err()) {
        None => Ok(()),
        Some(error) => Err(error.into()),
    }
}

/// Whether a run with this exit processed all its images. Otherwise, running the same command again
/// may process more.
fn came_to_its_end(exit: Exit) -> bool {
    match exit {
        Exit::Success
        | Exit::Differences
        | Exit::Usage
        | Exit::SomeFailed
        | Exit::Integrity
        | Exit::Lost => true,
        Exit::Connection
        | Exit::Authentication
        | Exit::Held
        | Exit::LimitReached
        | Exit::OutOfTime
        | Exit::Interrupted
        | Exit::Terminated => false,
    }
}
