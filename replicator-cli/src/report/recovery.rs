//! The reports of `resume` and `repair`.

use glance_core::image::Status;
use glance_core::units::plural;
use replicator_engine::{JournalEntry, KnownBy, Leftover, Run};
use serde_json::{Value, json};

use crate::output::{JsonWriter, Spooled, named, shell_line};
use crate::resolve::journals::Kept;

/// Writes the unfinished runs and the runs that are in progress.
pub(crate) fn unfinished(journals: &[Kept], runs: &[Run]) {
    for journal in journals {
        under_way(journal);
    }
    for run in runs {
        unfinished_text(run, journals);
    }
    if runs.is_empty() {
        out!("there are no unfinished runs");
    }
    let mut json = JsonWriter::to_results();
    for journal in journals.iter().filter_map(held) {
        json.entry("under_way", &journal);
    }
    json.end_list("under_way");
    for run in runs {
        json.entry("unfinished", &unfinished_json(run, journals));
    }
    json.end_list("unfinished");
}

/// Reports that a command is run again.
pub(crate) fn resuming(command: &[String]) {
    out!("resuming: {}", shell_line(command));
}

/// Writes the document of a command that was run again.
pub(crate) fn resumed(document: Option<Spooled>) {
    if let Some(document) = document {
        JsonWriter::to_results().entry_document("runs", document);
    }
}

/// Completes the list of commands that were run again.
pub(crate) fn all_resumed() {
    JsonWriter::to_results().end_list("runs");
}

/// Writes the unfinished images that were found at the target.
pub(crate) fn findings(findings: &[Leftover], journal: bool) {
    if !journal {
        out!(
            "there is no journal: `repair` finds only replicas that carry the property set by `sync`"
        );
    }
    findings.iter().for_each(finding_text);
    if !findings.iter().any(Leftover::is_ours) {
        out!("there are no unfinished images");
    }
    let mut json = JsonWriter::to_results();
    json.field("journal", &json!(journal));
    for finding in findings {
        json.entry("leftovers", &finding_json(finding));
    }
    json.end_list("leftovers");
}

fn under_way(journal: &Kept) {
    let Some(holder) = &journal.holder else { return };
    let recorded = &journal.recorded;
    out!("in progress: {holder} copies from {} to {}", recorded.source, recorded.target);
}

fn held(journal: &Kept) -> Option<Value> {
    let holder = journal.holder.as_ref()?;
    let recorded = &journal.recorded;
    Some(json!({
        "source": recorded.source, "target": recorded.target,
        "pid": holder.pid, "host": holder.host, "since": holder.since,
        "command": holder.command,
    }))
}

fn unfinished_text(run: &Run, journals: &[Kept]) {
    out!("unfinished: {}", shell_line(&run.command));
    let done = format!("{} image{} completed", run.done, plural(run.done));
    out!("  started {} in {}; {}; {done}", run.at, run.directory, how_it_ended(run));
    for (journal, left) in of_run(run, journals) {
        let name = named(left.name.as_deref().unwrap_or_default());
        let target = &journal.recorded.target;
        out!("  {}: {} {name}, at {target}", left.phase.as_str(), left.image);
        if let Some(why) = &left.why {
            out!("    {why}");
        }
    }
    if !run.left_out.is_empty() {
        out!("  `resume` needs these options again: {}", run.left_out.join(", "));
    }
}

fn unfinished_json(run: &Run, journals: &[Kept]) -> Value {
    let images: Vec<Value> = of_run(run, journals)
        .map(|(journal, left)| {
            json!({
                "id": left.image.as_str(), "name": left.name, "phase": left.phase.as_str(),
                "target": journal.recorded.target, "target_id": left.target.as_str(),
                "at": left.at, "why": left.why, "request_id": left.request_id,
            })
        })
        .collect();
    json!({
        "run": run.run, "command": run.command, "to_be_given_again": run.left_out,
        "directory": run.directory, "begun": run.at, "pid": run.pid, "done": run.done,
        "exit_code": run.ended.as_ref().map(|ended| ended.exit), "images": images,
    })
}

/// The unfinished images of a run, from the journals that record the run.
fn of_run<'a>(
    run: &'a Run,
    journals: &'a [Kept],
) -> impl Iterator<Item = (&'a Kept, &'a JournalEntry)> {
    journals.iter().flat_map(move |journal| {
        let left = journal.recorded.leftovers.values();
        left.filter(|left| left.run == run.run).map(move |left| (journal, left))
    })
}

fn how_it_ended(run: &Run) -> String {
    match &run.ended {
        None => "the process was killed, or its machine failed".to_owned(),
        Some(ended) => match ended.exit {
            signal @ (129 | 130 | 143) => {
                format!("signal {} stopped the run at {}", signal - 128, ended.at)
            }
            exit => format!("the run ended at {} with exit code {exit}", ended.at),
        },
    }
}

fn finding_text(finding: &Leftover) {
    let name = named(finding.name.as_deref().unwrap_or_default());
    let status = finding.status.map(|status| format!("{status}, ")).unwrap_or_default();
    let whose = match finding.known_by {
        KnownBy::Journal => ", known from the journal",
        KnownBy::Stamp => ", known from its provenance property",
        KnownBy::Nothing => "",
    };
    let standing = &finding.standing;
    out!("{}: {} {name}: {status}{standing}{whose}", standing.as_str(), finding.image);
    if finding.target != finding.image {
        out!("  id at the target: {}", finding.target);
    }
    let since = finding.updated_at.as_ref().filter(|_| standing.is_stuck());
    if let Some(since) = since {
        out!("  since {since} (clock of the target)");
    }
    if let Some(why) = finding.left.as_ref().and_then(|left| left.why.as_ref()) {
        out!("  cause of the failure: {why}");
    }
    if let Some(remedy) = standing.remedy() {
        out!("  hint: {remedy}");
    }
}

fn finding_json(finding: &Leftover) -> Value {
    let left = finding.left.as_ref();
    json!({
        "id": finding.image.as_str(), "target_id": finding.target.as_str(), "name": finding.name,
        "known_by": finding.known_by.as_str(), "status": finding.status.map(Status::as_str),
        "updated_at": finding.updated_at, "standing": finding.standing.as_str(),
        "reason": finding.standing.to_string(), "remedy": finding.standing.remedy(),
        "phase": left.map(|left| left.phase.as_str()), "at": left.map(|left| &left.at),
        "why": left.and_then(|left| left.why.as_ref()),
    })
}
