//! The entry of one image in the document of a run.

use std::collections::BTreeMap;

use glance_core::clock;
use glance_core::image::Image;
use glance_core::verified_body::DataFault;
use replicator_engine::{CopyError, Done, Loss, Outcome, TransferMethod};
use serde_json::{Value, json};

use crate::error::request_ids;
use crate::metrics;
use crate::output::{chain, proof_json};

/// The entry of an image at the target that the command line names so.
pub(super) fn entry(target: &str, outcome: &Outcome) -> Value {
    let Outcome { image, journey, result, losses, started, ended, .. } = outcome;
    let error = result.as_ref().err();
    let digests = digests(outcome);
    let proof = proof(outcome, &digests);
    json!({
        "target": target, "id": image.id.as_str(), "target_id": target_id(outcome),
        "name": image.attributes.name, "size": image.size.or(journey.bytes),
        "result": metrics::state(result), "reason": reason(result), "fields": fields(result),
        "proof": proof, "digests": digests.iter().map(Digest::to_json).collect::<Vec<_>>(),
        "way": journey.way.map(way),
        "started": clock::text(*started), "ended": clock::text(*ended),
        "errors": error.map(|error| chain(error)).unwrap_or_default(),
        "hint": error.and_then(CopyError::hint),
        "request_ids": error.map(|error| request_ids(error)).unwrap_or_default(),
        "losses": losses.iter().map(Loss::to_json).collect::<Vec<_>>(),
        "notes": journey.notes,
    })
}

fn reason(result: &Result<Done, CopyError>) -> Option<String> {
    match result {
        Ok(Done::CopiedAs(_)) => Some("copied under another id".to_owned()),
        Ok(Done::Completed) => Some("completed a record without data".to_owned()),
        Ok(Done::Removed(how)) => Some(how.to_string()),
        Ok(Done::Skipped(reason)) => Some(reason.clone()),
        _ => None,
    }
}

fn fields(result: &Result<Done, CopyError>) -> &[String] {
    match result {
        Ok(Done::Updated(fields)) => fields,
        _ => &[],
    }
}

fn target_id(outcome: &Outcome) -> Option<&str> {
    match (&outcome.result, &outcome.journey.replica) {
        (Ok(Done::CopiedAs(id)), _) => Some(id.as_str()),
        (_, Some(replica)) => Some(replica.id.as_str()),
        (Ok(Done::Copied | Done::Completed | Done::Removed(_)), None) => {
            Some(outcome.image.id.as_str())
        }
        _ => None,
    }
}

/// A digest of the data, at the three places where it is known.
#[derive(Debug, Default)]
struct Digest {
    algorithm: String,
    source: Option<String>,
    in_transit: Option<String>,
    target: Option<String>,
}

impl Digest {
    fn to_json(&self) -> Value {
        json!({
            "algorithm": self.algorithm, "source": self.source, "in_transit": self.in_transit,
            "target": self.target,
        })
    }
}

/// All digests of the data of an image, by algorithm.
fn digests(outcome: &Outcome) -> Vec<Digest> {
    let Outcome { image, journey, result, .. } = outcome;
    // A removed image is described by the target.
    let (source, target) = match result {
        Ok(Done::Removed(_)) => (None, Some(image)),
        _ => (Some(image), journey.replica.as_deref()),
    };
    let mut all: BTreeMap<String, Digest> = BTreeMap::new();
    for (algorithm, value) in recorded(source) {
        at(&mut all, &algorithm).source = Some(value);
    }
    for (algorithm, value) in &journey.in_transit {
        at(&mut all, &algorithm.to_string()).in_transit = Some(value.clone());
    }
    if let Err(CopyError::Data { fault: DataFault::Digest { algorithm, got, .. }, .. }) = result {
        at(&mut all, &algorithm.to_string()).in_transit = Some(got.clone());
    }
    for (algorithm, value) in recorded(target) {
        at(&mut all, &algorithm).target = Some(value);
    }
    all.into_values().collect()
}

fn at<'a>(all: &'a mut BTreeMap<String, Digest>, algorithm: &str) -> &'a mut Digest {
    let new = || Digest { algorithm: algorithm.to_owned(), ..Digest::default() };
    all.entry(algorithm.to_owned()).or_insert_with(new)
}

fn recorded(image: Option<&Image>) -> impl Iterator<Item = (String, String)> {
    let digests = image.into_iter().flat_map(Image::recorded_digests);
    let digests = digests.filter(|digest| !digest.value.is_empty());
    digests.map(|digest| (digest.algorithm.to_owned(), digest.value.to_ascii_lowercase()))
}

/// What proves the data: the transfer of this run, or the digests that both records have.
fn proof(outcome: &Outcome, digests: &[Digest]) -> Value {
    let equal = || digests.iter().rev().find(|digest| is_equal(digest));
    match (&outcome.journey.proven, &outcome.result) {
        (_, Err(_)) => Value::Null,
        (Some(proven), _) => proof_json(proven),
        (None, Ok(Done::InPlace | Done::Updated(_))) => match equal() {
            Some(digest) => json!({ "by": "records", "algorithm": digest.algorithm }),
            None => Value::Null,
        },
        _ => Value::Null,
    }
}

fn is_equal(digest: &Digest) -> bool {
    digest.source.is_some() && digest.source == digest.target
}

fn way(way: TransferMethod) -> &'static str {
    match way {
        TransferMethod::Imported => "imported",
        TransferMethod::Streamed => "streamed",
    }
}
