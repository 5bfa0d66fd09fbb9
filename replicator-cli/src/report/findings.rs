//! The report of `doctor`.

use serde_json::{Value, json};

use crate::args::Output;
use crate::commands::doctor::{Finding, Findings};
use crate::exit::Exit;

/// The report of `doctor`.
#[derive(Debug)]
pub(crate) struct Examination {
    output: Output,
    exit: Exit,
    stores: Vec<Value>,
}

impl Examination {
    pub(crate) fn new(output: Output) -> Self {
        Self { output, exit: Exit::Success, stores: Vec::new() }
    }

    /// Writes the findings for one store.
    pub(crate) fn store(&mut self, word: &str, findings: &Findings) {
        self.exit = self.exit.worse(findings.exit());
        match self.output {
            Output::Text => text_findings(word, findings),
            Output::Json => {
                let findings: Vec<Value> = findings.0.iter().map(json_finding).collect();
                self.stores.push(json!({ "store": word, "findings": findings }));
            }
        }
    }

    /// Completes the report.
    pub(crate) fn finish(self) -> Exit {
        if self.output == Output::Json {
            let exit = self.exit as u8;
            out_json!("{:#}", json!({ "stores": self.stores, "exit_code": exit }));
        }
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
