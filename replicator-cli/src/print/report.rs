//! The report of a replication.

use glance_core::Image;
use glance_core::replicate::{CopyError, Done, Outcome};
use serde_json::{Value, json};

use super::{causes, chain, human_size};
use crate::args::Output;
use crate::exit::Exit;

/// The report of a replication.
#[derive(Debug)]
pub(crate) struct Report {
    output: Output,
    exit: Exit,
    images: Vec<Value>,
    counts: [u64; 6],
    bytes: u64,
}

impl Report {
    pub(crate) fn new(output: Output) -> Self {
        Self { output, exit: Exit::Success, images: Vec::new(), counts: [0; 6], bytes: 0 }
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
            Done::CopiedAs(id) => (COPIED, "copied under another id", json!(id.as_str())),
            Done::Completed => (COPIED, "completed", Value::Null),
            Done::Updated(fields) => (UPDATED, "updated", json!(fields)),
            Done::Removed(how) => (REMOVED, "removed", json!(how.to_string())),
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
        let [copied, updated, in_place, skipped, failed, removed] = self.counts;
        match self.output {
            Output::Text => {
                let removed =
                    if removed > 0 { format!(", {removed} removed") } else { String::new() };
                out!(
                    "{copied} copied and verified ({}), {updated} updated, {in_place} in place, \
                     {skipped} skipped, {failed} failed{removed}",
                    human_size(self.bytes)
                );
            }
            Output::Json => out!(
                "{:#}",
                json!({
                    "images": self.images,
                    "summary": {
                        "copied": copied, "bytes": self.bytes, "updated": updated,
                        "in_place": in_place, "skipped": skipped, "failed": failed,
                        "removed": removed,
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
        Ok(Done::CopiedAs(id)) => {
            let size = human_size(image.size.unwrap_or(0));
            out!("{word}, {id}: {subject} ({size}), verified");
        }
        Ok(Done::Removed(how)) => out!("{how}: {subject}: the source does not hold it any more"),
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

const COPIED: usize = 0;
const UPDATED: usize = 1;
const IN_PLACE: usize = 2;
const SKIPPED: usize = 3;
const FAILED: usize = 4;
const REMOVED: usize = 5;
