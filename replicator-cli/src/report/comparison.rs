//! The reports of `compare` and `plan`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};

use replicator_engine::{CopyError, Difference, Entry, State};
use serde_json::{Value, json};

use crate::error::request_ids;
use crate::exit::Exit;
use crate::output::{self, JsonWriter, human_size, quoted};

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
    subject: Subject,
    combined: Combined,
    json: JsonWriter,
    summary: Summary,
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
    pub(crate) fn new(subject: Subject, combined: Combined) -> Self {
        if matches!(combined, Combined::Output) {
            output::leave_standard_output();
        }
        Self {
            subject,
            combined,
            json: JsonWriter::to_results(),
            summary: Summary {
                exit: Exit::Success,
                states: BTreeMap::new(),
                actions: BTreeMap::new(),
                bytes: 0,
            },
            failure: None,
        }
    }

    /// Whether the comparison found no image on either side.
    pub(crate) fn is_empty(&self) -> bool {
        self.summary.states.is_empty()
    }

    /// Writes the state of one image.
    pub(crate) fn entry(&mut self, entry: &Entry) {
        self.summary.count(entry);
        let line = format!("{} {}", sign(entry.state), entry.image.id);
        match &mut self.combined {
            Combined::Output => output::bare_line(&line),
            Combined::File(file) => {
                let written = writeln!(file, "{line}");
                self.failure = self.failure.take().or(written.err());
            }
            Combined::Off => {}
        }
        if entry.state == State::Same && entry.losses.is_empty() {
            return;
        }
        self.text(entry);
        self.json.entry("images", &json_entry(entry));
    }

    fn text(&self, entry: &Entry) {
        let image = &entry.image;
        let action = match (self.subject, entry.action()) {
            (Subject::Actions, action) if action != "nothing" => format!(" ({action})"),
            _ => String::new(),
        };
        let reason = entry.reason.as_ref().map(|reason| format!(": {reason}"));
        let reason = reason.unwrap_or_default();
        out!("{}{action}: {} {}{reason}", entry.state, image.id, quoted(image.label()));
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
    pub(crate) fn finish(self) -> Result<Exit, std::io::Error> {
        let Self { subject, mut combined, mut json, summary, failure } = self;
        if let Combined::File(file) = &mut combined {
            file.flush()?;
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        summary.text(subject);
        json.end_list("images");
        json.field("summary", &summary.to_json());
        json.finish();
        Ok(summary.exit)
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

    fn text(&self, subject: Subject) {
        let states = self.states.iter().map(|(state, number)| format!("{number} {state}"));
        let states: Vec<String> = states.collect();
        let colon = if states.is_empty() { "" } else { ": " };
        out!("{} images compared{colon}{}", self.compared(), states.join(", "));
        if subject == Subject::Actions {
            out!("{}", self.actions_text());
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
            "actions": self.actions, "bytes": self.bytes,
        })
    }
}

/// The entry of an image in the document.
fn json_entry(entry: &Entry) -> Value {
    let mut json = entry.to_json();
    let is_extra = entry.state == State::Extra;
    let replica = entry.replica.as_ref().or(is_extra.then_some(&entry.image));
    json["target_id"] = json!(replica.map(|replica| replica.id.as_str()));
    json["size"] = json!(entry.image.size);
    json["hint"] = json!(entry.error().and_then(CopyError::hint));
    json["request_ids"] = json!(entry.error().map(|error| request_ids(error)).unwrap_or_default());
    json
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
