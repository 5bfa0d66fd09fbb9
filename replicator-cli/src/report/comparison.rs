//! The reports of `compare`, `plan` and dry runs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};

use replicator_engine::metadefs::Mode;
use replicator_engine::{Difference, Entry, State};
use serde_json::{Value, json};

use crate::args::Output;
use crate::exit::Exit;
use crate::metrics;
use crate::output::{JsonWriter, human_size, quoted};
use crate::report::Metadefs;
use crate::report::run::print_targets;

/// The content of the report for each image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The state of the image.
    States,
    /// The state of the image and the planned action.
    Actions,
}

/// The destination of the lines of `--combined`.
#[derive(Debug)]
pub(crate) enum Combined {
    /// No lines are written.
    Off,
    /// Standard output, instead of the report.
    Output,
    /// A file.
    File(BufWriter<File>),
}

/// The report of a comparison. Each image is written immediately, so memory use does not grow with
/// the number of images.
#[derive(Debug)]
pub(crate) struct Comparison {
    output: Output,
    subject: Subject,
    /// The name of the target on the command line, if there are several targets.
    target: Option<String>,
    combined: Combined,
    json: JsonWriter,
    summary: Summary,
    metadefs: Option<Metadefs>,
    failure: Option<std::io::Error>,
}

/// The totals of a comparison.
#[derive(Debug)]
struct Summary {
    exit: Exit,
    states: BTreeMap<State, u64>,
    actions: BTreeMap<&'static str, u64>,
    /// Bytes of image data that a run would copy.
    bytes: u64,
}

impl Comparison {
    pub(crate) fn new(output: Output, subject: Subject, combined: Combined) -> Self {
        Self {
            output,
            subject,
            target: None,
            combined,
            json: JsonWriter::to_results(),
            summary: Summary {
                exit: Exit::Success,
                states: BTreeMap::new(),
                actions: BTreeMap::new(),
                bytes: 0,
            },
            metadefs: None,
            failure: None,
        }
    }

    /// The plan of a run at one of these targets.
    pub(crate) fn of_dry_run(output: Output, target: &str, is_one: bool) -> Self {
        let plan = Self::new(output, Subject::Actions, Combined::Off);
        match is_one {
            true => plan,
            false => {
                Self { target: Some(target.to_owned()), json: JsonWriter::spooled_object(), ..plan }
            }
        }
    }

    /// An empty report for the metadata definitions of a dry run.
    pub(crate) fn of_metadefs(&self) -> Metadefs {
        Metadefs::of_run(self.output, Mode::DryRun)
    }

    /// Adds the metadata definitions to the report of a dry run.
    pub(crate) fn with_metadefs(&mut self, metadefs: Metadefs) {
        self.worse(metadefs.exit());
        self.metadefs = Some(metadefs);
    }

    /// Makes the exit at least as bad as this one.
    pub(crate) fn worse(&mut self, exit: Exit) {
        self.summary.exit = self.summary.exit.worse(exit);
    }

    /// Whether the comparison found no image on either side.
    pub(crate) fn is_empty(&self) -> bool {
        self.summary.states.is_empty()
    }

    /// Writes the state of one image.
    pub(crate) fn entry(&mut self, entry: &Entry) {
        self.summary.count(entry);
        metrics::image(entry.state.as_str(), exit_of(entry));
        let line = format!("{} {}", sign(entry.state), entry.image.id);
        match &mut self.combined {
            Combined::Output => {
                out!("{line}");
                return;
            }
            Combined::File(file) => {
                let written = writeln!(file, "{line}");
                self.failure = self.failure.take().or(written.err());
            }
            Combined::Off => {}
        }
        if entry.state == State::Same && entry.losses.is_empty() {
            return;
        }
        match self.output {
            Output::Text => self.text(entry),
            Output::Json => self.json.entry("images", &entry.to_json()),
        }
    }

    fn text(&self, entry: &Entry) {
        let image = &entry.image;
        let action = match (self.subject, entry.action()) {
            (Subject::Actions, action) if action != "nothing" => format!(" ({action})"),
            _ => String::new(),
        };
        let reason = entry.reason.as_ref().map(|reason| format!(": {reason}"));
        let reason = reason.unwrap_or_default();
        let (prefix, name) = (self.prefix(), quoted(image.label()));
        out!("{prefix}{}{action}: {} {name}{reason}", entry.state, image.id);
        for Difference { field, source, target } in &entry.differences {
            out!("  {field}: {source} at the source, {target} at the target");
        }
        for loss in &entry.losses {
            out!("  lost: {loss}");
        }
        for note in entry.notes.iter().filter(|_| self.subject == Subject::Actions) {
            out!("  note: {note}");
        }
        if let Some(hint) = entry.error().and_then(|error| error.hint()) {
            out!("  hint: {hint}");
        }
    }

    /// Completes the report.
    ///
    /// # Errors
    /// The first error in writing the lines of `--combined`.
    pub(crate) fn finish(mut self) -> Result<Exit, std::io::Error> {
        if let Combined::File(file) = &mut self.combined {
            file.flush()?;
        }
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let exit = self.summary.exit;
        if !matches!(self.combined, Combined::Output) {
            self.print();
        }
        Ok(exit)
    }

    /// Completes the reports of a dry run, one for each target, and returns the worst exit.
    pub(crate) fn finish_all(plans: Vec<Self>, output: Output) -> Exit {
        let exit = plans.iter().fold(Exit::Success, |exit, one| exit.worse(one.summary.exit));
        if output == Output::Json && plans.len() > 1 {
            let target =
                |mut plan: Self| (plan.target.take().unwrap_or_default(), plan.into_json());
            print_targets(plans.into_iter().map(target), exit);
        } else {
            plans.into_iter().for_each(Self::print);
        }
        exit
    }

    fn print(self) {
        match self.output {
            Output::Text => self.print_summary(),
            Output::Json => self.into_json().finish(),
        }
    }

    fn print_summary(self) {
        self.summary.text(self.subject, &self.prefix());
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
        self.json.field("summary", &self.summary.to_json());
        self.json
    }

    /// The prefix of every line: the target's name if there are several targets, else nothing.
    fn prefix(&self) -> String {
        self.target.as_ref().map(|target| format!("{target}: ")).unwrap_or_default()
    }
}

impl Summary {
    fn count(&mut self, entry: &Entry) {
        *self.states.entry(entry.state).or_default() += 1;
        *self.actions.entry(entry.action()).or_default() += 1;
        self.bytes = self.bytes.saturating_add(entry.outstanding());
        self.exit = self.exit.worse(exit_of(entry));
    }

    fn compared(&self) -> u64 {
        self.states.values().sum()
    }

    fn text(&self, subject: Subject, prefix: &str) {
        let states = self.states.iter().map(|(state, number)| format!("{number} {state}"));
        let states: Vec<String> = states.collect();
        let colon = if states.is_empty() { "" } else { ": " };
        out!("{prefix}{} images compared{colon}{}", self.compared(), states.join(", "));
        if subject == Subject::Actions {
            out!("{prefix}{}", self.actions_text());
        }
    }

    fn actions_text(&self) -> String {
        let actions = self.actions.iter().filter(|(action, _)| **action != "nothing");
        let actions: Vec<String> =
            actions.map(|(action, number)| format!("{number} {action}")).collect();
        match actions.as_slice() {
            [] => "nothing to do".to_owned(),
            some => format!("to do: {} ({} of data)", some.join(", "), human_size(self.bytes)),
        }
    }

    fn to_json(&self) -> Value {
        let states: BTreeMap<&str, u64> =
            self.states.iter().map(|(state, number)| (state.as_str(), *number)).collect();
        let alike = ["same", "skipped"].map(|state| states.get(state).unwrap_or(&0));
        let different = self.compared() - alike.into_iter().sum::<u64>();
        json!({
            "compared": self.compared(), "different": different, "states": states,
            "actions": self.actions, "bytes": self.bytes, "exit_code": self.exit as u8,
        })
    }
}

fn exit_of(entry: &Entry) -> Exit {
    match (entry.state, entry.error()) {
        (State::Same | State::Skipped, _) => Exit::Success,
        (State::Blocked, Some(error)) => error.into(),
        _ => Exit::Differences,
    }
}

/// The sign of a state in the lines of `--combined`; the signs are those of rclone.
fn sign(state: State) -> char {
    match state {
        State::Same => '=',
        State::Missing => '+',
        State::Extra => '-',
        State::Metadata | State::Members | State::Status | State::Content | State::Partial => '*',
        State::Blocked => '!',
        State::Unverifiable | State::Skipped => '?',
    }
}
