//! All printing: results to standard output, failures to standard error.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the module that prints")]

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use glance_core::Image;
use glance_core::replicate::{CopyError, Difference, Done, Outcome};
use serde_json::{Value, json};

use crate::args::Output;
use crate::error::CliError;
use crate::exit::Exit;

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
    eprintln!("error: {error}");
    causes(error, "");
    if let Some(hint) = &error.hint {
        eprintln!("  hint: {hint}");
    }
    error.exit
}

/// A run that a signal ended.
pub(crate) fn stopped(exit: Exit) {
    eprintln!("stopped by signal {}; run again to go on", exit as u8 - 128);
}

/// The answer of `size`, in the old tool's words.
pub(crate) fn size(output: Output, images: u64, bytes: u64) {
    match output {
        Output::Text => {
            let size = human_size(bytes);
            println!("Total size is {bytes} bytes ({size}) across {images} images");
        }
        Output::Json => println!("{}", json!({ "images": images, "bytes": bytes })),
    }
}

/// That `serve` is ready.
pub(crate) fn serving(directory: &Path, address: SocketAddr) {
    println!("serving {} on https://{address}", directory.display());
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
            Output::Text => println!(
                "{copied} copied and verified ({}), {updated} updated, {in_place} in place, \
                 {skipped} skipped, {failed} failed",
                human_size(self.bytes)
            ),
            Output::Json => println!(
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
            println!("{word}: {subject} ({}), verified", human_size(image.size.unwrap_or(0)));
        }
        Ok(Done::Updated(fields)) => println!("{word}: {subject}: {}", fields.join(", ")),
        Ok(Done::Skipped(reason)) => println!("{word}: {subject}: {reason}"),
        Ok(Done::InPlace) => tracing::info!("in place: {subject}"),
        Err(error) => {
            eprintln!("error: image {subject}: {error}");
            causes(error, "  ");
            if let Some(hint) = CopyError::hint(error) {
                eprintln!("  hint: {hint}");
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
                println!("  {field}: {source} at the source, {target} at the target");
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
            Output::Text => println!("{word}: {} {:?}", image.id, image.label()),
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
            Output::Text => println!("{compared} images compared, {different} differ"),
            Output::Json => {
                let summary = json!({ "compared": compared, "different": different });
                println!("{:#}", json!({ "images": images, "summary": summary }));
            }
        }
        if different == 0 { Exit::Success } else { Exit::Differences }
    }
}

fn causes(error: &dyn Error, indent: &str) {
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("{indent}  caused by: {error}");
        cause = error.source();
    }
}

fn chain(error: &dyn Error) -> Vec<String> {
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
fn human_size(bytes: u64) -> String {
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
