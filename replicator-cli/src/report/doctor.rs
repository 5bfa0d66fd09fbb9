//! The report of `doctor`.

use glance_core::units::plural;
use serde_json::{Value, json};

use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{JsonWriter, chain};

/// How a check ended, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Judgement {
    /// Nothing is wrong.
    Ok,
    /// A feature is missing that not every command needs.
    Note,
    /// The store can be used, but something should be changed soon.
    Warn,
    /// The store cannot be used.
    Fail,
}

impl Judgement {
    /// The word of the text report. Capitals catch the eye.
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }

    /// The word of the JSON report.
    fn key(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// The result of one check.
#[derive(Debug)]
pub(crate) struct Finding {
    /// The subject of the check, in one or two words.
    pub(crate) topic: &'static str,
    /// How the check ended.
    pub(crate) judgement: Judgement,
    /// The lines of the finding. The first one says what is wrong, if something is.
    pub(crate) lines: Vec<String>,
    /// The exit code of the finding. [`Exit::Success`] unless the check failed.
    pub(crate) exit: Exit,
    /// A hint at the remedy.
    pub(crate) hint: Option<String>,
    /// The contents of the certificate that was checked.
    pub(crate) certificate: Option<Value>,
}

impl Finding {
    /// A check that succeeded, without lines.
    pub(crate) fn fine(topic: &'static str) -> Self {
        Self {
            topic,
            judgement: Judgement::Ok,
            lines: Vec::new(),
            exit: Exit::Success,
            hint: None,
            certificate: None,
        }
    }
}

/// A check failed, so that later checks of the store are impossible. The findings contain the
/// reason.
#[derive(Debug)]
pub(crate) struct Stop;

/// The findings for one store.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    /// Adds a finding.
    pub(crate) fn add(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    /// Adds a check that succeeded.
    pub(crate) fn fine(&mut self, topic: &'static str, line: impl Into<String>) {
        self.lines(topic, vec![line.into()]);
    }

    /// Adds a check that succeeded, with several lines.
    pub(crate) fn lines(&mut self, topic: &'static str, lines: Vec<String>) {
        self.add(Finding { lines, ..Finding::fine(topic) });
    }

    /// Adds a finding about a feature that is missing but that not every command needs.
    pub(crate) fn note(&mut self, topic: &'static str, line: &str, hint: &str) {
        self.add_line(Judgement::Note, topic, line, hint);
    }

    /// Adds a warning.
    pub(crate) fn warn(&mut self, topic: &'static str, line: &str, hint: &str) {
        self.add_line(Judgement::Warn, topic, line, hint);
    }

    fn add_line(&mut self, judgement: Judgement, topic: &'static str, line: &str, hint: &str) {
        let (lines, hint) = (vec![line.to_owned()], Some(hint.to_owned()));
        self.add(Finding { judgement, lines, hint, ..Finding::fine(topic) });
    }

    /// Adds a check that failed.
    pub(crate) fn fail(&mut self, topic: &'static str, error: &CliError) -> Stop {
        let (lines, hint) = (chain(error), error.hint.clone());
        let (judgement, exit) = (Judgement::Fail, error.exit);
        self.add(Finding { judgement, lines, exit, hint, ..Finding::fine(topic) });
        Stop
    }

    /// The exit of the worst finding.
    fn exit(&self) -> Exit {
        self.0.iter().fold(Exit::Success, |exit, finding| exit.worse(finding.exit))
    }

    /// The worst judgement.
    fn judgement(&self) -> Judgement {
        self.0.iter().map(|finding| finding.judgement).max().unwrap_or(Judgement::Ok)
    }

    /// The subject of the first check that failed.
    fn failed(&self) -> Option<&'static str> {
        let is_failed = |finding: &&Finding| finding.judgement == Judgement::Fail;
        self.0.iter().find(is_failed).map(|finding| finding.topic)
    }

    /// The number of findings with this judgement.
    fn count(&self, judgement: Judgement) -> usize {
        self.0.iter().filter(|finding| finding.judgement == judgement).count()
    }
}

/// The report of `doctor`.
#[derive(Debug)]
pub(crate) struct DoctorReport {
    exit: Exit,
    judgement: Judgement,
    /// The number of stores.
    stores: usize,
    /// The stores that failed a check, each with the check.
    failed: Vec<String>,
    warnings: usize,
    notes: usize,
    json: JsonWriter,
}

impl DoctorReport {
    pub(crate) fn new() -> Self {
        Self {
            exit: Exit::Success,
            judgement: Judgement::Ok,
            stores: 0,
            failed: Vec::new(),
            warnings: 0,
            notes: 0,
            json: JsonWriter::to_results(),
        }
    }

    /// Writes the findings for one store.
    pub(crate) fn store(&mut self, word: &str, findings: &Findings) {
        self.exit = self.exit.worse(findings.exit());
        self.stores += 1;
        let judgement = findings.judgement();
        self.judgement = self.judgement.max(judgement);
        let failed = findings.failed();
        self.failed.extend(failed.map(|topic| format!("{word} failed the check {topic:?}")));
        self.warnings += findings.count(Judgement::Warn);
        self.notes += findings.count(Judgement::Note);
        text_findings(word, findings);
        let verdict = judgement.key();
        let findings: Vec<Value> = findings.0.iter().map(json_finding).collect();
        let store = json!({ "store": word, "verdict": verdict, "findings": findings });
        self.json.entry("stores", &store);
    }

    /// Completes the report with the verdict.
    pub(crate) fn finish(mut self) -> Exit {
        let (code, meaning) = (self.exit as u8, self.exit.meaning());
        out!("verdict: {}; exit code {code} ({meaning})", self.verdict());
        self.json.end_list("stores");
        self.json.field("verdict", &json!(self.judgement.key()));
        self.json.finish();
        self.exit
    }

    /// The verdict on all stores, in one sentence.
    fn verdict(&self) -> String {
        let verdict = match (self.failed.as_slice(), self.stores) {
            ([], 1) => "the store can be used".to_owned(),
            ([], 2) => "both stores can be used".to_owned(),
            ([], stores) => format!("all {stores} stores can be used"),
            (failed, _) => failed.join(" and "),
        };
        let counted = [(self.warnings, "warning"), (self.notes, "note")];
        let counted = counted.iter().filter(|(number, _)| *number > 0);
        let counted: Vec<String> =
            counted.map(|(number, noun)| format!("{number} {noun}{}", plural(*number))).collect();
        match counted.is_empty() {
            true => verdict,
            false => format!("{verdict}, with {}", counted.join(" and ")),
        }
    }
}

fn json_finding(finding: &Finding) -> Value {
    let mut document = json!({
        "topic": finding.topic, "verdict": finding.judgement.key(),
        "found": finding.lines, "hint": finding.hint,
    });
    if let Some(certificate) = &finding.certificate {
        document["certificate"] = certificate.clone();
    }
    document
}

fn text_findings(word: &str, findings: &Findings) {
    out!("{word}");
    for finding in &findings.0 {
        let mut head = format!("  {:5} {:18}", finding.judgement.word(), finding.topic);
        for line in &finding.lines {
            out!("{head} {line}");
            head = " ".repeat(26);
        }
        if let Some(hint) = &finding.hint {
            out!("{head} hint: {hint}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(stores: &[(&str, Findings)]) -> String {
        let mut report = DoctorReport::new();
        for (word, findings) in stores {
            report.store(word, findings);
        }
        format!("{} {}", report.verdict(), report.exit as u8)
    }

    fn found(judgement: Judgement, exit: Exit) -> Findings {
        let mut findings = Findings::default();
        findings.fine("trust", "fine");
        let lines = vec!["what".to_owned(), "more".to_owned()];
        findings.add(Finding { judgement, lines, exit, ..Finding::fine("certificate") });
        findings
    }

    #[test]
    fn the_verdict_is_the_worst_and_names_its_stores() {
        let fine = || ("a", found(Judgement::Ok, Exit::Success));
        let note = || ("n", found(Judgement::Note, Exit::Success));
        let warn = || ("w", found(Judgement::Warn, Exit::Success));
        let fail = |word| (word, found(Judgement::Fail, Exit::Connection));
        for (stores, expected) in [
            (vec![fine()], "the store can be used 0"),
            (vec![fine(), fine()], "both stores can be used 0"),
            (vec![fine(), fine(), fine()], "all 3 stores can be used 0"),
            (vec![note(), fine()], "both stores can be used, with 1 note 0"),
            (vec![note(), note()], "both stores can be used, with 2 notes 0"),
            (vec![warn(), note()], "both stores can be used, with 1 warning and 1 note 0"),
            (vec![fail("x"), warn()], "x failed the check \"certificate\", with 1 warning 4"),
            (
                vec![fine(), fail("x"), fail("y")],
                r#"x failed the check "certificate" and y failed the check "certificate" 4"#,
            ),
        ] {
            assert_eq!(verdict(&stores), expected);
        }
    }
}
