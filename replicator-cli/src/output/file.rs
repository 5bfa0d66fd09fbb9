//! The report in a file, where one is asked for.
//!
//! What a process finds out only after its report (that the end of a listing never came, that a
//! dump could not be finished) is added here, so that the file says how the run really ended.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, IntoInnerError, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::escape::escaped_json;
use super::failure;
use crate::args::Output;
use crate::error::CliError;
use crate::exit::Exit;
use crate::named_file::NamedFile;
use crate::resolve::selection::Selected;

/// A report that is being written. It is there under its name once it is whole.
#[derive(Debug)]
struct Report {
    output: Output,
    path: PathBuf,
    file: BufWriter<NamedFile>,
    /// The first write that failed.
    failure: Option<io::Error>,
    run: Value,
    errors: Vec<Vec<String>>,
}

/// Has results go to this file from now on. An earlier report of this name is removed: it must not
/// be taken for that of a run that was killed.
pub(crate) fn report_to(path: &Path, output: Output) -> Result<(), CliError> {
    let file = NamedFile::create_anew(path).map_err(|error| cannot_write(path, error))?;
    let (file, path) = (BufWriter::new(file), path.to_owned());
    let (run, errors) = (json!({}), Vec::new());
    *report() = Some(Report { output, path, file, failure: None, run, errors });
    Ok(())
}

/// Says what the report is of.
pub(crate) fn report_is_of(selected: &Selected, source: &str, target: Option<&str>) {
    if let Some(report) = &mut *report() {
        report.run = json!({
            "command": selected.command, "source": source, "target": target,
            "selection": selected.described,
            "shard": selected.shard.map(|shard| shard.to_string()),
            "tool": env!("CARGO_PKG_VERSION"),
        });
    }
}

/// Takes down what was said to the operator apart from the report.
pub(super) fn note(error: Vec<String>) {
    if let Some(report) = &mut *report() {
        report.errors.push(error);
    }
}

/// Ends the report of a run that ends so, and puts it in its place. Exits worse than that when it
/// can't.
pub(crate) fn end_report(exit: Exit) -> Exit {
    // Released at once: the failure to end it is no part of it.
    let Some(report) = report().take() else { return exit };
    let path = report.path.clone();
    match report.end(exit) {
        Ok(()) => exit,
        Err(error) => exit.worse(failure(&cannot_write(&path, error))),
    }
}

/// Where results go, when they go to a file.
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
                err!("the report is not whole, and stays in {}", path.display());
            }
            return Ok(());
        }
        named.keep()
    }
}

/// How a run ended.
struct End {
    run: Value,
    errors: Vec<Vec<String>>,
    exit: Exit,
}

impl End {
    /// Adds how the run ended to a document that is whole, without holding it in memory.
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
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        writeln!(file, ",\n  \"run\": {} }}", escaped_json(&self.run.to_string()))?;
        Ok(true)
    }
}

fn cannot_write(path: &Path, error: io::Error) -> CliError {
    let what = format!("cannot write the report {}", path.display());
    let failure = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => CliError::limit(what),
        _ => CliError::usage(what),
    };
    failure.caused_by(error)
}

/// The report, where there is one. A panic elsewhere does no harm to it.
fn report() -> MutexGuard<'static, Option<Report>> {
    REPORT.lock().unwrap_or_else(PoisonError::into_inner)
}

static REPORT: Mutex<Option<Report>> = Mutex::new(None);

/// How every JSON report ends.
const END: &[u8] = b"}\n";
