//! Plans saved in a file: one line of JSON for the plan, then one line per image, sorted by id.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, IntoInnerError, Write};
use std::path::{Path, PathBuf};

use replicator_engine::Entry;
use serde_json::{Value, json};

use crate::error::CliError;
use crate::named_file::NamedFile;

/// Writes a plan. The file appears under its name when it is complete.
#[derive(Debug)]
pub(crate) struct Writer {
    path: PathBuf,
    file: BufWriter<NamedFile>,
    failure: Option<io::Error>,
}

impl Writer {
    pub(crate) fn create(path: &Path) -> Result<Self, CliError> {
        let file = NamedFile::create(path).map_err(|error| cannot("write", path, error))?;
        let mut file = BufWriter::new(file);
        let failure = writeln!(file, "{}", head()).err();
        Ok(Self { path: path.to_owned(), file, failure })
    }

    pub(crate) fn entry(&mut self, entry: &Entry) {
        let written = writeln!(self.file, "{}", entry.to_json());
        self.failure = self.failure.take().or(written.err());
    }

    pub(crate) fn finish(self) -> Result<(), CliError> {
        let written = match self.failure {
            Some(error) => Err(error),
            None => self.file.into_inner().map_err(IntoInnerError::into_error),
        };
        let placed = written.and_then(NamedFile::keep);
        placed.map_err(|error| cannot("write", &self.path, error))
    }
}

/// Compares a saved plan with the plan for the present state.
#[derive(Debug)]
pub(crate) struct Checker {
    path: PathBuf,
    lines: io::Lines<BufReader<File>>,
    failure: Option<CliError>,
}

impl Checker {
    pub(crate) fn open(path: &Path) -> Result<Self, CliError> {
        let file = File::open(path).map_err(|error| cannot("read", path, error))?;
        let mut lines = BufReader::new(file).lines();
        let first = lines.next().transpose().map_err(|error| cannot("read", path, error))?;
        let head_there = first.and_then(|line| serde_json::from_str::<Value>(&line).ok());
        if head_there != Some(head()) {
            let what = format!("{} is not a plan made by this release", path.display());
            return Err(CliError::usage(what).hint("make one with `plan FROM TO --out FILE`"));
        }
        Ok(Self { path: path.to_owned(), lines, failure: None })
    }

    /// Compares the next image in its present state with the saved plan.
    pub(crate) fn entry(&mut self, entry: &Entry) {
        if self.failure.is_some() {
            return;
        }
        let planned = self.next();
        let now = entry.to_json();
        if planned.as_ref() != Some(&now) {
            self.failure = Some(self.changed(&planned.unwrap_or_default(), &now));
        }
    }

    /// Fails if anything changed since the plan was saved.
    pub(crate) fn finish(mut self) -> Result<(), CliError> {
        match (self.failure.take(), self.next()) {
            (Some(failure), _) => Err(failure),
            (None, Some(planned)) => Err(self.changed(&planned, &Value::Null)),
            (None, None) => Ok(()),
        }
    }

    fn next(&mut self) -> Option<Value> {
        let line = self.lines.next()?.ok()?;
        Some(serde_json::from_str(&line).unwrap_or_default())
    }

    fn changed(&self, planned: &Value, now: &Value) -> CliError {
        let said = |entry: &Value| match (entry["id"].as_str(), entry["state"].as_str()) {
            (Some(id), Some(state)) => {
                format!("{id} {}, {state}, {}", entry["name"], entry["action"])
            }
            _ => "no further image".to_owned(),
        };
        let (planned, now) = (said(planned), said(now));
        let change = match planned == now {
            // What changed is in the record, but not in these words.
            true => format!("the record of image {now} has changed"),
            false => format!("the plan has {planned}, now there is {now}"),
        };
        let what =
            format!("the stores have changed since {} was made: {change}", self.path.display());
        CliError::differences(what)
            .hint("make a new plan with the same options as for `sync`; nothing was changed")
    }
}

fn head() -> Value {
    json!({ "format": "glance-replicator plan", "version": 1, "tool": env!("CARGO_PKG_VERSION") })
}

fn cannot(what: &str, path: &Path, error: io::Error) -> CliError {
    CliError::unwritten(format!("cannot {what} the plan {}", path.display()), error)
}
