//! The report of a synchronization of metadata definitions.

use glance_core::metadefs::{NamespaceDifference, Part};
use glance_core::store::StoreErrorKind;
use replicator_engine::metadefs::{MetadefError, Mode, NamespaceOutcome, NamespaceState};
use serde_json::{Value, json};

use crate::args::Output;
use crate::exit::Exit;
use crate::output::{JsonWriter, causes, chain};

/// The report of a synchronization of metadata definitions. Each namespace is written immediately.
#[derive(Debug)]
pub(crate) struct Metadefs {
    output: Output,
    mode: Mode,
    json: JsonWriter,
    summary: Summary,
}

/// The numbers of namespaces by result.
#[derive(Debug)]
struct Summary {
    exit: Exit,
    made: u64,
    changed: u64,
    in_place: u64,
    failed: u64,
    extra: u64,
}

impl Metadefs {
    /// A separate report.
    pub(crate) fn new(output: Output, mode: Mode) -> Self {
        Self::with_writer(JsonWriter::to_results(), output, mode)
    }

    /// A part of the report of a run or of a dry run.
    pub(super) fn of_run(output: Output, mode: Mode) -> Self {
        Self::with_writer(JsonWriter::spooled_object(), output, mode)
    }

    fn with_writer(json: JsonWriter, output: Output, mode: Mode) -> Self {
        let summary =
            Summary { exit: Exit::Success, made: 0, changed: 0, in_place: 0, failed: 0, extra: 0 };
        Self { output, mode, json, summary }
    }

    /// Writes the outcome of one namespace.
    pub(crate) fn outcome(&mut self, outcome: &NamespaceOutcome) {
        let word = self.summary.count(outcome, self.mode);
        match self.output {
            Output::Json => self.json.entry("namespaces", &json(outcome, word)),
            Output::Text => text(outcome, word),
        }
    }

    /// The exit code so far.
    pub(crate) fn exit(&self) -> Exit {
        self.summary.exit
    }

    /// Completes the report as a separate document.
    pub(crate) fn finish(self) -> Exit {
        let exit = self.exit();
        match self.output {
            Output::Json => self.into_json().finish(),
            Output::Text => self.print_summary(),
        }
        exit
    }

    /// Writes the last line of a text report.
    pub(crate) fn print_summary(&self) {
        let Summary { made, changed, in_place, failed, extra, .. } = &self.summary;
        let [missing, different] = words(self.mode);
        let extra = match extra {
            0 => String::new(),
            some => format!(", {some} only at the target"),
        };
        out!(
            "namespaces of metadata definitions: {made} {missing}, {changed} {different}, \
             {in_place} in place, {failed} failed{extra}"
        );
    }

    /// The complete report as a JSON document.
    pub(super) fn into_json(mut self) -> JsonWriter {
        let Summary { exit, made, changed, in_place, failed, extra } = self.summary;
        let [missing, different] = words(self.mode);
        self.json.end_list("namespaces");
        let summary = json!({
            missing: made, different: changed, "in_place": in_place, "failed": failed,
            "extra": extra, "exit_code": exit as u8,
        });
        self.json.field("summary", &summary);
        self.json
    }
}

impl Summary {
    /// Counts one namespace and returns the word for its result.
    fn count(&mut self, outcome: &NamespaceOutcome, mode: Mode) -> &'static str {
        let [missing, different] = words(mode);
        let (number, word, exit) = match (&outcome.error, outcome.state) {
            (Some(error), _) => (&mut self.failed, "failed", exit_of(error)),
            (None, NamespaceState::Unknown) => (&mut self.failed, "failed", Exit::Success),
            (None, NamespaceState::Missing) => (&mut self.made, missing, exit_of_difference(mode)),
            (None, NamespaceState::Different) => {
                (&mut self.changed, different, exit_of_difference(mode))
            }
            (None, NamespaceState::Same) => (&mut self.in_place, "in place", Exit::Success),
            (None, NamespaceState::Extra) => (&mut self.extra, "extra", Exit::Success),
        };
        *number += 1;
        self.exit = self.exit.worse(exit);
        word
    }
}

/// The words for namespaces that the target lacks, and for namespaces that differ.
fn words(mode: Mode) -> [&'static str; 2] {
    match mode {
        Mode::Write => ["made", "changed"],
        Mode::DryRun => ["missing", "different"],
    }
}

fn exit_of_difference(mode: Mode) -> Exit {
    match mode {
        Mode::Write => Exit::Success,
        Mode::DryRun => Exit::Differences,
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
            out!("{word}: namespace {name}: exists only at the target and is kept");
        }
        _ => out!("{word}: namespace {name}"),
    }
    for difference in &outcome.differences {
        out!("  {difference}: {}", sides(difference));
    }
    for difference in &outcome.surplus {
        out!("  {difference}: exists only at the target; kept without --prune");
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
