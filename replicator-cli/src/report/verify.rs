//! The report of `verify`.

use std::collections::BTreeMap;

use format_dump::{DumpFinding, DumpProof, FileState};
use glance_core::Image;
use glance_core::store::{StoreError, StoreErrorKind};
use glance_core::units::plural;
use replicator_engine::{Proof, Proven, State, Verdict, Verification};
use serde_json::json;

use super::proof;
use crate::error::request_ids;
use crate::exit::Exit;
use crate::metrics;
use crate::output::{JsonWriter, chain, human_size, named, quoted};

/// The report of a verification. Each image is written immediately.
#[derive(Debug)]
pub(crate) struct VerifyReport {
    exit: Exit,
    json: JsonWriter,
    /// The findings about files, which follow the images in a JSON report.
    files: JsonWriter,
    /// Whether the run that wrote the dump was finished; `None` if that is not known.
    is_complete: Option<bool>,
    words: BTreeMap<&'static str, u64>,
    read: u64,
    bytes: u64,
}

/// The entry of one image in the report.
#[derive(Debug, Default)]
struct ReportLine {
    word: &'static str,
    by: Option<&'static str>,
    /// The value of the field `proof` in JSON.
    proof: Option<String>,
    reason: Option<String>,
    details: Vec<String>,
    hint: Option<String>,
    request_ids: Vec<String>,
}

impl VerifyReport {
    pub(crate) fn new() -> Self {
        Self {
            exit: Exit::Success,
            json: JsonWriter::to_results(),
            files: JsonWriter::spooled_list("files"),
            is_complete: None,
            words: BTreeMap::new(),
            read: 0,
            bytes: 0,
        }
    }

    /// Whether no image was verified.
    pub(crate) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Writes the result for one image of a store.
    pub(crate) fn image(&mut self, found: &Verification) {
        let state = found.state;
        let reason = found.reason.clone();
        let (exit, said) = match &found.verdict {
            Verdict::Verified(how, by) => {
                (Exit::Success, ReportLine::verified(self.by(*how), proof::word(by)))
            }
            Verdict::Bad(faults) => {
                let details = faults.iter().map(|fault| chain(fault).join(": ")).collect();
                (Exit::Integrity, ReportLine { details, ..ReportLine::of("bad") })
            }
            Verdict::Different(one) => {
                let detail = format!(
                    "{}: {} at the source, {} at the target",
                    one.field, one.source, one.target
                );
                (Exit::Integrity, ReportLine { details: vec![detail], ..ReportLine::of("content") })
            }
            Verdict::Unproven => (Exit::Differences, ReportLine::unproven(found.image.size)),
            Verdict::Failed(error) => (Exit::SomeFailed, ReportLine::error("failed", error)),
            Verdict::NotChosen => (Exit::Success, ReportLine::of("not chosen")),
            Verdict::NoData => {
                (exit_of(state), ReportLine { reason, ..ReportLine::of(word(state)) })
            }
            _ => (Exit::SomeFailed, ReportLine::of("unknown")),
        };
        self.exit = self.exit.worse(exit);
        metrics::image(said.word, exit);
        self.say(found.image.id.as_str(), Some(&found.image), state, &said);
    }

    fn by(&mut self, proof: Proof) -> &'static str {
        match proof {
            Proof::Records => "records",
            Proof::Reading { bytes } => {
                self.read += 1;
                self.bytes = self.bytes.saturating_add(bytes);
                "reading"
            }
        }
    }

    /// Writes one finding of a dump.
    pub(crate) fn of_dump(&mut self, finding: &DumpFinding) {
        match finding {
            DumpFinding::Image { id, image, result } => {
                let (exit, said) = match result {
                    Ok(DumpProof::Data { bytes, by }) => {
                        let size = image.as_ref().and_then(|image| image.size);
                        let by = match (by.last(), size) {
                            (Some(algorithm), _) => Some(algorithm.to_string()),
                            // Size 0 proves empty data.
                            (None, Some(0)) => Some(proof::word(&Proven::Size)),
                            (None, _) => None,
                        };
                        let how = Proof::Reading { bytes: *bytes };
                        match by {
                            Some(by) => (Exit::Success, ReportLine::verified(self.by(how), by)),
                            None => (Exit::Differences, ReportLine::unproven(size)),
                        }
                    }
                    Ok(DumpProof::NotChosen) => (Exit::Success, ReportLine::of("not chosen")),
                    Ok(_) => (Exit::Success, ReportLine::of("no data")),
                    Err(error) if error.kind == StoreErrorKind::Unreadable => {
                        (Exit::Integrity, ReportLine::error("bad", error))
                    }
                    Err(error) => (Exit::SomeFailed, ReportLine::error("failed", error)),
                };
                self.exit = self.exit.worse(exit);
                metrics::image(said.word, exit);
                self.say(id.as_str(), image.as_ref(), None, &said);
            }
            DumpFinding::File { name, state } => self.file(name, state),
            _ => {}
        }
    }

    fn file(&mut self, name: &str, state: &FileState) {
        let (word, reason) = match state {
            FileState::Damaged(error) => ("damaged", chain(error).join(": ")),
            FileState::Missing => ("missing", "the file is listed but does not exist".to_owned()),
            FileState::Leftover => ("leftover", "an interrupted run left this file".to_owned()),
            _ => ("foreign", "the file is not part of the dump".to_owned()),
        };
        if state.is_fault() {
            self.exit = self.exit.worse(Exit::Integrity);
            metrics::failure(Exit::Integrity);
        }
        out!("{word}: file {}: {reason}", quoted(name));
        self.files.item(&json!({ "file": name, "state": word, "reason": reason }));
    }

    /// Records whether the run that wrote the dump was finished.
    pub(crate) fn complete(&mut self, is_complete: bool) {
        self.is_complete = Some(is_complete);
        if !is_complete {
            self.exit = self.exit.worse(Exit::Differences);
            out!("incomplete: the dump was not finished, and images may be missing");
            out!("  hint: run the dump again to complete it");
        }
    }

    fn say(&mut self, id: &str, image: Option<&Image>, state: Option<State>, said: &ReportLine) {
        *self.words.entry(said.word).or_default() += 1;
        said.text(id, image);
        let entry = json!({
            "id": id,
            "name": image.and_then(|image| image.attributes.name.as_deref()),
            "size": image.and_then(|image| image.size),
            "state": state.map(State::as_str),
            "verdict": said.word.replace(' ', "_"),
            "by": said.by,
            "proof": said.proof,
            "reason": said.reason,
            "details": said.details,
            "hint": said.hint,
            "request_ids": said.request_ids,
        });
        self.json.entry("images", &entry);
    }

    /// Completes the report.
    pub(crate) fn finish(mut self) -> Exit {
        let images: u64 = self.words.values().sum();
        let exit = self.exit;
        self.print_summary(images);
        let verdicts = self.words.iter().map(|(word, number)| (word.replace(' ', "_"), *number));
        let verdicts: BTreeMap<String, u64> = verdicts.collect();
        self.json.end_list("images");
        self.json.part(self.files);
        self.json.field("complete", &json!(self.is_complete));
        let (read, bytes) = (self.read, self.bytes);
        self.json.field(
            "summary",
            &json!({ "images": images, "verdicts": verdicts, "read": read, "bytes": bytes }),
        );
        self.json.finish();
        exit
    }

    fn print_summary(&self, images: u64) {
        let words = self.words.iter().map(|(word, number)| match *word {
            "verified" if self.read > 0 => {
                format!("{number} verified ({} by reading {})", self.read, human_size(self.bytes))
            }
            word => format!("{number} {word}"),
        });
        let words: Vec<String> = words.collect();
        let colon = if words.is_empty() { "" } else { ": " };
        out!("{images} image{}{colon}{}", plural(images), words.join(", "));
    }
}

impl ReportLine {
    fn of(word: &'static str) -> Self {
        Self { word, ..Self::default() }
    }

    fn verified(by: &'static str, proof: String) -> Self {
        Self { by: Some(by), proof: Some(proof), ..Self::of("verified") }
    }

    fn unproven(size: Option<u64>) -> Self {
        let reason = match size {
            Some(_) => "the record has no digest; only the size was compared",
            None => "the record has neither a digest nor a size",
        };
        Self { reason: Some(reason.to_owned()), ..Self::of("unproven") }
    }

    fn error(word: &'static str, error: &StoreError) -> Self {
        let details = vec![chain(error).join(": ")];
        let request_ids = request_ids(error);
        Self { details, hint: error.hint.clone(), request_ids, ..Self::of(word) }
    }

    fn text(&self, id: &str, image: Option<&Image>) {
        let label = image.map_or("(no record)".to_owned(), |image| named(image.label()));
        if ["verified", "no data", "not chosen"].contains(&self.word) {
            let proof = self.proof.as_ref().map(|proof| format!(" ({proof})")).unwrap_or_default();
            let by = self.by.map(|by| format!(", by {by}")).unwrap_or_default();
            tracing::info!("{}{proof}: {id} {label}{by}", self.word);
            return;
        }
        let reason = self.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        out!("{}: {id} {label}{reason}", self.word);
        for detail in &self.details {
            out!("  {detail}");
        }
        if let Some(hint) = &self.hint {
            out!("  hint: {hint}");
        }
    }
}

/// The word for an image without data on at least one side.
fn word(state: Option<State>) -> &'static str {
    match state {
        Some(
            state @ (State::Missing
            | State::Extra
            | State::Partial
            | State::Skipped
            | State::Blocked),
        ) => state.as_str(),
        _ => "no data",
    }
}

fn exit_of(state: Option<State>) -> Exit {
    match state {
        Some(State::Missing | State::Extra | State::Partial) => Exit::Differences,
        Some(State::Blocked) => Exit::SomeFailed,
        _ => Exit::Success,
    }
}
