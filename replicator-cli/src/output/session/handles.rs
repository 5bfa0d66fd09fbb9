//! The functions of the other modules on the output of the command that runs now.

use std::fs::File;

use glance_core::image::ImageId;
use glance_core::selection::Shard;
use replicator_engine::Events;
use serde_json::{Value, json};

use super::super::composer::Composer;
use super::super::envelope::{StoreName, Subject};
use super::super::escape::escaped;
use super::super::sink::{self, Sink};
use super::super::{chain, failure};
use super::{Closed, DerivedReport, Session, sessions, with};
use crate::args::{Command, Options, Output, ReportPath};
use crate::error::CliError;
use crate::exit::Exit;
use crate::recorded_args::without_secret;

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
pub(in crate::output) fn begin_unknown(command: Option<String>, format: Output) {
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

/// The receivers of a run's events, with the output as one of them.
pub(crate) fn listening(events: Events) -> Events {
    events.and(|event| {
        with(|session| session.hear(event));
    })
}

/// Adds to the entry of an image what the events say about it.
pub(crate) fn add_course(entry: &mut Value, target: usize, id: &ImageId) {
    for (key, value) in with(|session| session.courses.take(target, id)).into_iter().flatten() {
        entry[key] = value;
    }
}

/// The bytes that the run has sent to a target.
pub(crate) fn moved(target: usize) -> u64 {
    with(|session| session.courses.moved(target)).unwrap_or_default()
}

/// The bytes sent over the time of the run.
pub(crate) fn throughput() -> Value {
    with(|session| session.courses.throughput()).unwrap_or_default()
}

/// The changes of the pace over the time of the run.
pub(crate) fn adjustments() -> Value {
    with(|session| session.courses.adjustments()).unwrap_or_default()
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
pub(in crate::output) fn has_pieces() -> bool {
    with(|session| session.has_pieces()).unwrap_or(false)
}

/// Whether any output is the document.
pub(in crate::output) fn has_document() -> bool {
    with(|session| session.has(Output::Json)).unwrap_or(false)
}

/// Writes a line of text results.
pub(in crate::output) fn text(line: &str) {
    with(|session| session.write(Output::Text, &format!("{}\n", escaped(line))));
}

/// Writes a piece of the document.
pub(in crate::output) fn piece(piece: impl FnOnce(&mut Composer) -> String) {
    with(|session| session.piece(piece));
}

/// Writes a field of the open object of the document.
pub(in crate::output) fn field(key: &str, value: &Value) {
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
pub(in crate::output) fn entry(key: &str, entry: &Value) {
    with(|session| {
        session.piece(|composer| composer.entry(key, entry));
        let path = session.path();
        session.row(&path, entry);
        session.announce(&path, entry);
    });
}

/// Writes a line of NDJSON for an entry of a list that reaches the document later.
pub(in crate::output) fn announce(path: &str, entry: &Value) {
    with(|session| {
        session.begin_document();
        session.announce(path, entry);
    });
}

/// Writes a text from a file to the document.
pub(in crate::output) fn copy(text: &File) {
    with(|session| {
        for sink in session.sinks.iter_mut().filter(|sink| sink.format == Output::Json) {
            sink.copy(text);
        }
    });
}

/// Records an error that is not about a single image.
pub(in crate::output) fn note(error: &CliError) {
    let causes: Vec<String> = chain(error).split_off(1);
    note_value(json!({
        "message": error.to_string(), "causes": causes, "hint": error.hint,
        "request_ids": error.request_ids,
    }));
}

pub(in crate::output) fn note_value(error: Value) {
    with(|session| session.errors.push(error));
}

/// Whether no other command waits for the end of this one.
pub(in crate::output) fn is_outermost() -> bool {
    sessions().len() <= 1
}

/// Completes standard output. Its failures are part of the reports in files.
pub(in crate::output) fn end_standard_output(exit: Exit) {
    with(|session| {
        let mut sinks = std::mem::take(&mut session.sinks);
        for sink in sinks.iter_mut().filter(|sink| sink.is_standard()) {
            session.end(sink, exit);
        }
        session.sinks = sinks;
    });
}

/// Completes the files.
pub(in crate::output) fn end_files(exit: Exit) -> Closed {
    let Some(mut session) = sessions().pop() else {
        return Closed { exit, document: None, reports: Vec::new() };
    };
    let mut closed = Closed { exit, document: None, reports: std::mem::take(&mut session.reports) };
    let sinks = std::mem::take(&mut session.sinks);
    for mut sink in sinks.into_iter().filter(|sink| !sink.is_standard()) {
        session.end(&mut sink, exit);
        match sink.end() {
            Ok(document) => closed.document = closed.document.or(document),
            Err(error) => closed.exit = closed.exit.worse(failure(&error)),
        }
    }
    closed
}
