//! The reports of `compare` and `plan`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};

use replicator_engine::{Difference, Entry, State};
use serde_json::json;

use crate::args::Output;
use crate::exit::Exit;
use crate::output::{human_size, quoted};

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
    combined: Combined,
    exit: Exit,
    written: u64,
    states: BTreeMap<State, u64>,
    actions: BTreeMap<&'static str, u64>,
    bytes: u64,
    failure: Option<std::io::Error>,
}

impl Comparison {
    pub(crate) fn new(output: Output, subject: Subject, combined: Combined) -> Self {
        Self {
            output,
            subject,
            combined,
            exit: Exit::Success,
            written: 0,
            states: BTreeMap::new(),
            actions: BTreeMap::new(),
            bytes: 0,
            failure: None,
        }
    }

    /// Whether the comparison found no image on either side.
    pub(crate) fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// Writes the state of one image.
    pub(crate) fn entry(&mut self, entry: &Entry) {
        *self.states.entry(entry.state).or_default() += 1;
        *self.actions.entry(entry.action()).or_default() += 1;
        self.bytes = self.bytes.saturating_add(entry.outstanding());
        self.exit = self.exit.worse(exit_of(entry));
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
            Output::Json => {
                let before = if self.written == 0 { "{ \"images\": [\n  " } else { ",\n  " };
                out_json_part!("{before}{}", entry.to_json());
            }
        }
        self.written += 1;
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
        let Self { output, subject, mut combined, exit, states, actions, bytes, .. } = self;
        if let Combined::File(file) = &mut combined {
            file.flush()?;
        }
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let count = |number: &u64, word: &dyn std::fmt::Display| format!("{number} {word}");
        let compared: u64 = states.values().sum();
        match (output, combined) {
            (_, Combined::Output) => {}
            (Output::Text, _) => {
                let states = states.iter().map(|(state, number)| count(number, state));
                let states: Vec<String> = states.collect();
                let colon = if states.is_empty() { "" } else { ": " };
                out!("{compared} images compared{colon}{}", states.join(", "));
                let to_do = actions.iter().filter(|(action, _)| **action != "nothing");
                let to_do: Vec<String> = to_do.map(|(word, number)| count(number, word)).collect();
                match (subject, to_do.as_slice()) {
                    (Subject::States, _) => {}
                    (Subject::Actions, []) => out!("nothing to do"),
                    (Subject::Actions, some) => {
                        out!("to do: {} ({} of data)", some.join(", "), human_size(bytes));
                    }
                }
            }
            (Output::Json, _) => {
                let before = if self.written == 0 { "{ \"images\": [" } else { "" };
                let states: BTreeMap<&str, u64> =
                    states.iter().map(|(state, number)| (state.as_str(), *number)).collect();
                let alike = ["same", "skipped"].map(|state| states.get(state).unwrap_or(&0));
                let different = compared - alike.into_iter().sum::<u64>();
                let summary = json!({
                    "compared": compared, "different": different, "states": states, "actions": actions, "bytes": bytes,
                    "exit_code": exit as u8,
                });
                out_json!("{before}],\n  \"summary\": {summary} }}");
            }
        }
        Ok(exit)
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
