//! Printing: results to standard output, messages to standard error.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use clap::ValueEnum;
use replicator_engine::CancelReason;
use serde_json::json;
use tokio::io::{BufWriter, Stdout};

use crate::args::{Args, Output};
use crate::error::CliError;
use crate::exit::Exit;
use crate::recorded_args::without_secrets;
use crate::terminal::{self, Stream, Tone, painted};

/// Writes a line of results.
macro_rules! out {
    ($($line:tt)*) => { $crate::output::result_line(&format!($($line)*)) };
}

/// Writes a line of messages.
macro_rules! err {
    ($($line:tt)*) => { $crate::output::message_line(&format!($($line)*)) };
}

mod composer;
mod envelope;
mod escape;
pub(crate) mod journal;
mod json;
mod next;
mod question;
mod rows;
mod session;
mod sink;
mod spool;

pub(crate) use escape::{NO_NAME, escaped, named, quoted};
pub(crate) use json::JsonWriter;
pub(crate) use next::shell_line;
pub(crate) use question::{approval, confirmed, is_asking};
pub(crate) use session::{
    Closed, DerivedReport, add_course, adjustments, begin, is_text, leave_standard_output,
    listening, moved, name_stores, only_target, opened_source, opened_target, proof_json,
    selecting, throughput,
};
pub(crate) use sink::cannot_write;
pub(crate) use spool::Spooled;

/// The destination of results that do not go to a file.
fn standard() -> terminal::Writer {
    terminal::Writer(match STREAMING.load(Ordering::Relaxed) {
        true => Stream::Err,
        false => Stream::Out,
    })
}

/// Prints errors only, for the rest of the process: no text report and no warnings.
pub(crate) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Whether only errors are printed.
fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

static QUIET: AtomicBool = AtomicBool::new(false);

/// Writes a line of text results with control characters escaped, where results are text. A failed
/// write does not stop the command: [`end`] reports it. With `--quiet`, the line goes to report
/// files only.
pub(crate) fn result_line(line: &str) {
    session::text(line);
}

/// Writes a line to standard output that is not part of the report.
pub(crate) fn bare_line(line: &str) {
    note_failure(standard().write_all(format!("{}\n", escaped(line)).as_bytes()));
}

/// Writes a script of this tool, which contains no text from outside, as it is.
pub(crate) fn script(text: &str) {
    note_failure(standard().write_all(text.as_bytes()));
}

/// Writes what was written so far to standard output.
pub(crate) fn flush() {
    note_failure(standard().flush());
}

/// Writes a line of messages with control characters escaped.
pub(crate) fn message_line(line: &str) {
    let prefix = journal::prefix(journal::severity(line));
    let after = if IS_ASKING.swap(false, Ordering::Relaxed) { "\n" } else { "" };
    let line = format!("{after}{prefix}{}\n", emphasized(&escaped(line)));
    let _ = terminal::write(Stream::Err, line.as_bytes());
}

/// The line with its first word in colour, if the word tells the kind of the message.
fn emphasized(line: &str) -> String {
    let kinds = [("error:", Tone::Bad), ("warning:", Tone::Notice), ("  hint:", Tone::Hint)];
    let kind = kinds.iter().find_map(|(word, tone)| Some((word, tone, line.strip_prefix(word)?)));
    match kind {
        Some((word, tone, rest)) => format!("{}{rest}", painted(Stream::Err, *tone, word)),
        None => line.to_owned(),
    }
}

/// Writes a question, with control characters escaped, and leaves the cursor behind it.
fn show_question(text: &str) {
    let _ = terminal::write(Stream::Err, format!("{} ", escaped(text)).as_bytes());
    IS_ASKING.store(true, Ordering::Relaxed);
}

/// Whether the cursor stands behind a question that has no answer yet.
static IS_ASKING: AtomicBool = AtomicBool::new(false);

/// Remembers a failed write of results. A closed pipe is not a failure: the reader has read enough.
pub(crate) fn note_failure(written: io::Result<()>) {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let what = CliError::limit("cannot write the results to standard output");
            note_unwritten(
                what.caused_by(error).hint(
                    "free space there and run the command again, or write a file with --report",
                ),
            );
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

/// Completes the output of a command and its report files. Returns a worse exit if a part of the
/// output could not be written.
pub(crate) fn end(exit: Exit) -> Closed {
    match session::is_outermost() {
        true => terminal::close(),
        false => terminal::clear(),
    }
    session::end_standard_output(exit);
    note_failure(io::stdout().flush());
    // The lock is released immediately: printing the failure may itself fail.
    let unwritten = unwritten().take();
    // The files record the failure, so they are completed afterwards.
    session::end_files(unwritten.iter().fold(exit, |exit, error| exit.worse(failure(error))))
}

fn unwritten() -> MutexGuard<'static, Option<CliError>> {
    UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner)
}

static UNWRITTEN: Mutex<Option<CliError>> = Mutex::new(None);

/// Whether standard output is a terminal.
pub(crate) fn is_on_a_terminal() -> bool {
    Stream::Out.is_terminal()
}

/// The width of a table in the results; `None` if the results do not go to a terminal.
pub(crate) fn table_width() -> Option<u16> {
    let (columns, _) = is_on_a_terminal().then(terminal_size::terminal_size)??;
    Some(columns.0)
}

/// Whether a question can be shown and answered: standard error and standard input are a terminal.
fn can_ask() -> bool {
    Stream::Err.is_terminal() && io::stdin().is_terminal()
}

/// Reserves standard output for a data stream. Results go to standard error from now on.
pub(crate) fn reserve_standard_output() {
    STREAMING.store(true, Ordering::Relaxed);
}

/// The data stream on standard output.
pub(crate) fn stream() -> BufWriter<Stdout> {
    BufWriter::with_capacity(256 * 1024, tokio::io::stdout())
}

static STREAMING: AtomicBool = AtomicBool::new(false);

/// Prints a message of clap. Help and version exit with success, everything else is a usage error.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        // The message quotes arguments.
        let said = without_secrets(error.render().to_string(), std::env::args_os());
        said.lines().for_each(message_line);
        return refused(&said).into();
    }
    help(error);
    end(Exit::Success).exit.into()
}

/// Reports a command line that is not understood in the format that it asks for.
fn refused(said: &str) -> Exit {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let (command, format) = asked_for(&words.collect::<Vec<_>>());
    if format == Output::Text {
        return Exit::Usage;
    }
    session::begin_unknown(command, format);
    let mut lines = said.lines().map(|line| line.trim().trim_start_matches("error: "));
    let message = lines.next().unwrap_or_default();
    let causes: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    session::note_value(json!({
        "message": message, "causes": causes, "hint": null, "request_ids": [],
    }));
    end(Exit::Usage).exit
}

/// The command and the format of results that a command line asks for, as far as it can be
/// understood.
fn asked_for(words: &[String]) -> (Option<String>, Output) {
    let tree = Args::tree();
    let command = words.iter().find(|word| tree.find_subcommand(word).is_some()).cloned();
    let after = |pair: &[String]| (pair[0] == "--output").then(|| pair[1].clone());
    let joined = words.iter().filter_map(|word| word.strip_prefix("--output=").map(str::to_owned));
    let value = words.windows(2).filter_map(after).chain(joined).last();
    let format = value.and_then(|value| Output::from_str(&value, false).ok());
    (command, format.unwrap_or(Output::Text))
}

/// Prints the help or the version, which clap returns as an error.
pub(crate) fn help(error: &clap::Error) {
    note_failure(error.print());
}

/// The number of columns for text that is wrapped: those of the terminal, else of `COLUMNS`, else
/// 80. Longer lines than 100 are hard to read.
pub(crate) fn columns() -> usize {
    let terminal = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let variable = || std::env::var("COLUMNS").ok()?.parse().ok();
    terminal.or_else(variable).unwrap_or(80).clamp(40, 100)
}

/// Prints an error that ended a run, with its causes and hint, and returns its exit.
pub(crate) fn failure(error: &CliError) -> Exit {
    err!("error: {error}");
    causes(error, "");
    session::note(error);
    if let Some(hint) = &error.hint {
        err!("  hint: {hint}");
    }
    error.exit
}

/// Prints a warning to standard error, whatever the destination of log messages.
pub(crate) fn warning(text: &str) {
    if !QUIET.load(Ordering::Relaxed) {
        err!("warning: {text}");
    }
}

/// Reports that a run is stopping.
pub(crate) fn stopping(why: CancelReason) {
    err!(
        "{why}: stopping uploads in progress and completing stored images; another signal ends the \
         process immediately"
    );
}

/// Reports that a signal ended the run, and how much of it was `done`, if known.
pub(crate) fn stopped(exit: Exit, done: Option<&str>) {
    let done = done.map(|done| format!(" ({done} done)")).unwrap_or_default();
    err!("stopped by signal {}{done}; run the command again to continue", exit as u8 - 128);
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

/// A number of bytes in binary units, with one decimal from 1 KiB on.
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub(crate) fn human_size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
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
