//! All printing: results to standard output, failures to standard error.

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use glance_core::Image;
use glance_core::replicate::{CopyError, Difference, Done, Outcome};
use serde_json::{Value, json};

use crate::args::Output;
use crate::doctor::{Finding, Findings};
use crate::error::CliError;
use crate::exit::Exit;

/// Writes a line of results. When nobody reads them any more, the work goes on: the exit code tells.
macro_rules! out {
    ($($line:tt)*) => {{
        let _ = writeln!(std::io::stdout().lock(), $($line)*);
    }};
}

/// Writes a line of messages.
macro_rules! err {
    ($($line:tt)*) => {{
        let _ = writeln!(std::io::stderr().lock(), $($line)*);
    }};
}

mod clouds;
mod selection;

pub(crate) use clouds::clouds;
pub(crate) use selection::selection;

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
    if let Some(hint) = &error.hint {
        err!("  hint: {hint}");
    }
    error.exit
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

/// That `serve` is ready.
pub(crate) fn serving(directory: &Path, address: SocketAddr) {
    out!("serving {} on https://{address}", directory.display());
}

/// The report of a replication.
#[derive(Debug)]
pub(crate) struct Report {
    output: Output,
    exit: Exit,
    images: Vec<Value>,
    counts: [u64; 5],
    bytes: u64,
}

impl Report {
    pub(crate) fn new(output: Output) -> Self {
        Self { output, exit: Exit::Success, images: Vec::new(), counts: [0; 5], bytes: 0 }
    }

    /// Takes one outcome, and says so.
    pub(crate) fn outcome(&mut self, outcome: &Outcome) {
        let image = &outcome.image;
        let (word, detail) = match &outcome.result {
            Ok(done) => self.done(image, done),
            Err(error) => {
                self.counts[FAILED] += 1;
                self.exit = self.exit.worse(error.into());
                ("failed", json!(chain(error)))
            }
        };
        match self.output {
            Output::Json => self.images.push(json!({
                "id": image.id.as_str(), "name": image.attributes.name, "size": image.size,
                "result": word, "detail": detail,
            })),
            Output::Text => text_outcome(outcome, word),
        }
    }

    fn done(&mut self, image: &Image, done: &Done) -> (&'static str, Value) {
        let (counter, word, detail) = match done {
            Done::Copied => (COPIED, "copied", Value::Null),
            Done::Completed => (COPIED, "completed", Value::Null),
            Done::Updated(fields) => (UPDATED, "updated", json!(fields)),
            Done::InPlace => (IN_PLACE, "in place", Value::Null),
            Done::Skipped(reason) => (SKIPPED, "skipped", json!(reason)),
        };
        self.counts[counter] += 1;
        if counter == COPIED {
            self.bytes += image.size.unwrap_or(0);
        }
        (word, detail)
    }

    /// Ends the report.
    pub(crate) fn finish(self) -> Exit {
        let [copied, updated, in_place, skipped, failed] = self.counts;
        match self.output {
            Output::Text => out!(
                "{copied} copied and verified ({}), {updated} updated, {in_place} in place, \
                 {skipped} skipped, {failed} failed",
                human_size(self.bytes)
            ),
            Output::Json => out!(
                "{:#}",
                json!({
                    "images": self.images,
                    "summary": {
                        "copied": copied, "bytes": self.bytes, "updated": updated,
                        "in_place": in_place, "skipped": skipped, "failed": failed,
                        "exit_code": self.exit as u8,
                    },
                })
            ),
        }
        self.exit
    }
}

fn text_outcome(outcome: &Outcome, word: &str) {
    let image = &outcome.image;
    let subject = format!("{} {:?}", image.id, image.label());
    match &outcome.result {
        Ok(Done::Copied | Done::Completed) => {
            out!("{word}: {subject} ({}), verified", human_size(image.size.unwrap_or(0)));
        }
        Ok(Done::Updated(fields)) => out!("{word}: {subject}: {}", fields.join(", ")),
        Ok(Done::Skipped(reason)) => out!("{word}: {subject}: {reason}"),
        Ok(Done::InPlace) => tracing::info!("in place: {subject}"),
        Err(error) => {
            err!("error: image {subject}: {error}");
            causes(error, "  ");
            if let Some(hint) = CopyError::hint(error) {
                err!("  hint: {hint}");
            }
        }
    }
}

/// The report of a comparison.
#[derive(Debug)]
pub(crate) struct Comparison {
    output: Output,
    images: Vec<Value>,
    compared: u64,
    different: u64,
}

impl Comparison {
    pub(crate) fn new(output: Output) -> Self {
        Self { output, images: Vec::new(), compared: 0, different: 0 }
    }

    /// An image that both stores hold.
    pub(crate) fn both(&mut self, image: &Image, differences: &[Difference]) {
        if differences.is_empty() {
            self.compared += 1;
            return;
        }
        let details: Vec<Value> = differences
            .iter()
            .map(|found| {
                json!({ "field": found.field, "source": found.source, "target": found.target })
            })
            .collect();
        self.found(image, "different", &json!(details));
        if self.output == Output::Text {
            for Difference { field, source, target } in differences {
                out!("  {field}: {source} at the source, {target} at the target");
            }
        }
    }

    /// An image that only the source holds.
    pub(crate) fn source_only(&mut self, image: &Image) {
        self.found(image, "missing at the target", &Value::Null);
    }

    /// An image that only the target holds.
    pub(crate) fn target_only(&mut self, image: &Image) {
        self.found(image, "only at the target", &Value::Null);
    }

    fn found(&mut self, image: &Image, word: &str, detail: &Value) {
        self.compared += 1;
        self.different += 1;
        match self.output {
            Output::Text => out!("{word}: {} {:?}", image.id, image.label()),
            Output::Json => self.images.push(json!({
                "id": image.id.as_str(), "name": image.attributes.name,
                "result": word, "detail": detail,
            })),
        }
    }

    /// Ends the report.
    pub(crate) fn finish(self) -> Exit {
        let Self { output, images, compared, different } = self;
        match output {
            Output::Text => out!("{compared} images compared, {different} differ"),
            Output::Json => {
                let summary = json!({ "compared": compared, "different": different });
                out!("{:#}", json!({ "images": images, "summary": summary }));
            }
        }
        if different == 0 { Exit::Success } else { Exit::Differences }
    }
}

fn causes(error: &dyn Error, indent: &str) {
    let mut cause = error.source();
    while let Some(error) = cause {
        err!("{indent}  caused by: {error}");
        cause = error.source();
    }
}

/// The report of `doctor`.
#[derive(Debug)]
pub(crate) struct Examination {
    output: Output,
    exit: Exit,
    stores: Vec<Value>,
}

impl Examination {
    pub(crate) fn new(output: Output) -> Self {
        Self { output, exit: Exit::Success, stores: Vec::new() }
    }

    /// What was found at one store.
    pub(crate) fn store(&mut self, word: &str, findings: &Findings) {
        self.exit = self.exit.worse(findings.exit());
        match self.output {
            Output::Text => text_findings(word, findings),
            Output::Json => {
                let findings: Vec<Value> = findings.0.iter().map(json_finding).collect();
                self.stores.push(json!({ "store": word, "findings": findings }));
            }
        }
    }

    /// Ends the report.
    pub(crate) fn finish(self) -> Exit {
        if self.output == Output::Json {
            let exit = self.exit as u8;
            out!("{:#}", json!({ "stores": self.stores, "exit_code": exit }));
        }
        self.exit
    }
}

fn verdict(finding: &Finding) -> &'static str {
    match (finding.exit, &finding.hint) {
        (Exit::Success, None) => "ok",
        (Exit::Success, Some(_)) => "note",
        _ => "wrong",
    }
}

fn json_finding(finding: &Finding) -> Value {
    json!({
        "topic": finding.topic, "verdict": verdict(finding),
        "found": finding.lines, "hint": finding.hint,
    })
}

fn text_findings(word: &str, findings: &Findings) {
    out!("{word}");
    for finding in &findings.0 {
        let mut head = format!("  {:5} {:18}", verdict(finding), finding.topic);
        for line in &finding.lines {
            out!("{head} {line}");
            head = " ".repeat(26);
        }
        if let Some(hint) = &finding.hint {
            out!("{head} hint: {hint}");
        }
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

const COPIED: usize = 0;
const UPDATED: usize = 1;
const IN_PLACE: usize = 2;
const SKIPPED: usize = 3;
const FAILED: usize = 4;
