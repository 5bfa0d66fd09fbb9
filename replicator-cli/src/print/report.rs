//! The report of a replication.

use glance_core::replicate::{CopyError, Done, Outcome, Way};
use serde_json::{Value, json};

use super::{Metadefs, causes, chain, human_size};
use crate::args::Output;
use crate::exit::Exit;

/// The report of a replication.
#[derive(Debug)]
pub(crate) struct Report {
    output: Output,
    exit: Exit,
    images: Vec<Value>,
    counts: [u64; 6],
    /// Bytes of data that were copied.
    bytes: u64,
    /// Those of them that the target got by itself.
    imported: u64,
}

impl Report {
    pub(crate) fn new(output: Output) -> Self {
        Self {
            output,
            exit: Exit::Success,
            images: Vec::new(),
            counts: [0; 6],
            bytes: 0,
            imported: 0,
        }
    }

    /// Takes one outcome, and says so.
    pub(crate) fn outcome(&mut self, outcome: &Outcome) {
        let image = &outcome.image;
        let (word, detail) = match &outcome.result {
            Ok(done) => self.done(outcome, done),
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
                "way": outcome.journey.way.map(way), "notes": outcome.journey.notes,
            })),
            Output::Text => text_outcome(outcome, word),
        }
    }

    fn done(&mut self, outcome: &Outcome, done: &Done) -> (&'static str, Value) {
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
            let size = outcome.image.size.unwrap_or(0);
            self.bytes += size;
            if outcome.journey.way == Some(Way::Imported) {
                self.imported += size;
            }
        }
        (word, detail)
    }

    /// Ends the report, with that of metadata definitions.
    pub(crate) fn finish(mut self, metadefs: Option<Metadefs>) -> Exit {
        if let Some(metadefs) = &metadefs {
            self.exit = self.exit.worse(metadefs.exit());
        }
        let [copied, updated, in_place, skipped, failed, removed] = self.counts;
        match self.output {
            Output::Text => {
                let removed =
                    if removed > 0 { format!(", {removed} removed") } else { String::new() };
                let size = human_size(self.bytes);
                let imported = match self.imported {
                    0 => String::new(),
                    bytes => format!(", {} of it imported by the target", human_size(bytes)),
                };
                out!(
                    "{copied} copied and verified ({size}{imported}), {updated} updated, \
                     {in_place} in place, {skipped} skipped, {failed} failed{removed}"
                );
                if let Some(metadefs) = metadefs {
                    metadefs.summary();
                }
            }
            Output::Json => {
                let mut report = json!({
                    "images": self.images,
                    "summary": {
                        "copied": copied, "bytes": self.bytes,
                        "bytes_imported": self.imported, "updated": updated,
                        "in_place": in_place, "skipped": skipped, "failed": failed,
                        "removed": removed,
                        "exit_code": self.exit as u8,
                    },
                });
                if let Some(metadefs) = metadefs {
                    report["metadefs"] = metadefs.into_json();
                }
                out!("{report:#}");
            }
        }
        self.exit
    }
}

fn text_outcome(outcome: &Outcome, word: &str) {
    let image = &outcome.image;
    let subject = format!("{} {:?}", image.id, image.label());
    let imported = match outcome.journey.way {
        Some(Way::Imported) => ", imported by the target",
        _ => "",
    };
    match &outcome.result {
        Ok(Done::Copied | Done::Completed) => {
            let size = human_size(image.size.unwrap_or(0));
            out!("{word}: {subject} ({size}), verified{imported}");
        }
        Ok(Done::CopiedAs(id)) => {
            let size = human_size(image.size.unwrap_or(0));
            out!("{word}, {id}: {subject} ({size}), verified{imported}");
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
    for note in &outcome.journey.notes {
        out!("  note: {note}");
    }
}

fn way(way: Way) -> &'static str {
    match way {
        Way::Imported => "imported",
        Way::Streamed => "streamed",
    }
}

const COPIED: usize = 0;
const UPDATED: usize = 1;
const IN_PLACE: usize = 2;
const SKIPPED: usize = 3;
const FAILED: usize = 4;
const REMOVED: usize = 5;
