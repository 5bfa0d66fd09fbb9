//! The report of one shard. The entries of its lists, such as images, are read from the file when
//! they are needed, and never all held in memory.

use std::fs::File;
use std::io::{self, BufReader, Seek};
use std::path::{Path, PathBuf};

use glance_core::selection::Shard;
use serde_json::{Value, json};

use super::{HOW, unreadable};
use crate::error::CliError;
use crate::exit::Exit;
use crate::named_file::temporary_file;
use crate::report::{self, Outline};

/// The report of one shard.
pub(super) struct Part {
    pub(super) path: PathBuf,
    pub(super) shard: Shard,
    pub(super) exit: Exit,
    pub(super) command: Value,
    pub(super) selection: Value,
    /// The source; null if the command has none.
    pub(super) source: Value,
    pub(super) targets: Vec<Value>,
    errors: Value,
    /// The content of the report, without the fields of the envelope.
    pub(super) body: Outline,
    /// A copy of the report, if it can be read only once.
    copy: Option<File>,
}

impl Part {
    /// Reads a report, except the entries of its lists.
    pub(super) fn read(path: PathBuf) -> Result<Self, CliError> {
        let unusable =
            |reason: &str| CliError::usage(format!("{} {reason}", path.display())).hint(HOW);
        let copy = copy_of_stream(&path).map_err(|error| unreadable(&path, error))?;
        let file = open(&path, copy.as_ref()).map_err(|error| unreadable(&path, error))?;
        let outline = report::outline(file);
        let mut body = outline.map_err(|error| match error.is_io() {
            true => unreadable(&path, error.into()),
            false => unusable("is not a JSON report").caused_by(error),
        })?;
        let mut take = |field: &str| body.remove(field).unwrap_or_default();
        let (version, command) = (take("schema_version"), take("command"));
        if version != 1 || !command.is_string() {
            return Err(unusable("is not a report, or a report of another release"));
        }
        let shard = take("shard").as_str().and_then(|text| text.parse().ok());
        let shard = shard.ok_or_else(|| unusable("is the report of a run without --shard"))?;
        let exit = take("exit_code").as_u64().map_or(Exit::SomeFailed, Exit::of_code);
        let targets = take("targets").as_array().cloned().unwrap_or_default();
        let (selection, source, errors) = (take("selection"), take("source"), take("errors"));
        for field in OF_ONE_RUN {
            take(field);
        }
        Ok(Self { path, shard, exit, command, selection, source, targets, errors, body, copy })
    }

    /// The stores, each with its side.
    pub(super) fn sides(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        let targets = self.targets.iter().map(|target| ("target", target));
        [("source", &self.source)].into_iter().chain(targets)
    }

    /// The errors that are not about single images; `None` if there are none.
    pub(super) fn errors(&self) -> Option<Value> {
        let found = self.errors.as_array().is_some_and(|errors| !errors.is_empty());
        found.then(|| json!({ "shard": self.shard.to_string(), "errors": self.errors }))
    }

    /// Passes on the entries of the list at `place`, a sequence of keys, if the report has it.
    pub(super) fn entries(
        &self,
        place: &[&str],
        each: &mut dyn FnMut(Value),
    ) -> Result<(), CliError> {
        if !self.body.has_list(place) {
            return Ok(());
        }
        let read = open(&self.path, self.copy.as_ref())
            .and_then(|file| Ok(report::entries(file, place, each)?));
        read.map_err(|error| unreadable(&self.path, error))
    }
}

/// A copy of a pipe or another special file; `None` for a regular file, which can be read again.
fn copy_of_stream(path: &Path) -> io::Result<Option<File>> {
    let mut file = File::open(path)?;
    if file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut copy = temporary_file()?;
    io::copy(&mut file, &mut copy)?;
    Ok(Some(copy))
}

fn open(path: &Path, copy: Option<&File>) -> io::Result<BufReader<File>> {
    let file = match copy {
        None => File::open(path)?,
        Some(copy) => {
            let mut copy = copy.try_clone()?;
            copy.rewind()?;
            copy
        }
    };
    Ok(BufReader::new(file))
}

/// The fields of the envelope that say nothing about the run as a whole. All releases assign images
/// to shards in the same way, so the versions may differ.
const OF_ONE_RUN: &[&str] = &[
    "tool",
    "arguments",
    "next_command",
    "global_request_id",
    "started",
    "ended",
    "seconds",
    "certificates",
    "exit_meaning",
    "throughput",
    "adjustments",
];
