//! The report as XML in the format of `JUnit`: one test case per image.
//!
//! The elements and attributes are those of the format that Jenkins, GitLab and others read
//! (<https://github.com/testmoapp/junitxml>).

use std::io::{self, Write};

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use serde_json::Value;

use super::Document;
use super::case::{Case, CaseVerdict, LISTS, text, texts};

/// Writes the report.
pub(super) fn write(document: &Document<'_>, file: &mut impl Write) -> io::Result<()> {
    let outline = document.outline()?;
    let value = |key: &str| outline.get(key).map_or(Value::Null, |field| field.value().clone());
    let errors = value("errors").as_array().cloned().unwrap_or_default();
    let command = text(&value("command")).unwrap_or_default();
    let suite = Suite {
        name: format!("glance-replicator {command}"),
        counts: count(document)?,
        errors: errors.len(),
        started: text(&value("started")).unwrap_or_default(),
        seconds: value("seconds").to_string(),
    };
    let mut xml = Writer::new_with_indent(file, b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    xml.write_event(Event::Start(suite.element("testsuites")))?;
    xml.write_event(Event::Start(suite.element("testsuite")))?;
    for error in &errors {
        write_error(&mut xml, &command, error)?;
    }
    for list in LISTS {
        let mut written = Ok(());
        document.entries(list, &mut |entry| {
            if written.is_ok() {
                written = write_case(&mut xml, &command, &Case::of(&entry));
            }
        })?;
        written?;
    }
    xml.write_event(Event::End(BytesEnd::new("testsuite")))?;
    xml.write_event(Event::End(BytesEnd::new("testsuites")))?;
    writeln!(xml.get_mut())
}

/// The numbers of cases.
#[derive(Debug, Default)]
struct Counts {
    all: usize,
    failed: usize,
    skipped: usize,
}

struct Suite {
    name: String,
    counts: Counts,
    /// The number of errors that are not about single images. Each is a case of its own.
    errors: usize,
    started: String,
    seconds: String,
}

impl Suite {
    fn element(&self, name: &'static str) -> BytesStart<'static> {
        let mut element = BytesStart::new(name);
        let number = |attribute, value: usize| (attribute, value.to_string());
        for (attribute, value) in [
            ("name", self.name.clone()),
            number("tests", self.counts.all + self.errors),
            number("failures", self.counts.failed),
            number("errors", self.errors),
            number("skipped", self.counts.skipped),
            ("time", self.seconds.clone()),
            ("timestamp", self.started.clone()),
        ] {
            element.push_attribute((attribute, value.as_str()));
        }
        element
    }
}

fn count(document: &Document<'_>) -> io::Result<Counts> {
    let mut counts = Counts::default();
    for list in LISTS {
        document.entries(list, &mut |entry| {
            counts.all += 1;
            match Case::of(&entry).verdict {
                CaseVerdict::Passed => {}
                CaseVerdict::Skipped => counts.skipped += 1,
                CaseVerdict::Failed => counts.failed += 1,
            }
        })?;
    }
    Ok(counts)
}

fn write_case(xml: &mut Writer<impl Write>, command: &str, case: &Case) -> io::Result<()> {
    let of_target = case.target.iter().map(|target| format!("{command}.{target}")).next();
    let class = of_target.unwrap_or_else(|| command.to_owned());
    let element = case_element(&class, &case.name);
    let (tag, verdict) = match case.verdict {
        CaseVerdict::Passed => return xml.write_event(Event::Empty(element)),
        CaseVerdict::Skipped => ("skipped", None),
        CaseVerdict::Failed => ("failure", Some(case.word.as_str())),
    };
    let mut lines = case.lines.clone();
    lines.extend(case.hint.iter().map(|hint| format!("hint: {hint}")));
    lines.extend(case.request_ids.iter().map(|id| format!("request: {id}")));
    let message = case.lines.first().unwrap_or(&case.word);
    xml.write_event(Event::Start(element))?;
    write_problem(xml, tag, verdict, message, &lines)?;
    xml.write_event(Event::End(BytesEnd::new("testcase")))
}

/// Writes an error that is not about a single image.
fn write_error(xml: &mut Writer<impl Write>, command: &str, error: &Value) -> io::Result<()> {
    let message = text(&error["message"]).unwrap_or_default();
    let mut lines = vec![message.clone()];
    lines.extend(texts(&error["causes"]));
    lines.extend(text(&error["hint"]).map(|hint| format!("hint: {hint}")));
    lines.extend(texts(&error["request_ids"]).iter().map(|id| format!("request: {id}")));
    xml.write_event(Event::Start(case_element(command, "the command")))?;
    write_problem(xml, "error", None, &message, &lines)?;
    xml.write_event(Event::End(BytesEnd::new("testcase")))
}

fn case_element(class: &str, name: &str) -> BytesStart<'static> {
    let mut element = BytesStart::new("testcase");
    element.push_attribute(("classname", valid(class).as_str()));
    element.push_attribute(("name", valid(name).as_str()));
    element
}

fn write_problem(
    xml: &mut Writer<impl Write>,
    tag: &'static str,
    kind: Option<&str>,
    message: &str,
    lines: &[String],
) -> io::Result<()> {
    let mut element = BytesStart::new(tag);
    element.push_attribute(("message", valid(message).as_str()));
    if let Some(kind) = kind {
        element.push_attribute(("type", kind));
    }
    xml.write_event(Event::Start(element))?;
    xml.write_event(Event::Text(BytesText::new(&valid(&lines.join("\n")))))?;
    xml.write_event(Event::End(BytesEnd::new(tag)))
}

/// The text without the characters that XML 1.0 forbids. Control characters are already escaped.
fn valid(text: &str) -> String {
    text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}
