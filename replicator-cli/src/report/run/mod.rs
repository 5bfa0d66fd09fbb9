//! The report of a replication to one or more targets.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use glance_core::units::plural;
use replicator_engine::metadefs::Mode;
use replicator_engine::{CopyError, LossKind, Outcome};
use serde_json::{Value, json};

use crate::args::Options;
use crate::error::CliError;
use crate::exit::Exit;
use crate::metrics;
use crate::output::{self, JsonWriter, named};
use crate::progress;
use crate::report::{Metadefs, members_skipped};
use summary::Summary;

pub(in crate::report) use notes::Notes;

mod image;
mod notes;
mod summary;
mod text;

/// The report of a run to one or more targets. Each image is written immediately, so memory use does
/// not grow with the number of images.
#[derive(Debug)]
pub(crate) struct Reports {
    each: Vec<TargetReport>,
    json: JsonWriter,
    /// The losses that `--allow-loss` accepts.
    accepted: BTreeSet<LossKind>,
    /// The exit of the completed parts of the run.
    exit: Exit,
    failures: Vec<CliError>,
    metadefs: Option<Metadefs>,
    notes: Notes,
    begin: Instant,
}

/// The report of a run at one target.
#[derive(Debug)]
struct TargetReport {
    name: String,
    exit: Exit,
    summary: Summary,
    /// The images with losses that `--allow-loss` does not accept.
    refused: BTreeMap<LossKind, RefusedImages>,
}

/// Images with a loss of one kind.
#[derive(Debug, Default)]
struct RefusedImages {
    count: u64,
    /// The names of the first ones.
    first: Vec<String>,
}

impl Reports {
    /// Creates the report of a run to these targets, which are named as on the command line.
    pub(crate) fn new(options: &Options, targets: &[String]) -> Self {
        let report = |name: &String| TargetReport {
            name: name.clone(),
            exit: Exit::Success,
            summary: Summary::default(),
            refused: BTreeMap::new(),
        };
        Self {
            each: targets.iter().map(report).collect(),
            json: JsonWriter::to_results(),
            accepted: options.mapping.accepted_losses(),
            exit: Exit::Success,
            failures: Vec::new(),
            metadefs: None,
            notes: Notes::default(),
            begin: Instant::now(),
        }
    }

    /// Begins another part of the run, with a separate exit and separate options.
    pub(crate) fn next_part(&mut self, options: &Options) {
        self.accepted = options.mapping.accepted_losses();
        for report in &mut self.each {
            self.exit = self.exit.worse(std::mem::replace(&mut report.exit, Exit::Success));
        }
    }

    /// Writes the outcome of one image.
    pub(crate) fn outcome(&mut self, target: usize, outcome: &Outcome) {
        let is_one_of_several = self.each.len() > 1;
        let report = &mut self.each[target];
        report.summary.count(outcome);
        let name = is_one_of_several.then_some(report.name.as_str());
        metrics::outcome(name, outcome, copied_bytes(outcome));
        match &outcome.result {
            Ok(_) | Err(CopyError::BrokenOff) => {}
            Err(error) => report.exit = report.exit.worse(error.into()),
        }
        let lost: BTreeSet<LossKind> = outcome.losses.iter().map(|loss| loss.kind).collect();
        for kind in lost.difference(&self.accepted) {
            report.refused.entry(*kind).or_default().add(outcome.image.label());
            report.exit = report.exit.worse(Exit::Lost);
        }
        let mut entry = image::entry(&report.name, outcome);
        output::add_course(&mut entry, target, &outcome.image.id);
        self.json.entry("images", &entry);
        if output::is_text() {
            text::write(outcome, entry["bytes_sent"].as_u64(), &self.prefix(target));
            self.notes.print(target, &outcome.journey.notes);
        }
    }

    /// Records how the run ended for a target.
    pub(crate) fn ended(&mut self, target: usize, ended: Result<(), CliError>) {
        let Err(error) = ended else { return };
        let report = &mut self.each[target];
        report.exit = report.exit.worse(error.exit);
        self.failures.push(match self.each.len() {
            1 => error,
            _ => error.at(&self.each[target].name),
        });
    }

    /// Whether the run processed no image and had no failure.
    pub(crate) fn is_empty(&self) -> bool {
        self.failures.is_empty() && !self.has_images()
    }

    fn has_images(&self) -> bool {
        self.each.iter().any(|report| report.summary.images() > 0)
    }

    /// The report of the metadata definitions of a target. No image can be reported afterwards.
    pub(crate) fn metadefs(&mut self, target: usize) -> &mut Metadefs {
        let json = &mut self.json;
        let metadefs = self.metadefs.get_or_insert_with(|| {
            json.end_list("images");
            Metadefs::new(Mode::Write)
        });
        metadefs.at(&self.each[target].name);
        metadefs
    }

    /// The exit of a target so far.
    pub(crate) fn exit(&self, target: usize) -> Exit {
        let metadefs =
            self.metadefs.as_ref().map_or(Exit::Success, |it| it.exit_at(&self.each[target].name));
        self.each[target].exit.worse(metadefs)
    }

    /// Whether other runs had images of a target in work until the end.
    pub(crate) fn has_images_in_use(&self, target: usize) -> bool {
        self.each[target].summary.in_use > 0
    }

    /// Records the number of images that were not started at a target.
    pub(crate) fn left(&mut self, target: usize, images: u64) {
        self.each[target].summary.not_begun = images;
        metrics::not_started(self.name_among_several(target), images);
    }

    /// Completes the report and returns the worst exit of all targets.
    pub(crate) fn finish(mut self) -> Exit {
        let exits = (0..self.each.len()).map(|target| self.exit(target));
        let exit = exits.fold(self.exit, Exit::worse);
        // Totals of zeros would only hide the error of a run that failed at its start.
        let has_totals = self.failures.is_empty() || self.has_images();
        for target in 0..self.each.len() {
            metrics::ended(self.name_among_several(target), self.exit(target));
            let (prefix, summary) = (self.prefix(target), &self.each[target].summary);
            if has_totals {
                out!("{prefix}{}", summary.text());
            }
            if summary.members_skipped > 0 {
                out!("{prefix}{}", members_skipped(summary.members_skipped));
            }
        }
        match self.metadefs.take() {
            Some(metadefs) => drop(metadefs.finish()),
            None => self.json.end_list("images"),
        }
        let took = self.begin.elapsed();
        for target in 0..self.each.len() {
            // Not the sizes of the copied images: a resumed dump moves only the rest of an image,
            // and a stopped run has moved parts of images.
            let bytes = output::moved(target) + self.each[target].summary.imported();
            let name = self.name_among_several(target);
            if has_totals {
                out!("{}{}", self.prefix(target), progress::course(bytes, took, name));
            }
        }
        self.write_summaries();
        let losses: Vec<CliError> =
            (0..self.each.len()).filter_map(|target| self.refused_losses(target)).collect();
        for failure in self.failures.iter().chain(&losses) {
            output::failure(failure);
        }
        exit
    }

    /// Writes the totals of all targets and, if there are several, of each one.
    fn write_summaries(&mut self) {
        let total = self.each.iter().fold(Summary::default(), |sum, one| sum.and(&one.summary));
        self.json.field("throughput", &output::throughput());
        self.json.field("adjustments", &output::adjustments());
        self.json.field("summary", &total.to_json());
        if self.each.len() > 1 {
            let of_each = |target: usize| {
                let mut summary = self.each[target].summary.to_json();
                summary["exit_code"] = json!(self.exit(target) as u8);
                (self.each[target].name.clone(), summary)
            };
            let by_target = (0..self.each.len()).map(of_each).collect();
            self.json.field("by_target", &Value::Object(by_target));
        }
        let json = std::mem::replace(&mut self.json, JsonWriter::to_results());
        json.finish();
    }

    /// An error for the losses that `--allow-loss` does not accept.
    fn refused_losses(&self, target: usize) -> Option<CliError> {
        let told = |(kind, images): (&LossKind, &RefusedImages)| {
            (kind.as_str(), format!("the {} of {}", kind.as_str(), images.text()))
        };
        let (kinds, told): (Vec<&str>, Vec<String>) =
            self.each[target].refused.iter().map(told).unzip();
        if kinds.is_empty() {
            return None;
        }
        let prefix = self.prefix(target);
        let what = format!("{prefix}the target did not receive {}", told.join(" and "));
        let hint = format!(
            "sign in as an administrator on both sides, choose owners with --owner, or accept the loss \
             with --allow-loss {}",
            kinds.join(",")
        );
        Some(CliError::lost(what).hint(hint))
    }

    /// The name of a target, if there are several.
    fn name_among_several(&self, target: usize) -> Option<&str> {
        (self.each.len() > 1).then_some(self.each[target].name.as_str())
    }

    /// The prefix of every line: the target's name if there are several targets, else nothing.
    fn prefix(&self, target: usize) -> String {
        match self.each.len() {
            1 => String::new(),
            _ => format!("{}: ", self.each[target].name),
        }
    }
}

impl RefusedImages {
    fn add(&mut self, name: &str) {
        self.count += 1;
        if self.first.len() < MOST_NAMED {
            self.first.push(named(name));
        }
    }

    /// The number of images, and the first names.
    fn text(&self) -> String {
        let more = if self.count > MOST_NAMED as u64 { ", ..." } else { "" };
        format!("{} image{} ({}{more})", self.count, plural(self.count), self.first.join(", "))
    }
}

/// The most images that an error names.
const MOST_NAMED: usize = 3;

/// The number of bytes transferred, or else the size in the image's record; 0 if neither is known.
fn copied_bytes(outcome: &Outcome) -> u64 {
    outcome.journey.bytes.or(outcome.image.size).unwrap_or(0)
}
