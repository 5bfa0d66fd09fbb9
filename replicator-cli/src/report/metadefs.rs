//! The report of a synchronization of metadata definitions.

use std::collections::BTreeMap;

use glance_core::metadefs::{NamespaceDifference, Part};
use glance_core::store::StoreErrorKind;
use replicator_engine::metadefs::{MetadefError, Mode, NamespaceOutcome, NamespaceState};
use serde_json::{Value, json};

use crate::error::request_ids;
use crate::exit::Exit;
use crate::output::{self, JsonWriter, causes, chain};

/// The report of a synchronization of metadata definitions, at one or more targets. Each namespace is
/// written immediately.
#[derive(Debug)]
pub(crate) struct Metadefs {
    mode: Mode,
    json: JsonWriter,
    /// The target of the next outcomes.
    target: String,
    summary: Summary,
    exits: BTreeMap<String, Exit>,
}

/// The numbers of namespaces by result.
#[derive(Debug, Default)]
struct Summary {
    made: u64,
    changed: u64,
    in_place: u64,
    failed: u64,
    extra: u64,
}

impl Metadefs {
    pub(crate) fn new(mode: Mode) -> Self {
        let mut json = JsonWriter::to_results();
        json.open_object("metadefs");
        let (target, summary, exits) = (String::new(), Summary::default(), BTreeMap::new());
        Self { mode, json, target, summary, exits }
    }

    /// Names the target of the next outcomes.
    pub(crate) fn at(&mut self, target: &str) {
        target.clone_into(&mut self.target);
    }

    /// Writes the outcome of one namespace.
    pub(crate) fn outcome(&mut self, outcome: &NamespaceOutcome) {
        let (word, exit) = self.summary.count(outcome, self.mode);
        let exits = self.exits.entry(self.target.clone()).or_insert(Exit::Success);
        *exits = exits.worse(exit);
        self.json.entry("namespaces", &json(&self.target, outcome, word));
        if output::is_text() {
            text(outcome, word);
        }
    }

    /// The exit of a target so far.
    pub(crate) fn exit_at(&self, target: &str) -> Exit {
        self.exits.get(target).copied().unwrap_or(Exit::Success)
    }

    /// Completes the report and returns the worst exit of all targets.
    pub(crate) fn finish(mut self) -> Exit {
        self.print_summary();
        self.json.end_list("namespaces");
        self.json.field("summary", &self.summary.to_json(self.mode));
        self.json.close();
        self.exits.into_values().fold(Exit::Success, Exit::worse)
    }

    /// Writes the last line of a text report.
    fn print_summary(&self) {
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
}

impl Summary {
    fn to_json(&self, mode: Mode) -> Value {
        let Self { made, changed, in_place, failed, extra } = self;
        let [missing, different] = words(mode);
        json!({
            missing: made, different: changed, "in_place": in_place, "failed": failed,
            "extra": extra,
        })
    }

    /// Counts one namespace. Returns the word for its result, and its exit.
    fn count(&mut self, outcome: &NamespaceOutcome, mode: Mode) -> (&'static str, Exit) {
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
        (word, exit)
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

fn json(target: &str, outcome: &NamespaceOutcome, word: &str) -> Value {
    let differences = |list: &[NamespaceDifference]| -> Vec<Value> {
        let one = |difference: &NamespaceDifference| {
            json!({
                "part": difference.part.to_string(), "name": difference.name,
                "source": difference.source, "target": difference.target,
            })
        };
        list.iter().map(one).collect()
    };
    let error = outcome.error.as_ref();
    json!({
        "target": target, "namespace": outcome.name, "result": word.replace(' ', "_"),
        "differences": differences(&outcome.differences),
        "only_at_the_target": differences(&outcome.surplus),
        "errors": error.map(|error| chain(error)).unwrap_or_default(),
        "hint": error.and_then(MetadefError::hint).filter(|hint| !hint.is_empty()),
        "request_ids": error.map(|error| request_ids(error)).unwrap_or_default(),
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
