//! The report of `doctor`.

use serde_json::{Value, json};

use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{JsonWriter, chain};

/// The result of one check.
#[derive(Debug)]
pub(crate) struct Finding {
    /// The subject of the check, in one or two words.
    pub(crate) topic: &'static str,
    /// The lines of the finding.
    pub(crate) lines: Vec<String>,
    /// The exit code of the finding. [`Exit::Success`] if nothing is wrong.
    pub(crate) exit: Exit,
    /// A hint at the remedy.
    pub(crate) hint: Option<String>,
}

/// The findings for one store.
#[derive(Debug, Default)]
pub(crate) struct Findings(pub(crate) Vec<Finding>);

impl Findings {
    /// Adds a check that succeeded.
    pub(crate) fn fine(&mut self, topic: &'static str, line: impl Into<String>) {
        self.lines(topic, vec![line.into()]);
    }

    /// Adds a check that succeeded, with several lines.
    pub(crate) fn lines(&mut self, topic: &'static str, lines: Vec<String>) {
        self.0.push(Finding { topic, lines, exit: Exit::Success, hint: None });
    }

    /// Adds a finding about a feature that is missing but that not every command needs.
    pub(crate) fn note(&mut self, topic: &'static str, line: String, hint: Option<String>) {
        self.0.push(Finding { topic, lines: vec![line], exit: Exit::Success, hint });
    }

    /// Adds a check that failed.
    pub(crate) fn wrong(&mut self, topic: &'static str, error: &CliError) {
        let lines = chain(error);
        self.0.push(Finding { topic, lines, exit: error.exit, hint: error.hint.clone() });
    }

    /// The exit of the worst finding.
    fn exit(&self) -> Exit {
        self.0.iter().fold(Exit::Success, |exit, finding| match finding.exit {
            Exit::Success => exit,
            worst => exit.worse(worst),
        })
    }
}

/// The report of `doctor`.
#[derive(Debug)]
pub(crate) struct DoctorReport {
    exit: Exit,
    json: JsonWriter,
}

impl DoctorReport {
    pub(crate) fn new() -> Self {
        Self { exit: Exit::Success, json: JsonWriter::to_results() }
    }

    /// Writes the findings for one store.
    pub(crate) fn store(&mut self, word: &str, findings: &Findings) {
        self.exit = self.exit.worse(findings.exit());
        text_findings(word, findings);
        let findings: Vec<Value> = findings.0.iter().map(json_finding).collect();
        self.json.entry("stores", &json!({ "store": word, "findings": findings }));
    }

    /// Completes the report.
    pub(crate) fn finish(mut self) -> Exit {
        self.json.end_list("stores");
        self.json.finish();
        self.exit
    }
}

fn verdict(finding: &Finding) -> &'static str {
    match (finding.exit, &finding.hint) {
        (Exit::Success, None) => "ok",
        (Exit::Success, Some(_)) => "note",
        _ => "wrong",
    }
}

fn json_finding(finding: &Finding) -> Value {
    json!({
        "topic": finding.topic, "verdict": verdict(finding),
        "found": finding.lines, "hint": finding.hint,
    })
}

fn text_findings(word: &str, findings: &Findings) {
    out!("{word}");
    for finding in &findings.0 {
        let mut head = format!("  {:5} {:18}", verdict(finding), finding.topic);
        for line in &finding.lines {
            out!("{head} {line}");
            head = " ".repeat(26);
        }
        if let Some(hint) = &finding.hint {
            out!("{head} hint: {hint}");
        }
    }
}
