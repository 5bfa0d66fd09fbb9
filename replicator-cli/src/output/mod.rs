//! Printing: results to standard output, messages to standard error.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use replicator_engine::CancelReason;
use serde_json::json;
use tokio::io::{BufWriter, Stdout};

use crate::args::Output;
use crate::error::CliError;
use crate::exit::Exit;
use crate::recorded_args::without_secrets;
use escape::escaped_json;

/// Writes a line of results.
macro_rules! out {
    ($($line:tt)*) => { $crate::output::result_line(&format!($($line)*)) };
}

/// Writes one or more lines of JSON.
macro_rules! out_json {
    ($($line:tt)*) => { $crate::output::result_json(&format!("{}\n", format_args!($($line)*))) };
}

/// Writes a line of messages.
macro_rules! err {
    ($($line:tt)*) => { $crate::output::message_line(&format!($($line)*)) };
}

mod escape;
mod file;
mod json;
mod spool;

pub(crate) use escape::{escaped, quoted};
pub(crate) use file::{ReportSubject, report_is_of, report_to};
pub(crate) use json::JsonWriter;

/// The destination of results.
pub(crate) fn results() -> Box<dyn Write> {
    file::results().unwrap_or_else(|| match STREAMING.load(Ordering::Relaxed) {
        true => Box::new(io::stderr().lock()),
        false => Box::new(io::stdout().lock()),
    })
}

/// Writes a line of results with control characters escaped. A failed write does not stop the
/// command: [`end`] reports it.
pub(crate) fn result_line(line: &str) {
    note_failure(writeln!(results(), "{}", escaped(line)));
}

/// Writes JSON with control characters escaped, except line feeds.
pub(crate) fn result_json(document: &str) {
    note_failure(write!(results(), "{}", escaped_json(document)));
}

/// Writes a script of this tool, which contains no text from outside, as it is.
pub(crate) fn script(text: &str) {
    note_failure(results().write_all(text.as_bytes()));
}

/// Writes a line of messages with control characters escaped.
pub(crate) fn message_line(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", escaped(line));
}

/// Remembers a failed write of results. A closed pipe is not a failure: the reader has read enough.
pub(crate) fn note_failure(written: io::Result<()>) {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let what = CliError::limit("cannot write the results to standard output");
            note_unwritten(what.caused_by(error).hint(
                "free space there and run the command again, or write to a file with --report",
            ));
        }
        _ => {}
    }
}

/// Remembers a failed write to a temporary file in this directory.
fn note_spool_failure(directory: &Path, error: io::Error) {
    let what = format!("cannot write a temporary file in {}", directory.display());
    let hint = "free space there, or set TMPDIR to another directory";
    note_unwritten(CliError::limit(what).caused_by(error).hint(hint));
}

/// Remembers the first failure until [`end`] reports it.
fn note_unwritten(failure: CliError) {
    unwritten().get_or_insert(failure);
}

/// Completes the output of a command and its report file. Returns a worse exit if a part of the
/// output could not be written.
pub(crate) fn end(exit: Exit) -> Exit {
    note_failure(io::stdout().flush());
    // The lock is released immediately: printing the failure may itself fail.
    let unwritten = unwritten().take();
    // The report file records the failure, so it is completed afterwards.
    file::end_report(unwritten.iter().fold(exit, |exit, error| exit.worse(failure(error))))
}

fn unwritten() -> MutexGuard<'static, Option<CliError>> {
    UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner)
}

static UNWRITTEN: Mutex<Option<CliError>> = Mutex::new(None);

/// Whether standard output is a terminal.
pub(crate) fn is_on_a_terminal() -> bool {
    io::stdout().is_terminal()
}

/// The width of a table in the results; `None` if the results do not go to a terminal.
pub(crate) fn table_width() -> Option<u16> {
    let is_shown = file::results().is_none() && is_on_a_terminal();
    let (columns, _) = is_shown.then(terminal_size::terminal_size)??;
    Some(columns.0)
}

/// Reserves standard output for a data stream. Results go to standard error from now on.
pub(crate) fn stream() -> BufWriter<Stdout> {
    STREAMING.store(true, Ordering::Relaxed);
    BufWriter::with_capacity(256 * 1024, tokio::io::stdout())
}

static STREAMING: AtomicBool = AtomicBool::new(false);

/// Prints a message of clap. Help and version exit with success, everything else is a usage error.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        // The message quotes arguments.
        let said = without_secrets(error.render().to_string(), std::env::args_os());
        said.lines().for_each(message_line);
        return Exit::Usage.into();
    }
    note_failure(error.print());
    end(Exit::Success).into()
}

/// Prints an error that ended a run, with its causes and hint, and returns its exit.
pub(crate) fn failure(error: &CliError) -> Exit {
    err!("error: {error}");
    causes(error, "");
    file::note(chain(error));
    if let Some(hint) = &error.hint {
        err!("  hint: {hint}");
    }
    error.exit
}

/// Prints a warning to standard error, whatever the destination of log messages.
pub(crate) fn warning(text: &str) {
    err!("warning: {text}");
}

/// Reports that a run is stopping.
pub(crate) fn stopping(why: CancelReason) {
    err!(
        "{why}: stopping uploads in progress and completing stored images; another signal ends the \
         process immediately"
    );
}

/// Reports that a signal ended the run.
pub(crate) fn stopped(exit: Exit) {
    err!("stopped by signal {}; run the command again to continue", exit as u8 - 128);
}

/// Prints the result of `size`, with the wording of the old tool.
pub(crate) fn size(output: Output, images: u64, bytes: u64) {
    match output {
        Output::Text => {
            let size = human_size(bytes);
            out!("Total size is {bytes} bytes ({size}) across {images} images");
        }
        Output::Json => out_json!("{}", json!({ "images": images, "bytes": bytes })),
    }
}

pub(crate) fn causes(error: &dyn Error, indent: &str) {
    let mut cause = error.source();
    while let Some(error) = cause {
        err!("{indent}  caused by: {error}");
        cause = error.source();
    }
}

/// The messages of an error and of all its sources.
pub(crate) fn chain(error: &dyn Error) -> Vec<String> {
    let mut messages = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        messages.push(error.to_string());
        cause = error.source();
    }
    messages
}

/// A number of bytes in binary units with one decimal, in the format of the old tool.
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub(crate) fn human_size(bytes: u64) -> String {
    let mut size = bytes as f64;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB"].iter().peekable();
    while size >= 1024.0 {
        match units.len() {
            1 => break,
            _ => units.next(),
        };
        size /= 1024.0;
    }
    format!("{size:.1} {}", units.next().unwrap_or(&"TiB"))
}
