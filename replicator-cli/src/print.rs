//! All printing: results to standard output, failures to standard error.

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use glance_core::replicate::Why;
use serde_json::json;
use tokio::io::{BufWriter, Stdout};

use crate::args::Output;
use crate::error::CliError;
use crate::exit::Exit;

/// Writes a line of results. When nobody reads them any more, the work goes on: the exit code tells.
macro_rules! out {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!($crate::print::results(), $($line)*);
    }};
}

/// Writes a part of a line of results.
macro_rules! out_part {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _ = write!($crate::print::results(), $($line)*);
    }};
}

/// Writes a line of messages.
macro_rules! err {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr().lock(), $($line)*);
    }};
}

mod clouds;
mod comparison;
mod file;
mod findings;
mod merged;
mod metadefs;
mod recovery;
mod report;
mod selection;
mod serving;
mod verify;

pub(crate) use clouds::clouds;
pub(crate) use comparison::{Combined, Comparison, Subject};
pub(crate) use file::{end_report, report_is_of, report_to};
pub(crate) use findings::Examination;
pub(crate) use merged::merged;
pub(crate) use metadefs::Metadefs;
pub(crate) use recovery::{findings, resumed, unfinished};
pub(crate) use report::{Report, Reports};
pub(crate) use selection::selection;
pub(crate) use serving::{Callers, serving};
pub(crate) use verify::Findings;

/// Where results go.
fn results() -> Box<dyn Write> {
    file::results().unwrap_or_else(|| match STREAMING.load(Ordering::Relaxed) {
        true => Box::new(std::io::stderr().lock()),
        false => Box::new(std::io::stdout().lock()),
    })
}

/// Whether people read the results.
pub(crate) fn is_on_a_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Makes standard output the place of a stream of data: results go to standard error from now on.
pub(crate) fn stream() -> BufWriter<Stdout> {
    STREAMING.store(true, Ordering::Relaxed);
    BufWriter::with_capacity(256 * 1024, tokio::io::stdout())
}

static STREAMING: AtomicBool = AtomicBool::new(false);

/// What clap has to say: help and versions succeed, anything else is a usage error.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    match error.use_stderr() {
        true => Exit::Usage.into(),
        false => Exit::Success.into(),
    }
}

/// What ended a run.
pub(crate) fn failure(error: &CliError) -> Exit {
    err!("error: {error}");
    causes(error, "");
    file::note(chain(error));
    if let Some(hint) = &error.hint {
        err!("  hint: {hint}");
    }
    error.exit
}

/// A run that ends itself.
pub(crate) fn stopping(why: Why) {
    err!(
        "{why}: uploads under way are broken off, and what is stored already is brought to its end; \
         one more signal stops that, too"
    );
}

/// A run that a signal ended.
pub(crate) fn stopped(exit: Exit) {
    err!("stopped by signal {}; run again to go on", exit as u8 - 128);
}

/// The answer of `size`, in the old tool's words.
pub(crate) fn size(output: Output, images: u64, bytes: u64) {
    match output {
        Output::Text => {
            let size = human_size(bytes);
            out!("Total size is {bytes} bytes ({size}) across {images} images");
        }
        Output::Json => out!("{}", json!({ "images": images, "bytes": bytes })),
    }
}

fn causes(error: &dyn Error, indent: &str) {
    let mut cause = error.source();
    while let Some(error) = cause {
        err!("{indent}  caused by: {error}");
        cause = error.source();
    }
}

/// The messages of an error and of all below it.
pub(crate) fn chain(error: &dyn Error) -> Vec<String> {
    let mut messages = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        messages.push(error.to_string());
        cause = error.source();
    }
    messages
}

/// Bytes in binary units, with one decimal, as the old tool wrote them.
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
