//! The output of one command: its document, and the destinations of results.
//!
//! Every report is made from one JSON document with the same envelope for every command
//! (`docs/schema`). The document is written while the command works. The fields that are known at the
//! start precede the lists; the fields that are known at the end follow them.
//!
//! A command that runs another command, such as `resume`, has the output of the other one on top of
//! its own.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use glance_core::image::ImageId;
use glance_core::selection::Shard;
use replicator_engine::{Event, Events};
use serde_json::{Map, Value, json};

use super::composer::{Composer, Kind};
use super::courses::Courses;
use super::envelope::{StoreName, Subject, line};
use super::escape::{escaped, escaped_json};
use super::events::described;
use super::rows::Rows;
use super::is_quiet;
use super::sink::{self, Sink};
use super::spool::Spooled;
use crate::args::{Command, Options, Output, ReportFormat, ReportPath};
use crate::error::CliError;
use crate::exit::Exit;
use crate::named_file::NamedFile;
use crate::recorded_args::without_secret;

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

/// Begins the output of a command, and its report files.
pub(crate) fn begin(command: &Command, options: &Options) -> Result<(), CliError> {
    let session = Session::new(command.name(), options, sessions().last());
    sessions().push(session);
    name_stores(command.source(), &command.targets());
    let reports = &options.report.report;
    if reports.iter().any(|report| report.format.is_derived()) {
        with(Session::keep_document);
    }
    for ReportPath { path, format } in reports {
        if format.is_derived() {
            let (path, file) = (path.clone(), sink::create(path)?);
            with(|session| session.reports.push(DerivedReport { path, format: *format, file }));
        } else {
            let format = format.output().unwrap_or(options.output);
            let sink = Sink::file(path.clone(), format)?;
            with(|session| session.sinks.push(sink));
        }
    }
    Ok(())
}

/// Begins the output of a command line that is not understood.
pub(super) fn begin_unknown(command: Option<String>, format: Output) {
    let session = Session::of(Subject::new(command, &[], None), format);
    sessions().push(session);
}

/// Names the stores by their arguments on the command line.
pub(crate) fn name_stores(source: Option<&str>, targets: &[&str]) {
    let named = |name: &str| StoreName { name: without_secret(name), address: None };
    with(|session| {
        session.subject.source = source.map(named);
        session.subject.targets = targets.iter().copied().map(named).collect();
    });
}

/// Records the selection of the command.
pub(crate) fn selecting(selection: &[String], shard: Option<Shard>) {
    with(|session| {
        session.subject.selection = selection.to_vec();
        session.subject.shard = shard.map(|shard| shard.to_string());
    });
}

/// Records the address of the open source.
pub(crate) fn opened_source(address: &str) {
    with(|session| {
        if let Some(source) = &mut session.subject.source {
            source.address = Some(address.to_owned());
        }
    });
}

/// Records the address of an open target.
pub(crate) fn opened_target(index: usize, address: &str) {
    with(|session| {
        if let Some(target) = session.subject.targets.get_mut(index) {
            target.address = Some(address.to_owned());
        }
    });
}

/// The argument that names the only target.
pub(crate) fn only_target() -> String {
    let name = |session: &mut Session| Some(session.subject.targets.first()?.name.clone());
    with(name).flatten().unwrap_or_default()
}

/// The receivers of a run's events, with the document as one of them where it is wanted.
pub(crate) fn listening(events: Events) -> Events {
    match has_pieces() {
        true => events.and(|event| {
            with(|session| session.hear(event));
        }),
        false => events,
    }
}

/// Adds to the entry of an image what the events say about it.
pub(crate) fn add_course(entry: &mut Value, target: usize, id: &ImageId) {
    for (key, value) in with(|session| session.courses.take(target, id)).into_iter().flatten() {
        entry[key] = value;
    }
}

/// The bytes sent over the time of the run.
pub(crate) fn throughput() -> Value {
    with(|session| session.courses.throughput()).unwrap_or_default()
}

/// Prevents results on standard output, which carries something else.
pub(crate) fn leave_standard_output() {
    with(|session| session.sinks.retain(|sink| !sink.is_standard()));
}

/// Whether results are written as text, so that messages about single images belong on the screen.
pub(crate) fn is_text() -> bool {
    sessions().last().is_none_or(|session| session.has(Output::Text))
}

/// Whether any output is made from the document.
pub(super) fn has_pieces() -> bool {
    with(|session| session.has_pieces()).unwrap_or(false)
}

/// Whether any output is the document.
pub(super) fn has_document() -> bool {
    with(|session| session.has(Output::Json)).unwrap_or(false)
}

/// Writes a line of text results.
pub(super) fn text(line: &str) {
    with(|session| session.write(Output::Text, &format!("{}\n", escaped(line))));
}

/// Writes a piece of the document.
pub(super) fn piece(piece: impl FnOnce(&mut Composer) -> String) {
    with(|session| session.piece(piece));
}

/// Writes a field of the open object of the document.
pub(super) fn field(key: &str, value: &Value) {
    with(|session| {
        let outer = session.path();
        session.piece(|composer| composer.field(key, value));
        if outer.is_empty() {
            session.fields.insert(key.to_owned(), value.clone());
            session.row(key, value);
        }
    });
}

/// Writes an entry of a list of the document.
pub(super) fn entry(key: &str, entry: &Value) {
    with(|session| {
        session.piece(|composer| composer.entry(key, entry));
        let path = session.path();
        session.row(&path, entry);
        session.announce(&path, entry);
    });
}

/// Writes a line of NDJSON for an entry of a list that reaches the document later.
pub(super) fn announce(path: &str, entry: &Value) {
    with(|session| {
        session.begin_document();
        session.announce(path, entry);
    });
}

/// Writes a text from a file to the document.
pub(super) fn copy(text: &File) {
    with(|session| {
        for sink in session.sinks.iter_mut().filter(|sink| sink.format == Output::Json) {
            sink.copy(text);
        }
    });
}

/// Records an error that is not about a single image.
pub(super) fn note(error: &CliError) {
    let causes: Vec<String> = super::chain(error).split_off(1);
    note_value(json!({
        "message": error.to_string(), "causes": causes, "hint": error.hint,
        "request_ids": error.request_ids,
    }));
}

pub(super) fn note_value(error: Value) {
    with(|session| session.errors.push(error));
}

/// Completes standard output. Its failures are part of the reports in files.
pub(super) fn end_standard_output(exit: Exit) {
    with(|session| {
        let mut sinks = std::mem::take(&mut session.sinks);
        for sink in sinks.iter_mut().filter(|sink| sink.is_standard()) {
            session.end(sink, exit);
        }
        session.sinks = sinks;
    });
}

/// Completes the files.
pub(super) fn end_files(exit: Exit) -> Closed {
    let Some(mut session) = sessions().pop() else {
        return Closed { exit, document: None, reports: Vec::new() };
    };
    let mut closed = Closed { exit, document: None, reports: std::mem::take(&mut session.reports) };
    let sinks = std::mem::take(&mut session.sinks);
    for mut sink in sinks.into_iter().filter(|sink| !sink.is_standard()) {
        session.end(&mut sink, exit);
        match sink.end() {
            Ok(document) => closed.document = closed.document.or(document),
            Err(error) => closed.exit = closed.exit.worse(super::failure(&error)),
        }
    }
    closed
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
        let mut text = String::new();
        let said = |value: &Value| value.as_str().map(|text| escaped(text).into_owned());
        for error in &self.errors {
            let causes = error["causes"].as_array().into_iter().flatten();
            let all: Vec<String> =
                [&error["message"]].into_iter().chain(causes).filter_map(said).collect();
            text += &format!("error: {}\n", all.join(": "));
        }
        text + &format!("exit code {}: {}\n", exit as u8, exit.meaning())
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
