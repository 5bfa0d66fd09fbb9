//! The report of a synchronization of metadata definitions.

use glance_core::metadefs::{NamespaceDifference, Part};
use glance_core::store::StoreErrorKind;
use replicator_engine::metadefs::{MetadefError, Mode, NamespaceOutcome, NamespaceState};
use serde_json::{Value, json};

use crate::args::Output;
use crate::exit::Exit;
use crate::output::{causes, chain};

/// The report of a synchronization of metadata definitions.
#[derive(Debug)]
pub(crate) struct Metadefs {
    output: Output,
    mode: Mode,
    exit: Exit,
    namespaces: Vec<Value>,
    counts: [u64; 5],
}

impl Metadefs {
    pub(crate) fn new(output: Output, mode: Mode) -> Self {
        Self { output, mode, exit: Exit::Success, namespaces: Vec::new(), counts: [0; 5] }
    }

    /// Writes the outcome of one namespace.
    pub(crate) fn outcome(&mut self, outcome: &NamespaceOutcome) {
        let (counter, word) = match (&outcome.error, outcome.state, self.mode) {
            (Some(_), ..) | (None, NamespaceState::Unknown, _) => (FAILED, "failed"),
            (_, NamespaceState::Missing, Mode::Write) => (MADE, "made"),
            (_, NamespaceState::Missing, Mode::DryRun) => (MADE, "missing"),
            (_, NamespaceState::Different, Mode::Write) => (CHANGED, "changed"),
            (_, NamespaceState::Different, Mode::DryRun) => (CHANGED, "different"),
            (_, NamespaceState::Same, _) => (IN_PLACE, "in place"),
            (_, NamespaceState::Extra, _) => (EXTRA, "extra"),
        };
        self.counts[counter] += 1;
        self.exit = self.exit.worse(match (&outcome.error, counter, self.mode) {
            (Some(error), ..) => exit_of(error),
            (None, MADE | CHANGED, Mode::DryRun) => Exit::Differences,
            _ => Exit::Success,
        });
        match self.output {
            Output::Json => self.namespaces.push(json(outcome, word)),
            Output::Text => text(outcome, word),
        }
    }

    /// The exit code so far.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Completes the report as a separate document.
    pub(crate) fn finish(self) -> Exit {
        let exit = self.exit;
        match self.output {
            Output::Json => out_json!("{:#}", self.into_json()),
            Output::Text => self.summary(),
        }
        exit
    }

    /// Writes the last line of a text report.
    pub(crate) fn summary(&self) {
        let [made, changed, in_place, failed, extra] = self.counts;
        let (missing, different) = match self.mode {
            Mode::Write => ("made", "changed"),
            Mode::DryRun => ("missing", "different"),
        };
        let extra = match extra {
            0 => String::new(),
            some => format!(", {some} only at the target"),
        };
        out!(
            "namespaces of metadata definitions: {made} {missing}, {changed} {different}, \
             {in_place} in place, {failed} failed{extra}"
        );
    }

    /// The report as part of a JSON document.
    pub(crate) fn into_json(self) -> Value {
        let [made, changed, in_place, failed, extra] = self.counts;
        let (missing, different) = match self.mode {
            Mode::Write => ("made", "changed"),
            Mode::DryRun => ("missing", "different"),
        };
        json!({
            "namespaces": self.namespaces,
            "summary": {
                missing: made, different: changed, "in_place": in_place, "failed": failed,
                "extra": extra, "exit_code": self.exit as u8,
            },
        })
    }
}

fn exit_of(error: &MetadefError) -> Exit {
    match error {
        MetadefError::Target(error) if error.kind == StoreErrorKind::LimitReached => {
            Exit::LimitReached
        }
        _ => Exit::SomeFailed,
    }
}

fn json(outcome: &NamespaceOutcome, word: &str) -> Value {
    let differences = |list: &[NamespaceDifference]| -> Vec<Value> {
        let one = |difference: &NamespaceDifference| {
            json!({
                "part": difference.part.to_string(), "name": difference.name,
                "source": difference.source, "target": difference.target,
            })
        };
        list.iter().map(one).collect()
    };
    json!({
        "namespace": outcome.name, "result": word,
        "differences": differences(&outcome.differences),
        "only_at_the_target": differences(&outcome.surplus),
        "error": outcome.error.as_ref().map(|error| chain(error)),
    })
}

fn text(outcome: &NamespaceOutcome, word: &str) {
    let name = &outcome.name;
    if let Some(error) = &outcome.error {
        err!("error: namespace {name}: {error}");
        causes(error, "  ");
        if let Some(hint) = error.hint().filter(|hint| !hint.is_empty()) {
            err!("  hint: {hint}");
        }
        return;
    }
    match outcome.state {
        NamespaceState::Same => tracing::info!("in place: namespace {name}"),
        NamespaceState::Extra => {
            out!("{word}: namespace {name}: only the target has it, where it stays");
        }
        _ => out!("{word}: namespace {name}"),
    }
    for difference in &outcome.differences {
        out!("  {difference}: {}", sides(difference));
    }
    for difference in &outcome.surplus {
        out!("  {difference}: only the target has it, where it stays without --prune");
    }
}

/// The values of both sides, if the difference is in a field; other values are too long to show.
fn sides(difference: &NamespaceDifference) -> String {
    match (&difference.source, &difference.target, difference.part) {
        (Some(source), Some(target), Part::Field) => {
            format!("{source} at the source, {target} at the target")
        }
        (Some(source), None, Part::Field) => format!("{source} at the source, none at the target"),
        (None, Some(target), Part::Field) => format!("none at the source, {target} at the target"),
        (Some(_), Some(_), _) => "different at the target".to_owned(),
        (Some(_), None, _) => "missing at the target".to_owned(),
        _ => "only at the target".to_owned(),
    }
}

const MADE: usize = 0;
const CHANGED: usize = 1;
const IN_PLACE: usize = 2;
const FAILED: usize = 3;
const EXTRA: usize = 4;
