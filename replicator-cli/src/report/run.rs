//! The report of a replication to one or more targets.

use std::collections::{BTreeMap, BTreeSet};

use replicator_engine::metadefs::Mode;
use replicator_engine::{CopyError, Done, Loss, LossKind, Outcome, Proven, TransferMethod};
use serde_json::{Map, Value, json};

use super::proof::{self, Proofs};
use crate::args::{Options, Output};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{causes, chain, human_size, quoted};
use crate::report::Metadefs;

/// The reports of a run, one per target.
#[derive(Debug)]
pub(crate) struct Reports {
    output: Output,
    each: Vec<Report>,
    failures: Vec<CliError>,
}

impl Reports {
    /// Creates the reports of these targets, which are named as on the command line.
    pub(crate) fn new(options: &Options, targets: &[String]) -> Self {
        let report = |target: &String| match targets.len() {
            1 => Report::new(options),
            _ => Report { target: Some(target.clone()), ..Report::new(options) },
        };
        Self {
            output: options.output,
            each: targets.iter().map(report).collect(),
            failures: Vec::new(),
        }
    }

    /// Writes the outcome of one image.
    pub(crate) fn outcome(&mut self, target: usize, outcome: &Outcome) {
        self.each[target].outcome(outcome);
    }

    /// Records how the run ended for a target.
    pub(crate) fn ended(
        &mut self,
        target: usize,
        ended: Result<(), CliError>,
        metadefs: Option<Metadefs>,
    ) {
        let report = &mut self.each[target];
        if let Some(metadefs) = metadefs {
            report.exit = report.exit.worse(metadefs.exit());
            report.metadefs = Some(metadefs);
        }
        if let Err(error) = ended {
            report.exit = report.exit.worse(error.exit);
            self.failures.push(match &report.target {
                Some(target) => error.at(target),
                None => error,
            });
        }
    }

    /// Whether the run processed no image and had no failure.
    pub(crate) fn is_empty(&self) -> bool {
        self.failures.is_empty() && self.each.iter().all(Report::is_empty)
    }

    /// An empty report for the metadata definitions of a target.
    pub(crate) fn of_metadefs(&self) -> Metadefs {
        Metadefs::new(self.output, Mode::Write)
    }

    /// The exit of a target so far.
    pub(crate) fn exit(&self, target: usize) -> Exit {
        self.each[target].exit
    }

    /// Records the number of images that were not started at a target.
    pub(crate) fn left(&mut self, target: usize, images: u64) {
        self.each[target].left = images;
    }

    /// Completes the reports and returns the worst exit of all targets.
    pub(crate) fn finish(self) -> Exit {
        let exit = self.each.iter().fold(Exit::Success, |exit, one| exit.worse(one.exit));
        let losses: Vec<CliError> = self.each.iter().filter_map(Report::refused_losses).collect();
        match (self.output, self.each.len()) {
            (Output::Json, 2..) => {
                let named = self.each.into_iter().map(Report::into_named_json);
                let targets: Map<String, Value> = named.collect();
                out_json!("{:#}", json!({ "targets": targets, "exit_code": exit as u8 }));
            }
            _ => self.each.into_iter().for_each(Report::print),
        }
        for failure in self.failures.iter().chain(&losses) {
            crate::output::failure(failure);
        }
        exit
    }
}

/// The report of a replication to one target.
#[derive(Debug)]
pub(crate) struct Report {
    output: Output,
    /// The name of the target on the command line, if there are several targets.
    target: Option<String>,
    exit: Exit,
    images: Vec<Value>,
    counts: [u64; 7],
    /// Number of images that were not started.
    left: u64,
    /// Bytes of image data that were copied.
    bytes: u64,
    /// Bytes of image data that the target downloaded itself. Included in `bytes`.
    imported: u64,
    /// Number of images by the part that they lost.
    losses: BTreeMap<LossKind, u64>,
    /// The losses that `--allow-loss` accepts.
    accepted: BTreeSet<LossKind>,
    proofs: Proofs,
    metadefs: Option<Metadefs>,
}

impl Report {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            output: options.output,
            target: None,
            exit: Exit::Success,
            images: Vec::new(),
            counts: [0; 7],
            left: 0,
            bytes: 0,
            imported: 0,
            losses: BTreeMap::new(),
            accepted: options.mapping.accepted_losses(),
            proofs: Proofs::default(),
            metadefs: None,
        }
    }

    /// Writes the outcome of one image.
    pub(crate) fn outcome(&mut self, outcome: &Outcome) {
        let image = &outcome.image;
        let (word, detail) = match &outcome.result {
            Ok(done) => self.done(outcome, done),
            Err(error @ CopyError::BrokenOff) => {
                self.counts[BROKEN_OFF] += 1;
                ("broken off", json!(chain(error)))
            }
            Err(error) => {
                self.counts[FAILED] += 1;
                self.exit = self.exit.worse(error.into());
                ("failed", json!(chain(error)))
            }
        };
        self.count(&outcome.losses);
        match self.output {
            Output::Json => self.images.push(json!({
                "id": image.id.as_str(), "name": image.attributes.name, "size": image.size,
                "result": word, "detail": detail,
                "proof": outcome.journey.proven.as_ref().map(proof::word),
                "way": outcome.journey.way.map(way), "notes": outcome.journey.notes,
                "losses": outcome.losses.iter().map(Loss::to_json).collect::<Vec<_>>(),
            })),
            Output::Text => text_outcome(outcome, word, &self.prefix()),
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
            let size = copied_bytes(outcome);
            self.bytes = self.bytes.saturating_add(size);
            if outcome.journey.way == Some(TransferMethod::Imported) {
                self.imported = self.imported.saturating_add(size);
            }
            if let Some(proven) = &outcome.journey.proven {
                self.proofs.take(proven);
            }
        }
        (word, detail)
    }

    /// Whether the report contains no image.
    pub(crate) fn is_empty(&self) -> bool {
        self.counts == [0; 7] && self.left == 0
    }

    fn count(&mut self, losses: &[Loss]) {
        let kinds: BTreeSet<LossKind> = losses.iter().map(|loss| loss.kind).collect();
        for kind in kinds {
            *self.losses.entry(kind).or_default() += 1;
            if !self.accepted.contains(&kind) {
                self.exit = self.exit.worse(Exit::Lost);
            }
        }
    }

    /// An error for the losses that `--allow-loss` does not accept.
    fn refused_losses(&self) -> Option<CliError> {
        let refused = self.losses.iter().filter(|(kind, _)| !self.accepted.contains(kind));
        let told = |(kind, count): (&LossKind, &u64)| {
            let images = if *count == 1 { "image" } else { "images" };
            (kind.as_str(), format!("the {} of {count} {images}", kind.as_str()))
        };
        let (kinds, told): (Vec<&str>, Vec<String>) = refused.map(told).unzip();
        if kinds.is_empty() {
            return None;
        }
        let what = format!("{}the target did not get {}", self.prefix(), told.join(" and "));
        let hint = format!(
            "sign in as an administrator of both sides, choose owners by --owner, or accept the loss: \
             --allow-loss {}",
            kinds.join(",")
        );
        Some(CliError::lost(what).hint(hint))
    }

    /// Completes the report.
    pub(crate) fn finish(self) -> Exit {
        let (exit, losses) = (self.exit, self.refused_losses());
        self.print();
        losses.iter().fold(exit, |exit, losses| exit.worse(crate::output::failure(losses)))
    }

    fn print(self) {
        match self.output {
            Output::Text => self.print_summary(),
            Output::Json => out_json!("{:#}", self.into_json()),
        }
    }

    fn print_summary(self) {
        let [copied, updated, in_place, skipped, failed, removed, broken_off] = self.counts;
        let size = human_size(self.bytes);
        let imported = match self.imported {
            0 => String::new(),
            bytes => format!(", {} of it imported by the target", human_size(bytes)),
        };
        let some = |count, what| match count {
            0 => String::new(),
            count => format!(", {count} {what}"),
        };
        let lost = self.losses.iter().map(|(kind, n)| format!(", {n} without {}", kind.as_str()));
        let lost: String = lost.collect();
        out!(
            "{}{}, {updated} updated, {in_place} in place, {skipped} skipped, {failed} failed{lost}{}{}{}",
            self.prefix(),
            self.proofs.summary(copied, &format!("{size}{imported}")),
            some(removed, "removed"),
            some(broken_off, "broken off"),
            some(self.left, "not begun")
        );
        if let Some(metadefs) = self.metadefs {
            metadefs.summary();
        }
    }

    fn into_json(self) -> Value {
        let [copied, updated, in_place, skipped, failed, removed, broken_off] = self.counts;
        let lost: BTreeMap<&str, u64> =
            self.losses.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
        let mut report = json!({
            "images": self.images,
            "summary": {
                "copied": copied, "proofs": self.proofs.to_json(), "bytes": self.bytes,
                "bytes_imported": self.imported, "updated": updated,
                "in_place": in_place, "skipped": skipped, "failed": failed,
                "removed": removed, "broken_off": broken_off, "not_begun": self.left,
                "lost": lost,
                "exit_code": self.exit as u8,
            },
        });
        if let Some(metadefs) = self.metadefs {
            report["metadefs"] = metadefs.into_json();
        }
        report
    }

    fn into_named_json(mut self) -> (String, Value) {
        (self.target.take().unwrap_or_default(), self.into_json())
    }

    /// The prefix of every line: the target's name if there are several targets, else nothing.
    fn prefix(&self) -> String {
        self.target.as_ref().map(|target| format!("{target}: ")).unwrap_or_default()
    }
}

fn text_outcome(outcome: &Outcome, word: &str, prefix: &str) {
    let image = &outcome.image;
    let subject = format!("{} {}", image.id, quoted(image.label()));
    let imported = match outcome.journey.way {
        Some(TransferMethod::Imported) => ", imported by the target",
        _ => "",
    };
    match &outcome.result {
        Ok(Done::Copied | Done::Completed) => {
            out!("{prefix}{word}: {subject}{}{imported}", proof_of(outcome));
        }
        Ok(Done::CopiedAs(id)) => {
            out!("{prefix}{word}, {id}: {subject}{}{imported}", proof_of(outcome));
        }
        Ok(Done::Removed(how)) => {
            out!("{prefix}{how}: {subject}: the source does not hold it any more");
        }
        Ok(Done::Updated(fields)) => out!("{prefix}{word}: {subject}: {}", fields.join(", ")),
        Ok(Done::Skipped(reason)) => out!("{prefix}{word}: {subject}: {reason}"),
        Ok(Done::InPlace) if !outcome.losses.is_empty() => out!("{prefix}{word}: {subject}"),
        Ok(Done::InPlace) => tracing::info!("{prefix}in place: {subject}"),
        Err(error @ CopyError::BrokenOff) => out!("{prefix}{word}: {subject}: {error}"),
        Err(error) => {
            err!("error: {prefix}image {subject}: {error}");
            causes(error, "  ");
            if let Some(hint) = CopyError::hint(error) {
                err!("  hint: {hint}");
            }
        }
    }
    for loss in &outcome.losses {
        out!("  lost: {loss}");
    }
    for note in &outcome.journey.notes {
        out!("  note: {note}");
    }
}

/// Describes a copied image and how its data was proven.
fn proof_of(outcome: &Outcome) -> String {
    match &outcome.journey.proven {
        Some(proven @ Proven::Record) => format!(", {}", proof::sentence(proven)),
        proven => {
            let proven = proven.as_ref().map(|it| format!(", {}", proof::sentence(it)));
            format!(" ({}){}", human_size(copied_bytes(outcome)), proven.unwrap_or_default())
        }
    }
}

/// The number of bytes transferred, or else the size in the image's record; 0 if neither is known.
fn copied_bytes(outcome: &Outcome) -> u64 {
    outcome.journey.bytes.or(outcome.image.size).unwrap_or(0)
}

fn way(way: TransferMethod) -> &'static str {
    match way {
        TransferMethod::Imported => "imported",
        TransferMethod::Streamed => "streamed",
    }
}

const COPIED: usize = 0;
const UPDATED: usize = 1;
const IN_PLACE: usize = 2;
const SKIPPED: usize = 3;
const FAILED: usize = 4;
const REMOVED: usize = 5;
const BROKEN_OFF: usize = 6;
