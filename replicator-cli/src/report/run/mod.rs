//! The report of a replication to one or more targets.

use std::collections::BTreeSet;

use replicator_engine::{CopyError, Done, Loss, LossKind, Outcome, Proven, TransferMethod};
use serde_json::{Value, json};

use crate::args::{Options, Output};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{JsonWriter, causes, chain, human_size, quoted};
use crate::report::{Metadefs, proof};
use summary::Summary;

mod summary;

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
            _ => Report::of_target(target, options),
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
        Metadefs::of_run(self.output)
    }

    /// The exit of a target so far.
    pub(crate) fn exit(&self, target: usize) -> Exit {
        self.each[target].exit
    }

    /// Whether other runs had images of a target in work until the end.
    pub(crate) fn has_images_in_use(&self, target: usize) -> bool {
        self.each[target].summary.in_use > 0
    }

    /// Records the number of images that were not started at a target.
    pub(crate) fn left(&mut self, target: usize, images: u64) {
        self.each[target].summary.not_begun = images;
    }

    /// Completes the reports and returns the worst exit of all targets.
    pub(crate) fn finish(mut self) -> Exit {
        let exit = self.each.iter().fold(Exit::Success, |exit, one| exit.worse(one.exit));
        let losses: Vec<CliError> = self.each.iter().filter_map(Report::refused_losses).collect();
        if self.output == Output::Json && self.each.len() > 1 {
            self.each.sort_by(|one, other| one.target.cmp(&other.target));
            print_targets(self.each, exit);
        } else {
            self.each.into_iter().for_each(Report::print);
        }
        for failure in self.failures.iter().chain(&losses) {
            crate::output::failure(failure);
        }
        exit
    }
}

/// Prints the reports of several targets as one JSON document.
fn print_targets(reports: Vec<Report>, exit: Exit) {
    let mut json = JsonWriter::to_results();
    json.field("exit_code", &json!(exit as u8));
    json.open_object("targets");
    for mut report in reports {
        let target = report.target.take().unwrap_or_default();
        json.part(&target, report.into_json());
    }
    json.finish();
}

/// The report of a replication to one target. Each image is written immediately, so memory use does
/// not grow with the number of images.
#[derive(Debug)]
pub(crate) struct Report {
    output: Output,
    /// The name of the target on the command line, if there are several targets.
    target: Option<String>,
    exit: Exit,
    json: JsonWriter,
    summary: Summary,
    /// The losses that `--allow-loss` accepts.
    accepted: BTreeSet<LossKind>,
    metadefs: Option<Metadefs>,
}

impl Report {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            output: options.output,
            target: None,
            exit: Exit::Success,
            json: JsonWriter::to_results(),
            summary: Summary::default(),
            accepted: options.mapping.accepted_losses(),
            metadefs: None,
        }
    }

    /// The report of one of several targets.
    fn of_target(target: &str, options: &Options) -> Self {
        let (target, json) = (Some(target.to_owned()), JsonWriter::spooled_object());
        Self { target, json, ..Self::new(options) }
    }

    /// Writes the outcome of one image.
    pub(crate) fn outcome(&mut self, outcome: &Outcome) {
        self.summary.count(outcome);
        match &outcome.result {
            Ok(_) | Err(CopyError::BrokenOff) => {}
            Err(error) => self.exit = self.exit.worse(error.into()),
        }
        if outcome.losses.iter().any(|loss| !self.accepted.contains(&loss.kind)) {
            self.exit = self.exit.worse(Exit::Lost);
        }
        match self.output {
            Output::Json => self.json.entry("images", &json_outcome(outcome)),
            Output::Text => text_outcome(outcome, &self.prefix()),
        }
    }

    /// Whether the report contains no image.
    pub(crate) fn is_empty(&self) -> bool {
        self.summary.images() == 0
    }

    /// An error for the losses that `--allow-loss` does not accept.
    fn refused_losses(&self) -> Option<CliError> {
        let losses = self.summary.losses.iter();
        let refused = losses.filter(|(kind, _)| !self.accepted.contains(kind));
        let told = |(kind, count): (&LossKind, &u64)| {
            let images = if *count == 1 { "image" } else { "images" };
            (kind.as_str(), format!("the {} of {count} {images}", kind.as_str()))
        };
        let (kinds, told): (Vec<&str>, Vec<String>) = refused.map(told).unzip();
        if kinds.is_empty() {
            return None;
        }
        let what = format!("{}the target did not receive {}", self.prefix(), told.join(" and "));
        let hint = format!(
            "sign in as an administrator on both sides, choose owners with --owner, or accept the loss \
             with --allow-loss {}",
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
            Output::Json => self.into_json().finish(),
        }
    }

    fn print_summary(self) {
        out!("{}{}", self.prefix(), self.summary.text());
        if let Some(metadefs) = self.metadefs {
            metadefs.print_summary();
        }
    }

    /// The complete report as a JSON document.
    fn into_json(mut self) -> JsonWriter {
        self.json.end_list("images");
        if let Some(metadefs) = self.metadefs {
            self.json.part("metadefs", metadefs.into_json());
        }
        self.json.field("summary", &self.summary.to_json(self.exit));
        self.json
    }

    /// The prefix of every line: the target's name if there are several targets, else nothing.
    fn prefix(&self) -> String {
        self.target.as_ref().map(|target| format!("{target}: ")).unwrap_or_default()
    }
}

/// The result of an image as a word.
fn result_word(result: &Result<Done, CopyError>) -> &'static str {
    match result {
        Ok(Done::Copied) => "copied",
        Ok(Done::CopiedAs(_)) => "copied under another id",
        Ok(Done::Completed) => "completed",
        Ok(Done::Updated(_)) => "updated",
        Ok(Done::Removed(_)) => "removed",
        Ok(Done::InPlace) => "in place",
        Ok(Done::Skipped(_)) => "skipped",
        Err(CopyError::BrokenOff) => "broken off",
        Err(CopyError::InUse(_)) => "in use",
        Err(_) => "failed",
    }
}

fn json_outcome(outcome: &Outcome) -> Value {
    let Outcome { image, journey, result, losses, .. } = outcome;
    let detail = match result {
        Ok(Done::Copied | Done::Completed | Done::InPlace) => Value::Null,
        Ok(Done::CopiedAs(id)) => json!(id.as_str()),
        Ok(Done::Updated(fields)) => json!(fields),
        Ok(Done::Removed(how)) => json!(how.to_string()),
        Ok(Done::Skipped(reason)) => json!(reason),
        Err(error) => json!(chain(error)),
    };
    json!({
        "id": image.id.as_str(), "name": image.attributes.name, "size": image.size,
        "result": result_word(result), "detail": detail,
        "proof": journey.proven.as_ref().map(proof::word),
        "way": journey.way.map(way), "notes": journey.notes,
        "losses": losses.iter().map(Loss::to_json).collect::<Vec<_>>(),
    })
}

fn text_outcome(outcome: &Outcome, prefix: &str) {
    let word = result_word(&outcome.result);
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
            out!("{prefix}{how}: {subject}: the source no longer has this image");
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
