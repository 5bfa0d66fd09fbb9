//! The lines of one image in the text report of a run.

use glance_core::image::Image;
use replicator_engine::{CopyError, Done, Outcome, Proven, TransferMethod};

use super::copied_bytes;
use crate::output::{causes, human_size, named};
use crate::report::proof;

/// Writes the outcome of an image. `sent`: the number of bytes that this run sent, if known.
pub(super) fn write(outcome: &Outcome, sent: Option<u64>, prefix: &str) {
    let word = word(&outcome.result);
    let subject = subject(outcome);
    match &outcome.result {
        Ok(Done::Copied | Done::CopiedAs(_) | Done::Completed) => {
            let imported = match outcome.journey.way {
                Some(TransferMethod::Imported) => ", imported by the target",
                _ => "",
            };
            let (data, proof) = (data(outcome, sent), proof_of(outcome));
            out!("{prefix}{word}: {subject}{data}{proof}{imported}");
        }
        Ok(Done::Removed(how)) => {
            out!("{prefix}{how}: {subject}: the source no longer has this image");
        }
        Ok(Done::Updated(fields)) => out!("{prefix}{word}: {subject}: {}", fields.join(", ")),
        Ok(Done::Skipped(reason)) => out!("{prefix}{word}: {subject}: {reason}"),
        Ok(Done::InPlace) if !outcome.losses.is_empty() => out!("{prefix}{word}: {subject}"),
        Ok(Done::InPlace) => tracing::info!("{prefix}in place: {subject}"),
        Err(error @ CopyError::BrokenOff) => out!("{prefix}{word}: {subject}: {error}"),
        Err(error) => {
            err!("error: {prefix}image {subject}: {error}");
            causes(error, "  ");
            if let Some(hint) = CopyError::hint(error) {
                err!("  hint: {hint}");
            }
        }
    }
    for loss in &outcome.losses {
        out!("  lost: {loss}");
    }
}

fn word(result: &Result<Done, CopyError>) -> &'static str {
    match result {
        Ok(Done::Copied | Done::CopiedAs(_)) => "copied",
        Ok(Done::Completed) => "completed",
        Ok(Done::Updated(_)) => "updated",
        Ok(Done::Removed(_)) => "removed",
        Ok(Done::InPlace) => "in place",
        Ok(Done::Skipped(_)) => "skipped",
        Err(CopyError::BrokenOff) => "broken off",
        Err(CopyError::InUse(_)) => "in use",
        Err(_) => "failed",
    }
}

/// The image, and the replica where it has another id or another name.
fn subject(outcome: &Outcome) -> String {
    let image = &outcome.image;
    let subject = format!("{} {}", image.id, named(image.label()));
    match (&outcome.result, outcome.journey.replica.as_deref()) {
        (Ok(Done::Removed(_)), _) | (_, None) => subject,
        (_, Some(replica)) => format!("{subject}{}", difference(image, replica)),
    }
}

fn difference(image: &Image, replica: &Image) -> String {
    let name = named(replica.label());
    match (replica.id != image.id, replica.attributes.name != image.attributes.name) {
        (true, true) => format!(" → {} {name}", replica.id),
        (true, false) => format!(" → {}", replica.id),
        (false, true) => format!(" → {name}"),
        (false, false) => String::new(),
    }
}

/// The size of the data, and how much of it this run did not send.
fn data(outcome: &Outcome, sent: Option<u64>) -> String {
    let bytes = copied_bytes(outcome);
    match (&outcome.journey.proven, sent) {
        (Some(Proven::Record), _) => String::new(),
        (_, Some(sent @ 1..)) if sent < bytes => {
            let there = human_size(bytes - sent);
            format!(" ({}, of which {there} were in place)", human_size(bytes))
        }
        _ => format!(" ({})", human_size(bytes)),
    }
}

/// What proves the data. Where the target records another digest than the source, both are named.
fn proof_of(outcome: &Outcome) -> String {
    let Some(proven) = &outcome.journey.proven else { return String::new() };
    let sentence = match proven {
        Proven::Digest(algorithm) => match other_digest(outcome, algorithm) {
            Some(other) => format!("verified ({algorithm} of the source, {other} of the target)"),
            None => proof::sentence(proven),
        },
        _ => proof::sentence(proven),
    };
    format!(", {sentence}")
}

/// The digest that the target records, if it does not record this one.
fn other_digest<'a>(outcome: &'a Outcome, algorithm: &str) -> Option<&'a str> {
    let replica = outcome.journey.replica.as_deref()?;
    let is_known = replica.recorded_digests().any(|one| one.algorithm == algorithm);
    replica.os_hash_algo.as_deref().filter(|_| !is_known)
}

#[cfg(test)]
mod tests {
    use glance_core::image::{Attributes, ImageId};
    use replicator_engine::Proven;

    use super::*;

    const ID: &str = "00000000-0000-4000-8000-000000000001";
    const OTHER: &str = "00000000-0000-4000-8000-000000000002";

    fn image(id: &str, name: &str, algorithm: &str) -> Image {
        let attributes = Attributes { name: Some(name.to_owned()), ..Attributes::default() };
        let mut image = Image::queued(id.parse::<ImageId>().unwrap(), attributes);
        image.size = Some(600);
        image.os_hash_algo = Some(algorithm.to_owned());
        image.os_hash_value = Some("00".to_owned());
        image
    }

    fn copied(replica: Image) -> Outcome {
        let mut outcome = Outcome::of(image(ID, "a", "sha512"), Ok(Done::Copied));
        outcome.journey.proven = Some(Proven::Digest("sha512".to_owned()));
        outcome.journey.bytes = Some(600);
        outcome.journey.replica = Some(Box::new(replica));
        outcome
    }

    #[test]
    fn the_replica_is_named_where_it_differs() {
        let same = format!("{ID} \"a\"");
        for (id, name, expected) in [
            (ID, "a", same.clone()),
            (ID, "b", format!("{same} → \"b\"")),
            (OTHER, "a", format!("{same} → {OTHER}")),
            (OTHER, "b", format!("{same} → {OTHER} \"b\"")),
        ] {
            assert_eq!(subject(&copied(image(id, name, "sha512"))), expected);
        }
    }

    #[test]
    fn the_digests_of_both_sides_are_named_where_they_differ() {
        assert_eq!(proof_of(&copied(image(ID, "a", "sha512"))), ", verified (sha512)");
        let both = ", verified (sha512 of the source, sha256 of the target)";
        assert_eq!(proof_of(&copied(image(ID, "a", "sha256"))), both);
        let mut old = copied(image(ID, "a", "sha512"));
        old.journey.proven = Some(Proven::Digest("md5".to_owned()));
        old.journey.replica.as_mut().unwrap().checksum = Some("00".to_owned());
        assert_eq!(proof_of(&old), ", verified (md5)");
    }

    #[test]
    fn what_was_in_place_is_not_counted_as_sent() {
        let outcome = copied(image(ID, "a", "sha512"));
        assert_eq!(data(&outcome, Some(600)), " (600 B)");
        assert_eq!(data(&outcome, Some(200)), " (600 B, of which 400 B were in place)");
        // The target has the data from elsewhere.
        assert_eq!(data(&outcome, Some(0)), " (600 B)");
    }
}
