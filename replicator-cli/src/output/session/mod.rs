//! The output of one command: its document, and the destinations of results.
//!
//! Every report is made from one JSON document with the same envelope for every command
//! (`docs/schema`). The document is written while the command works. The fields that are known at the
//! start precede the lists; the fields that are known at the end follow them.
//!
//! A command that runs another command, such as `resume`, has the output of the other one on top of
//! its own.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use replicator_engine::Event;
use serde_json::{Map, Value, json};

use super::composer::{Composer, Kind};
use super::envelope::{Subject, line};
use super::escape::{escaped, escaped_json};
use super::is_quiet;
use super::rows::Rows;
use super::sink::Sink;
use super::spool::Spooled;
use crate::args::{Options, Output, ReportFormat};
use crate::exit::Exit;
use crate::named_file::NamedFile;
use courses::Courses;
use events::described;

mod courses;
mod events;
mod handles;

pub(crate) use events::proof_json;
pub(crate) use handles::{
    add_course, adjustments, begin, is_text, leave_standard_output, listening, moved, name_stores,
    only_target, opened_source, opened_target, selecting, throughput,
};
pub(super) use handles::{
    announce, begin_unknown, copy, end_files, end_standard_output, entry, field, has_document,
    has_pieces, is_outermost, note, note_value, piece, text,
};

/// The output of a command.
#[derive(Debug)]
struct Session {
    /// The format of standard output.
    format: Output,
    subject: Subject,
    began: Instant,
    composer: Composer,
    /// Whether the first fields of the document are written.
    is_begun: bool,
    sinks: Vec<Sink>,
    /// The report files that are made from the complete document.
    reports: Vec<DerivedReport>,
    rows: Option<Rows>,
    /// The fields of the document that the last line of NDJSON repeats.
    fields: Map<String, Value>,
    /// The errors that are not about single images.
    errors: Vec<Value>,
    courses: Courses,
}

/// A report file that is made from the complete document.
#[derive(Debug)]
pub(crate) struct DerivedReport {
    pub(crate) path: PathBuf,
    pub(crate) format: ReportFormat,
    pub(crate) file: NamedFile,
}

/// The completed output of a command.
#[derive(Debug)]
pub(crate) struct Closed {
    /// The exit, which is worse if a part of the output could not be written.
    pub(crate) exit: Exit,
    /// The complete document, if another document or a report is made from it.
    pub(crate) document: Option<Spooled>,
    pub(crate) reports: Vec<DerivedReport>,
}

impl Session {
    /// The output of a command, on top of the output of another one.
    fn new(command: &str, options: &Options, outer: Option<&Self>) -> Self {
        let subject = Subject::new(Some(command.to_owned()), &options.typed.command, options.tls);
        let mut session = Self::of(subject, outer.map_or(options.output, |outer| outer.format));
        if let Some(outer) = outer {
            // The document of the outer command contains this one.
            if matches!(outer.format, Output::Json | Output::Csv) {
                session.sinks.clear();
            }
            if outer.has(Output::Json) {
                session.keep_document();
            }
        }
        session
    }

    fn of(subject: Subject, format: Output) -> Self {
        let rows = subject.command.as_deref().and_then(Rows::of);
        Self {
            format,
            subject,
            began: Instant::now(),
            composer: Composer::of(Kind::Object),
            is_begun: false,
            sinks: vec![Sink::standard(format)],
            reports: Vec::new(),
            rows,
            fields: Map::new(),
            errors: Vec::new(),
            courses: Courses::default(),
        }
    }

    /// Keeps the document, so that others can be made from it.
    fn keep_document(&mut self) {
        if !self.sinks.iter().any(Sink::is_spool) {
            self.sinks.push(Sink::spool());
        }
    }

    fn has(&self, format: Output) -> bool {
        self.sinks.iter().any(|sink| sink.format == format)
    }

    fn has_pieces(&self) -> bool {
        self.sinks.iter().any(|sink| sink.format != Output::Text)
    }

    fn write(&mut self, format: Output, text: &str) {
        let is_silent = format == Output::Text && is_quiet();
        let sinks = self.sinks.iter_mut().filter(|sink| sink.format == format);
        for sink in sinks.filter(|sink| !(is_silent && sink.is_standard())) {
            sink.write(text);
        }
    }

    fn hear(&mut self, event: &Event<'_>) {
        let seconds = self.seconds();
        self.courses.hear(event, seconds);
        if self.has(Output::Ndjson) && self.courses.is_due(event, seconds) {
            let names: Vec<&str> =
                self.subject.targets.iter().map(|target| target.name.as_str()).collect();
            if let Some((name, fields)) = described(event, &names) {
                self.begin_document();
                self.write(Output::Ndjson, &line(name, fields));
            }
        }
    }

    fn piece(&mut self, piece: impl FnOnce(&mut Composer) -> String) {
        self.begin_document();
        let text = piece(&mut self.composer);
        self.write(Output::Json, &escaped_json(&text));
    }

    fn path(&self) -> String {
        self.composer.path()
    }

    fn row(&mut self, path: &str, entry: &Value) {
        if self.has(Output::Csv) {
            let rows = self.rows.as_mut().map(|rows| rows.rows(path, entry));
            self.write(Output::Csv, &rows.unwrap_or_default());
        }
    }

    fn announce(&mut self, path: &str, entry: &Value) {
        if self.has(Output::Ndjson) {
            // The images of a run have a course of events; these are its end.
            let text = match path == "images" && !entry["result"].is_null() {
                true => line("finished", [("image", entry.clone())]),
                false => line("entry", [("list", json!(path)), ("entry", entry.clone())]),
            };
            self.write(Output::Ndjson, &text);
        }
    }

    /// Writes the fields that are known before the first result.
    fn begin_document(&mut self) {
        if std::mem::replace(&mut self.is_begun, true) {
            return;
        }
        let head = self.subject.fields();
        let mut text = String::new();
        for (key, value) in &head {
            text += &self.composer.field(key, value);
        }
        self.write(Output::Json, &escaped_json(&text));
        self.write(Output::Ndjson, &line("run_started", head));
    }

    /// Writes the end of the results to a destination.
    fn end(&mut self, sink: &mut Sink, exit: Exit) {
        let tail = self.subject.last_fields(&self.errors, self.seconds(), exit);
        match sink.format {
            Output::Text if sink.is_standard() => {}
            Output::Text => sink.write(&self.text_end(exit)),
            Output::Csv => {
                let header = self.rows.as_mut().map(Rows::header);
                sink.write(&header.unwrap_or_default());
            }
            Output::Json => {
                let mut composer = self.composer.clone();
                let mut text = String::new();
                if !self.is_begun {
                    for (key, value) in self.subject.fields() {
                        text += &composer.field(key, &value);
                    }
                }
                text += &composer.close_parts();
                for (key, value) in &tail {
                    text += &composer.field(key, value);
                }
                sink.write(&escaped_json(&format!("{text}{}\n", composer.close_all())));
            }
            Output::Ndjson => {
                let mut lines = String::new();
                if !self.is_begun {
                    lines += &line("run_started", self.subject.fields());
                }
                let fields = self.fields.iter().map(|(key, value)| (key.as_str(), value.clone()));
                lines += &line("run_finished", fields.chain(tail));
                sink.write(&lines);
            }
        }
    }

    /// The errors and the exit code, which are on the screen, for a text in a file.
    fn text_end(&self, exit: Exit) -> String {
        let said = |value: &Value| value.as_str().map(|text| escaped(text).into_owned());
        let line = |error: &Value| {
            let causes = error["causes"].as_array().into_iter().flatten();
            let all = [&error["message"]].into_iter().chain(causes).filter_map(said);
            format!("error: {}\n", all.collect::<Vec<String>>().join(": "))
        };
        let errors: String = self.errors.iter().map(line).collect();
        format!("{errors}exit code {}: {}\n", exit as u8, exit.meaning())
    }

    /// The time since the start, in seconds with milliseconds.
    fn seconds(&self) -> f64 {
        (self.began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0
    }
}

/// Uses the output of the command that runs now, if there is one.
fn with<T>(act: impl FnOnce(&mut Session) -> T) -> Option<T> {
    sessions().last_mut().map(act)
}

/// The outputs of the commands that run, the innermost one last. A panic of another thread does not
/// invalidate them.
fn sessions() -> MutexGuard<'static, Vec<Session>> {
    SESSIONS.lock().unwrap_or_else(PoisonError::into_inner)
}

static SESSIONS: Mutex<Vec<Session>> = Mutex::new(Vec::new());
