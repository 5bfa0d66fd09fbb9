//! The lines of a journal, and the state that they add up to.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader};
use std::path::Path;

use serde::{Deserialize, Serialize};

use glance_core::clock::now;
use glance_core::image::ImageId;
use safe_files::dir::{Dir, Lines};

use super::{JournalEntry, JournalError, Phase};

/// The state recorded in the journal of one pair of stores.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct JournalContents {
    /// The source's address.
    pub source: String,
    /// The target's address.
    pub target: String,
    /// The runs that are unfinished or have leftovers, oldest first.
    pub runs: Vec<Run>,
    /// Leftovers at the target, by the images' ids at the source.
    pub leftovers: BTreeMap<ImageId, JournalEntry>,
    /// Whether the last line is incomplete. Then the next one must start with a line break.
    pub(super) torn: bool,
}

/// One run of the program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// The unique name of the run.
    pub run: String,
    /// When the run began.
    pub at: String,
    /// The id of its process.
    pub pid: u32,
    /// The command line without the program's name and without secrets.
    pub command: Vec<String>,
    /// The options that contained a secret and are missing in `command`.
    pub left_out: Vec<String>,
    /// The working directory of the command.
    pub directory: String,
    /// The words that decide what the run does between its two stores. Runs with the same words
    /// differ at most in speed, limits, retries and reports. Empty if unknown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub work: Vec<String>,
    /// Number of images that the run completed, with those of the unfinished runs that it continues.
    #[serde(skip_serializing_if = "is_zero")]
    pub done: u64,
    /// How the run ended; `None` if it was killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ended {
    /// When the run ended.
    pub at: String,
    /// The exit code.
    pub exit: u8,
    /// Whether the run examined all images of its selection.
    pub whole: bool,
    /// Whether a run that is not whole needs no resumption.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dismissed: bool,
}

/// A line of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub(super) enum Line {
    Journal {
        version: u32,
        source: String,
        target: String,
    },
    Run(Run),
    Image(JournalEntry),
    Ended {
        run: String,
        #[serde(flatten)]
        ended: Ended,
    },
    /// A line written by a later release.
    #[serde(other)]
    Unknown,
}

impl Run {
    /// A run of this process that begins now. `command` must not contain secrets.
    pub fn begins(command: Vec<String>, left_out: Vec<String>, directory: String) -> Self {
        Self {
            run: uuid::Uuid::new_v4().to_string(),
            at: now(),
            pid: std::process::id(),
            command,
            left_out,
            directory,
            ..Self::default()
        }
    }

    /// Whether the run was killed, or ended before it examined all images, and was not dismissed.
    pub fn is_unfinished(&self) -> bool {
        self.ended.as_ref().is_none_or(|ended| !ended.whole && !ended.dismissed)
    }

    /// Whether both runs do the same work.
    fn does_work_of(&self, other: &Self) -> bool {
        !self.work.is_empty() && self.work == other.work && self.directory == other.directory
    }

    /// Whether both runs have the same command line and directory.
    fn is_like(&self, other: &Self) -> bool {
        self.command == other.command
            && self.left_out == other.left_out
            && self.directory == other.directory
    }
}

impl JournalContents {
    /// Reads the journal at `path` without changing it. `None` if there is no file. Damaged lines
    /// are ignored with a warning, and an incomplete last line without.
    ///
    /// # Errors
    /// When the file can't be read, or a later release wrote it.
    pub fn read(path: &Path) -> Result<Option<Self>, JournalError> {
        let failed = |error| JournalError::File { operation: "read", path: path.to_owned(), error };
        let opened = Dir::of_file(path).and_then(|(directory, name)| directory.open_file(&name));
        let file = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let mut recorded = Self::default();
        let mut lines = Lines::of(BufReader::new(file));
        for number in 1_u64.. {
            let Some(text) = lines.next_line().map_err(failed)? else { break };
            recorded.torn = text.last() != Some(&b'\n');
            match serde_json::from_slice(text) {
                Ok(Line::Journal { version, .. }) if version > VERSION => {
                    return Err(JournalError::Later { path: path.to_owned() });
                }
                Ok(line) => recorded.take(line),
                Err(_) if recorded.torn || text.trim_ascii().is_empty() => {}
                Err(error) => tracing::warn!(
                    "line {number} of the journal {} is damaged and ignored: {error}",
                    path.display()
                ),
            }
        }
        Ok(Some(recorded))
    }

    /// The run with this name.
    pub fn run(&self, name: &str) -> Option<&Run> {
        self.runs.iter().find(|run| run.run == name)
    }

    /// The unfinished runs.
    pub fn unfinished(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| run.is_unfinished())
    }

    /// Whether a run, or an earlier one that it continues, completed an image or left one unfinished.
    pub fn has_work_of(&self, run: &str) -> bool {
        self.run(run).is_some_and(|run| run.done > 0)
            || self.leftovers.values().any(|left| left.run == run)
    }

    /// Adds the contents of another journal of the same stores. The later line about an image
    /// counts.
    pub fn merge(&mut self, other: Self) {
        for run in other.runs {
            if self.run(&run.run).is_none() {
                self.runs.push(run);
            }
        }
        self.runs.sort_by(|one, other| one.at.cmp(&other.at));
        for (image, left) in other.leftovers {
            if self.leftovers.get(&image).is_none_or(|known| known.at <= left.at) {
                self.leftovers.insert(image, left);
            }
        }
    }

    pub(super) fn take(&mut self, line: Line) {
        match line {
            Line::Journal { source, target, .. } => (self.source, self.target) = (source, target),
            Line::Run(run) => self.begin(run),
            Line::Image(left) => self.step(left),
            Line::Ended { run, ended } => self.end(&run, ended),
            Line::Unknown => {}
        }
    }

    /// Adds a run. It replaces earlier runs with the same command, and continues the unfinished ones.
    fn begin(&mut self, mut run: Run) {
        let same = self.take_over(&run.run, |earlier| earlier.is_like(&run));
        let unfinished = same.iter().filter(|earlier| earlier.is_unfinished());
        run.done += unfinished.map(|earlier| earlier.done).sum::<u64>();
        self.runs.push(run);
    }

    /// Records how a run ended. A whole run finishes all other runs that do the same work.
    fn end(&mut self, name: &str, ended: Ended) {
        let Some(run) = self.runs.iter_mut().find(|known| known.run == name) else { return };
        run.ended = Some(ended);
        let run = run.clone();
        if run.ended.as_ref().is_some_and(|ended| ended.whole) {
            self.take_over(name, |other| other.run != name && other.does_work_of(&run));
        }
    }

    /// Removes these runs and returns them. Their leftovers become those of the run `heir`.
    fn take_over(&mut self, heir: &str, is_meant: impl Fn(&Run) -> bool) -> Vec<Run> {
        let (meant, others) = self.runs.drain(..).partition(is_meant);
        self.runs = others;
        let meant: Vec<Run> = meant;
        for left in self.leftovers.values_mut() {
            if meant.iter().any(|earlier| earlier.run == left.run) {
                heir.clone_into(&mut left.run);
            }
        }
        meant
    }

    fn step(&mut self, left: JournalEntry) {
        match left.phase {
            Phase::Done => {
                self.leftovers.remove(&left.image);
                if let Some(run) = self.runs.iter_mut().find(|run| run.run == left.run) {
                    run.done += 1;
                }
            }
            Phase::Dropped => drop(self.leftovers.remove(&left.image)),
            _ => drop(self.leftovers.insert(left.image.clone(), left)),
        }
    }

    /// The text of a compacted journal with the same state.
    pub(super) fn to_text(&self) -> Result<String, serde_json::Error> {
        let (source, target) = (self.source.clone(), self.target.clone());
        let head = Line::Journal { version: VERSION, source, target };
        let runs = self.needed().cloned().map(Line::Run);
        let leftovers = self.leftovers.values().cloned().map(Line::Image);
        let mut text = String::new();
        for line in std::iter::once(head).chain(runs).chain(leftovers) {
            text.push_str(&line.to_text()?);
        }
        Ok(text)
    }

    /// The runs to keep: those with leftovers, and the most recent unfinished ones.
    fn needed(&self) -> impl Iterator<Item = &Run> {
        let left: BTreeSet<&str> = self.leftovers.values().map(|left| left.run.as_str()).collect();
        let unfinished = self.unfinished().count();
        let mut too_old = unfinished.saturating_sub(MOST_UNFINISHED);
        self.runs.iter().filter(move |run| {
            let is_wanted = run.is_unfinished() && too_old == 0;
            too_old -= usize::from(run.is_unfinished() && too_old > 0);
            is_wanted || left.contains(run.run.as_str())
        })
    }
}

impl Line {
    /// The line as text, with its line break.
    pub(super) fn to_text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self).map(|text| text + "\n")
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The version of the line format. Additions to the format do not change it.
const VERSION: u32 = 1;

/// The number of most recent unfinished runs that are kept even without leftovers.
const MOST_UNFINISHED: usize = 16;
