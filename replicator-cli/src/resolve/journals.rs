//! The journals of this user: runs in progress and unfinished runs, and their claims.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use glance_core::selection::Shard;
use replicator_engine::{Claim, JournalContents, JournalError, JournalFile, PairClaim, Run};
use safe_files::file_lock::{Holder, LockError};
use tokio::time::{Instant, sleep};

use crate::args::{self, Options, RecordedArgs};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::shell_line;
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

/// Claims the pair of stores for a run from one to the other, and opens the run's journal. Returns
/// `None` if no state is kept, and for streams, which cannot be opened again.
///
/// A shard has a claim and journals of its own, and shares the pair with the other shards.
pub(crate) async fn journal(
    source: &Opened,
    target: &Opened,
    shard: Option<Shard>,
    claim: PairClaim,
    options: &Options,
) -> Result<Option<JournalFile>, CliError> {
    if source.is_stream() || target.is_stream() {
        return Ok(None);
    }
    let Some(directory) = state::journals(&options.state) else { return Ok(None) };
    let pair = Pair { source: &source.address, target: &target.address, options };
    let path = |part: &str| JournalFile::path(&directory, pair.source, pair.target, part);
    let claims = match shard {
        None => vec![(path(""), claim)],
        Some(shard) => vec![(path(""), PairClaim::Shared), (path(&shard.to_string()), claim)],
    };
    pair.open(&claims).await.map(Some)
}

/// All journals of the runs from one store to another, for a command that works alone; the journal
/// of runs without shards is first.
pub(crate) async fn journals_of(
    source: &Opened,
    target: &Opened,
    options: &Options,
) -> Result<Vec<JournalFile>, CliError> {
    let Some(first) = journal(source, target, None, PairClaim::Alone, options).await? else {
        return Ok(Vec::new());
    };
    let pair = Pair { source: &source.address, target: &target.address, options };
    let mut paths = pair.journals()?;
    paths.remove(&first.pair());
    let mut files = vec![first];
    for path in paths {
        files.push(pair.open(&[(path, PairClaim::Alone)]).await?);
    }
    Ok(files)
}

/// The contents of all journals of the runs from one store to another. Creates and locks no file,
/// and does not wait for other runs.
///
/// # Errors
/// When such a run is in progress, or a journal cannot be read.
pub(crate) fn recorded_of(
    source: &Opened,
    target: &Opened,
    options: &Options,
) -> Result<Vec<JournalContents>, CliError> {
    let Some(directory) = state::journals(&options.state) else { return Ok(Vec::new()) };
    let pair = Pair { source: &source.address, target: &target.address, options };
    let mut journals = journals(&options.state)?;
    journals.retain(|kept| pair.is_of(kept));
    match journals.iter().find_map(|kept| kept.holder.clone()) {
        Some(holder) => {
            let path = JournalFile::path(&directory, pair.source, pair.target, "");
            let held = JournalError::from(LockError::Held(holder));
            Err(CliError::held(pair.in_progress(&path, &held))
                .hint("wait for that run, or stop it. Its claim ends with the process, even if it is killed"))
        }
        None => Ok(journals.into_iter().map(|kept| kept.recorded).collect()),
    }
}

/// A pair of stores, by their addresses.
struct Pair<'a> {
    source: &'a str,
    target: &'a str,
    options: &'a Options,
}

impl Pair<'_> {
    /// Takes these claims and opens a journal of the last one. Waits for other runs as long as the
    /// options allow.
    async fn open(&self, claims: &[(PathBuf, PairClaim)]) -> Result<JournalFile, CliError> {
        let Some((path, claim)) = claims.last() else {
            return Err(CliError::usage("a journal needs a claim"));
        };
        let holder = this_process(self.options);
        let claimed =
            || claims.iter().map(|(path, claim)| JournalFile::claim(path, *claim, &holder));
        let open = || -> Result<_, JournalError> {
            let claims = claimed().collect::<Result<_, _>>()?;
            JournalFile::open(path, self.source, self.target, &holder, claims)
        };
        let is_held =
            |error: &JournalError| matches!(error, JournalError::Lock(LockError::Held(_)));
        let waiting = |error: &JournalError| self.in_progress(path, error);
        let opened = patiently(self.options.state.wait(), open, is_held, waiting).await;
        opened.map_err(|error| match is_held(&error) {
            true => CliError::held(self.in_progress(path, &error)).hint(hint(*claim)),
            false => error.into(),
        })
    }

    /// That other runs keep this one from its claim, and which ones.
    fn in_progress(&self, path: &Path, error: &JournalError) -> String {
        let mut runs = JournalFile::holders(path);
        let others = journals(&self.options.state).unwrap_or_default();
        runs.extend(
            others.into_iter().filter(|kept| self.is_of(kept)).filter_map(|kept| kept.holder),
        );
        if let JournalError::Lock(LockError::Held(holder)) = error {
            runs.push(holder.clone());
        }
        let mut named: Vec<String> = Vec::new();
        for run in runs.iter().map(ToString::to_string) {
            // A holder that is not named is one of the named ones.
            let is_new = !named.contains(&run) && (named.is_empty() || run.starts_with("process"));
            named.extend(is_new.then_some(run));
        }
        let Self { source, target, .. } = self;
        format!("another run from {source} to {target} is in progress: {}", named.join(", "))
    }

    fn is_of(&self, kept: &Kept) -> bool {
        (&*kept.recorded.source, &*kept.recorded.target) == (self.source, self.target)
    }

    /// The first journals of the pair and of its shards.
    fn journals(&self) -> Result<BTreeSet<PathBuf>, CliError> {
        let all = journals(&self.options.state)?.into_iter().filter(|kept| self.is_of(kept));
        Ok(all.map(|kept| JournalFile::first(&kept.path)).collect())
    }
}

/// What the operator can do about a claim that another run excludes.
fn hint(claim: PairClaim) -> &'static str {
    match claim {
        PairClaim::Alone => {
            "this command works alone, because it removes or repairs images: wait for that run with \
             --wait, or stop it. Its claim ends with the process, even if it is killed"
        }
        PairClaim::Shared => {
            "that run works alone, because it removes or repairs images: wait for it with --wait, or \
             stop it. Its claim ends with the process, even if it is killed"
        }
    }
}

/// Claims the metadata definitions of the target of `file`. Waits for another run for the time
/// `wait`.
pub(crate) async fn claim_metadefs(file: &JournalFile, wait: Duration) -> Result<Claim, CliError> {
    let is_held = |error: &LockError| matches!(error, LockError::Held(_));
    let waiting = |error: &LockError| match error {
        LockError::Held(holder) => {
            format!("another run copies metadata definitions to this target: {holder}")
        }
        _ => error.to_string(),
    };
    let claimed = patiently(wait, || file.claim_metadefs(), is_held, waiting).await;
    claimed.map_err(|error| match is_held(&error) {
        true => CliError::held(waiting(&error))
            .hint("run the command again later, or wait for that run with --wait"),
        false => JournalError::from(error).into(),
    })
}

/// This process, as other runs name it.
pub(crate) fn this_process(options: &Options) -> Holder {
    Holder::this_process(Some(&shell_line(&options.typed.command)))
}

/// Tries again, as long as another process holds a lock, for the time of `--wait`. `waiting`
/// describes what the command waits for.
pub(crate) async fn patiently<T, E>(
    wait: Duration,
    mut attempt: impl FnMut() -> Result<T, E>,
    is_held: impl Fn(&E) -> bool,
    waiting: impl Fn(&E) -> String,
) -> Result<T, E> {
    let end = Instant::now() + wait;
    let mut is_first = true;
    loop {
        let error = match attempt() {
            Err(error) if is_held(&error) => error,
            ended => return ended,
        };
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() && !is_first {
            return Err(error);
        }
        if !wait.is_zero() && is_first {
            tracing::warn!("{}; waiting up to {wait:?} for its end", waiting(&error));
        }
        sleep(if is_first { MOMENT } else { left.min(INTERVAL) }).await;
        is_first = false;
    }
}

/// The time between two attempts to take a lock.
const INTERVAL: Duration = Duration::from_secs(1);

/// The time after which a lock that is taken only to look at it is free again.
const MOMENT: Duration = Duration::from_millis(50);

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
            let holder = JournalFile::holder(&path);
            let recorded = JournalContents::read(&path)?;
            journals.extend(recorded.map(|recorded| Kept { path, recorded, holder }));
        }
    }
    Ok(journals)
}

/// The journal entry for the run of this command line.
pub(crate) fn this_run(options: &Options) -> Run {
    let RecordedArgs { command, left_out, work } = options.typed.clone();
    let directory = std::env::current_dir().unwrap_or_default().display().to_string();
    Run { work, ..Run::begins(command, left_out, directory) }
}

/// How far a run came with its selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Some images were not tried.
    Partial,
    /// All images were tried. The exit tells whether running the same command again may help.
    AllTried,
    /// All images were processed, and only removals were refused.
    AllButRemovals,
}

/// Records in the journal the exit of a run, and how far the run came. A run that ended with an error
/// before it did anything needs no resumption.
///
/// # Errors
/// When an entry of the journal could not be written.
pub(crate) async fn end(
    file: &JournalFile,
    run: &Run,
    exit: Exit,
    reach: Reach,
) -> Result<(), CliError> {
    let failure = file.failure();
    let exit = match failure {
        Some(_) => exit.worse(Exit::LimitReached),
        None => exit,
    };
    let is_whole = match reach {
        Reach::Partial => false,
        Reach::AllTried => came_to_its_end(exit),
        Reach::AllButRemovals => failure.is_none(),
    };
    let mut ended = file.end(&run.run, exit as u8, is_whole).await;
    if !is_whole && is_error(exit) && !file.recorded().has_work_of(&run.run) {
        ended = ended.and(file.dismiss(&run.run).await);
    }
    match failure.or(ended.err()) {
        None => Ok(()),
        Some(error) => Err(error.into()),
    }
}

/// Whether a run with this exit failed, rather than being stopped or kept from its images.
fn is_error(exit: Exit) -> bool {
    matches!(exit, Exit::Connection | Exit::Authentication | Exit::LimitReached)
}

/// Dismisses these unfinished runs in a journal. A journal without them is not opened.
///
/// # Errors
/// When the journal is in use or cannot be written.
pub(crate) async fn dismiss(kept: &Kept, runs: &[Run], options: &Options) -> Result<(), CliError> {
    let recorded = &kept.recorded;
    let is_meant = |run: &&Run| runs.iter().any(|meant| meant.run == run.run);
    if !recorded.unfinished().any(|run| is_meant(&run)) {
        return Ok(());
    }
    let pair = Pair { source: &recorded.source, target: &recorded.target, options };
    let file = pair.open(&[(JournalFile::first(&kept.path), PairClaim::Shared)]).await?;
    for run in file.recorded().unfinished().filter(is_meant) {
        file.dismiss(&run.run).await?;
    }
    Ok(())
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
        | Exit::HungUp
        | Exit::Interrupted
        | Exit::Terminated => false,
    }
}
