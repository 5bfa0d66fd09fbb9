//! The reports of `compare`, `plan` and dry runs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};

use glance_core::image::Image;
use glance_core::units::plural;
use replicator_engine::metadefs::Mode;
use replicator_engine::{CopyError, Difference, Entry, NothingRemoved, State};
use serde_json::{Value, json};

use crate::error::request_ids;
use crate::exit::Exit;
use crate::metrics;
use crate::output::{self, JsonWriter, human_size, named};
use crate::report::run::Notes;
use crate::report::{Metadefs, members_skipped};

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
    /// Whether the report contains the images that the command leaves alone at the target.
    lists_extras: bool,
    combined: Combined,
    json: JsonWriter,
    /// The totals at each target. A comparison has one target, without a name.
    targets: Vec<(String, Summary)>,
    metadefs: Option<Metadefs>,
    notes: Notes,
    failure: Option<std::io::Error>,
}

/// The totals of a comparison at one target.
#[derive(Debug, Clone)]
struct Summary {
    exit: Exit,
    states: BTreeMap<State, u64>,
    actions: BTreeMap<&'static str, u64>,
    /// Bytes of image data that a run would copy.
    bytes: u64,
    /// Shared images whose members were not looked at.
    members_skipped: u64,
    /// Images whose records have only MD5 in common.
    md5_only: u64,
}

impl Comparison {
    pub(crate) fn new(subject: Subject, combined: Combined) -> Self {
        Self::at_targets(subject, combined, &[String::new()])
    }

    /// The plans of a run at these targets, without the images that the run would leave alone.
    pub(crate) fn of_dry_run(targets: &[String]) -> Self {
        let plan = Self::at_targets(Subject::Actions, Combined::Off, targets);
        Self { lists_extras: false, ..plan }
    }

    fn at_targets(subject: Subject, combined: Combined, targets: &[String]) -> Self {
        if matches!(combined, Combined::Output) {
            output::leave_standard_output();
        }
        Self {
            subject,
            lists_extras: true,
            combined,
            json: JsonWriter::to_results(),
            targets: targets.iter().map(|name| (name.clone(), Summary::new())).collect(),
            metadefs: None,
            notes: Notes::default(),
            failure: None,
        }
    }

    /// Whether no image was found at a target or at the source.
    pub(crate) fn is_empty(&self, target: usize) -> bool {
        self.targets[target].1.states.is_empty()
    }

    /// Makes the exit of a target at least as bad as this one.
    pub(crate) fn worse(&mut self, target: usize, exit: Exit) {
        let summary = &mut self.targets[target].1;
        summary.exit = summary.exit.worse(exit);
    }

    /// Warns that a run would carry out none of the planned removals at a target.
    pub(crate) fn warn_of_refusal(&self, target: usize, refusal: Option<NothingRemoved>) {
        if let Some(why) = refusal {
            let (prefix, remedy) = (self.prefix(target), why.hint());
            output::warning(&format!("{prefix}a run would remove no images: {why}; {remedy}"));
        }
    }

    /// The report of the metadata definitions of a dry run. No image can be reported afterwards.
    pub(crate) fn metadefs(&mut self, target: usize) -> &mut Metadefs {
        let json = &mut self.json;
        let metadefs = self.metadefs.get_or_insert_with(|| {
            json.end_list("images");
            Metadefs::new(Mode::DryRun)
        });
        metadefs.at(&self.targets[target].0);
        metadefs
    }

    /// Writes the state of one image at a target.
    pub(crate) fn entry(&mut self, target: usize, entry: &Entry) {
        if entry.state == State::Extra && !self.lists_extras && entry.reason.is_none() {
            return;
        }
        let is_one_of_several = self.targets.len() > 1;
        let (name, summary) = &mut self.targets[target];
        let exit = match (entry.state, entry.action()) {
            // A plan has nothing to do then.
            (State::Extra, "nothing") if self.subject == Subject::Actions => Exit::Success,
            _ => exit_of(entry),
        };
        summary.count(entry, exit);
        metrics::image(entry.state.as_str(), exit);
        let json = json_entry(is_one_of_several.then_some(name.as_str()), entry);
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
        self.text(target, entry);
        self.json.entry("images", &json);
    }

    fn text(&mut self, target: usize, entry: &Entry) {
        let image = &entry.image;
        let action = match (self.subject, entry.action()) {
            (Subject::Actions, action) if action != "nothing" => format!(" ({action})"),
            _ => String::new(),
        };
        let reason = entry.reason.as_ref().map(|reason| format!(": {reason}"));
        let reason = reason.unwrap_or_default();
        let (prefix, name) = (self.prefix(target), named(image.label()));
        out!("{prefix}{}{action}: {} {name}{reason}", entry.state, image.id);
        for difference in &entry.differences {
            let Difference { field, source, target } = difference;
            out!("  {field}: {source} {}, {target} at the target", origin(image, difference));
        }
        for loss in &entry.losses {
            out!("  lost: {loss}");
        }
        // The differences of an update say the same as its notes.
        if self.subject == Subject::Actions && entry.differences.is_empty() {
            self.notes.print(target, &entry.notes);
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
        for (target, (_, summary)) in self.targets.iter().enumerate() {
            summary.text(self.subject, &self.prefix(target));
        }
        let mut exit = Exit::Success;
        if let Some(metadefs) = self.metadefs.take() {
            exit = metadefs.finish();
        } else {
            self.json.end_list("images");
        }
        let total = self.targets.iter().fold(Summary::new(), |sum, (_, one)| sum.and(one));
        self.json.field("summary", &total.to_json());
        if self.targets.len() > 1 {
            let each = self.targets.iter().map(|(name, one)| (name.clone(), one.to_json()));
            self.json.field("by_target", &Value::Object(each.collect()));
        }
        self.json.finish();
        Ok(exit.worse(total.exit))
    }

    /// The prefix of every line: the target's name if there are several targets, else nothing.
    fn prefix(&self, target: usize) -> String {
        match self.targets.len() {
            1 => String::new(),
            _ => format!("{}: ", self.targets[target].0),
        }
    }
}

impl Summary {
    fn new() -> Self {
        Self {
            exit: Exit::Success,
            states: BTreeMap::new(),
            actions: BTreeMap::new(),
            bytes: 0,
            members_skipped: 0,
            md5_only: 0,
        }
    }

    /// The sum of two totals.
    fn and(mut self, other: &Self) -> Self {
        self.exit = self.exit.worse(other.exit);
        for (state, number) in &other.states {
            *self.states.entry(*state).or_default() += number;
        }
        for (action, number) in &other.actions {
            *self.actions.entry(action).or_default() += number;
        }
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.members_skipped += other.members_skipped;
        self.md5_only += other.md5_only;
        self
    }

    fn count(&mut self, entry: &Entry, exit: Exit) {
        *self.states.entry(entry.state).or_default() += 1;
        *self.actions.entry(entry.action()).or_default() += 1;
        self.bytes = self.bytes.saturating_add(entry.outstanding());
        self.members_skipped += u64::from(entry.members_skipped);
        self.md5_only += u64::from(entry.is_compared_by_md5_only());
        self.exit = self.exit.worse(exit);
    }

    fn compared(&self) -> u64 {
        self.states.values().sum()
    }

    fn text(&self, subject: Subject, prefix: &str) {
        let states = self.states.iter().map(|(state, number)| format!("{number} {state}"));
        let states: Vec<String> = states.collect();
        let colon = if states.is_empty() { "" } else { ": " };
        let (compared, states) = (self.compared(), states.join(", "));
        out!("{prefix}{compared} image{} compared{colon}{states}", plural(compared));
        if self.members_skipped > 0 {
            out!("{prefix}{}", members_skipped(self.members_skipped));
        }
        if self.md5_only > 0 {
            let (count, s) = (self.md5_only, plural(self.md5_only));
            out!(
                "{prefix}the records of {count} image{s} have only MD5 in common; `verify --deep --one-way` \
                 compares the data"
            );
        }
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
            "actions": self.actions, "bytes": self.bytes, "members_skipped": self.members_skipped, "md5_only": self.md5_only,
        })
    }
}

/// The entry as JSON, with the target if there are several.
fn json_entry(target: Option<&str>, entry: &Entry) -> Value {
    let mut json = entry.to_json();
    if let Some(target) = target {
        json["target"] = json!(target);
    }
    let is_extra = entry.state == State::Extra;
    let replica = entry.replica.as_ref().or(is_extra.then_some(&entry.image));
    json["target_id"] = json!(replica.map(|replica| replica.id.as_str()));
    json["size"] = json!(entry.image.size);
    json["hint"] = json!(entry.error().and_then(CopyError::hint));
    json["request_ids"] = json!(entry.error().map(|error| request_ids(error)).unwrap_or_default());
    json
}

/// Where the value that the target should have comes from: the source's record, or an option that
/// changes it.
fn origin(image: &Image, Difference { field, source, .. }: &Difference) -> &'static str {
    let record = image.to_json();
    let is_at_the_source = match field.as_str() {
        // Members are no part of the record.
        "members" => true,
        field => record.get(field).unwrap_or(&Value::Null) == source,
    };
    match (is_at_the_source, field.as_str()) {
        (true, _) => "at the source",
        (false, "name") => "(--rename)",
        (false, _) => "(as mapped)",
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
