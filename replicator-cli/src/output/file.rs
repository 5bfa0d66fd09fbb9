//! The report file of `--report`.
//!
//! Failures that occur after the report of a command, such as an incomplete listing or a dump that
//! could not be finished, are added here, so that the file records how the run ended.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, IntoInnerError, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use glance_core::selection::Shard;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::escape::escaped_json;
use super::failure;
use crate::args::Output;
use crate::certificates;
use crate::error::CliError;
use crate::exit::Exit;
use crate::named_file::NamedFile;

/// A report that is being written. The file appears under its name when it is complete.
#[derive(Debug)]
struct Report {
    output: Output,
    path: PathBuf,
    file: BufWriter<NamedFile>,
    /// The error of the first failed write.
    failure: Option<io::Error>,
    run: Value,
    errors: Vec<Vec<String>>,
}

/// Redirects results to this file. An earlier report of this name is removed, because it could be
/// mistaken for the report of this run if this run is killed.
pub(crate) fn report_to(path: &Path, output: Output) -> Result<(), CliError> {
    let file = NamedFile::create_anew(path).map_err(|error| cannot_write(path, error))?;
    let (file, path) = (BufWriter::new(file), path.to_owned());
    let (run, errors) = (json!({}), Vec::new());
    *report() = Some(Report { output, path, file, failure: None, run, errors });
    Ok(())
}

/// The subject of a report: a command, its selection and its stores.
pub(crate) struct ReportSubject<'a> {
    pub(crate) command: &'a str,
    pub(crate) selection: &'a [String],
    pub(crate) shard: Option<Shard>,
    pub(crate) source: &'a str,
    pub(crate) target: Option<&'a str>,
}

/// Records the subject of the report.
pub(crate) fn report_is_of(subject: &ReportSubject<'_>) {
    if let Some(report) = &mut *report() {
        report.run = json!({
            "command": subject.command, "source": subject.source, "target": subject.target,
            "selection": subject.selection,
            "shard": subject.shard.map(|shard| shard.to_string()),
            "tool": env!("CARGO_PKG_VERSION"),
        });
    }
}

/// Records an error message that was printed outside the report.
pub(super) fn note(error: Vec<String>) {
    if let Some(report) = &mut *report() {
        report.errors.push(error);
    }
}

/// Completes the report of a run with this exit and moves the file to its path. Returns a worse
/// exit if that fails.
pub(super) fn end_report(exit: Exit) -> Exit {
    // The lock is released immediately: a failure to complete the report is not part of the report.
    let Some(report) = report().take() else { return exit };
    let path = report.path.clone();
    match report.end(exit) {
        Ok(()) => exit,
        Err(error) => exit.worse(failure(&cannot_write(&path, error))),
    }
}

/// The writer of the report file, if there is one.
pub(super) fn results() -> Option<Box<dyn Write>> {
    report().is_some().then(|| Box::new(Results) as Box<dyn Write>)
}

struct Results;

impl Write for Results {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(report) = &mut *report() {
            let written = report.file.write_all(bytes);
            report.failure = report.failure.take().or(written.err());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Report {
    fn end(mut self, exit: Exit) -> io::Result<()> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let mut named = self.file.into_inner().map_err(IntoInnerError::into_error)?;
        let length = named.file().seek(SeekFrom::End(0))?;
        if length == 0 {
            return Ok(());
        }
        let end = End { run: self.run, errors: self.errors, exit };
        if self.output == Output::Json && !end.add_to_json(named.file(), length)? {
            if let Some(path) = named.leave() {
                err!("the report is incomplete and stays in {}", path.display());
            }
            return Ok(());
        }
        named.keep()
    }
}

/// The end of a run, as the report file records it.
struct End {
    run: Value,
    errors: Vec<Vec<String>>,
    exit: Exit,
}

impl End {
    /// Adds the end of the run to a complete JSON document without reading the document into
    /// memory.
    fn add_to_json(mut self, mut file: &File, length: u64) -> io::Result<bool> {
        file.rewind()?;
        let is_whole = serde_json::from_reader::<_, IgnoredAny>(BufReader::new(file)).is_ok();
        let end = length.saturating_sub(END.len() as u64);
        file.seek(SeekFrom::Start(end))?;
        let mut last = Vec::new();
        file.read_to_end(&mut last)?;
        if !is_whole || last != END {
            return Ok(false);
        }
        self.run["exit_code"] = json!(self.exit as u8);
        self.run["errors"] = json!(self.errors);
        self.run["certificates"] = certificates::seen_as_json();
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        writeln!(file, ",\n  \"run\": {} }}", escaped_json(&self.run.to_string()))?;
        Ok(true)
    }
}

fn cannot_write(path: &Path, error: io::Error) -> CliError {
    CliError::unwritten(format!("cannot write the report {}", path.display()), error)
}

/// The report file, if there is one. A panic of another thread does not invalidate it.
fn report() -> MutexGuard<'static, Option<Report>> {
    REPORT.lock().unwrap_or_else(PoisonError::into_inner)
}

static REPORT: Mutex<Option<Report>> = Mutex::new(None);

/// The last bytes of every JSON report.
const END: &[u8] = b"}\n";
