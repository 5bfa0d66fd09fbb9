//! What to do with one image: decided from the two records alone.

use serde_json::Value;

use crate::image::{Image, Status};

use super::{CopyError, Expected, Policy, reduced};

/// What to do with one image.
#[derive(Debug)]
pub enum Step {
    /// Make a record at the target and copy the data.
    Copy,
    /// Copy the data into the record without data that the target holds.
    Complete(Image),
    /// The data is in place: bring record, members and activation up to date where they differ.
    Reconcile(Image),
    /// Nothing, for this reason.
    Skip(String),
    /// Nothing can be done.
    Fail(CopyError),
}

/// Decides what to do with `image`, given its replica at the target.
pub fn plan(image: &Image, replica: Option<&Image>, policy: &Policy) -> Step {
    if !image.status.has_data() {
        return Step::Skip(format!("it has no data at the source, its status is {}", image.status));
    }
    if image.attributes.properties.contains_key("cinder_encryption_key_id") {
        let reason = "its data is encrypted with a key of the source's key manager";
        return Step::Skip(reason.to_owned());
    }
    match replica {
        None if policy.metadata_only => {
            Step::Skip("the target does not hold it, and only metadata is replicated".to_owned())
        }
        None => unverifiable(image, policy).unwrap_or(Step::Copy),
        Some(replica) => match replica.status {
            Status::Queued if policy.metadata_only => {
                Step::Skip("the target has no data of it".to_owned())
            }
            Status::Queued => {
                unverifiable(image, policy).unwrap_or_else(|| Step::Complete(replica.clone()))
            }
            Status::Active | Status::Deactivated => match content_difference(image, replica) {
                None => Step::Reconcile(replica.clone()),
                Some(difference) => Step::Fail(CopyError::content_differs(difference)),
            },
            other => Step::Fail(CopyError::busy(other)),
        },
    }
}

/// Refuses data that its record's digest could prove, were it not one that can't be computed.
fn unverifiable(image: &Image, policy: &Policy) -> Option<Step> {
    let (algorithm, _) = Expected::of(image).digest?;
    let offered = policy.hashers.offers(algorithm);
    (!offered).then(|| Step::Fail(CopyError::Unverifiable { algorithm }))
}

/// One field in which a replica differs from its image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The field or property.
    pub field: String,
    /// The source's value; null when it has none.
    pub source: Value,
    /// The target's value; null when it has none.
    pub target: Value,
}

/// Every difference between two records that replication would not leave: attributes, properties,
/// status and content, without the fields of `policy.without`.
pub fn differences(image: &Image, replica: &Image, policy: &Policy) -> Vec<Difference> {
    let source = reduced(&image.attributes, &policy.without).to_json();
    let target = reduced(&replica.attributes, &policy.without).to_json();
    let keys: std::collections::BTreeSet<&String> = source.keys().chain(target.keys()).collect();
    let value = |record: &serde_json::Map<String, Value>, key: &String| {
        record.get(key).cloned().unwrap_or_default()
    };
    let mut found: Vec<Difference> = keys
        .into_iter()
        .filter(|key| !policy.without.contains(*key) && source.get(*key) != target.get(*key))
        .map(|key| Difference {
            field: key.clone(),
            source: value(&source, key),
            target: value(&target, key),
        })
        .collect();
    if image.status != replica.status {
        found.push(Difference {
            field: "status".to_owned(),
            source: image.status.as_str().into(),
            target: replica.status.as_str().into(),
        });
    }
    found.extend(content_difference(image, replica));
    found
}

/// Whether the two hold different bytes, as far as their records tell: by size, then by the
/// digest that both have, `os_hash_value` where the algorithms are the same, else `checksum`.
pub(super) fn content_difference(image: &Image, replica: &Image) -> Option<Difference> {
    let differ = |field: &str, source: Value, target: Value| {
        (source != target).then(|| Difference { field: field.to_owned(), source, target })
    };
    if let Some(difference) = differ("size", image.size.into(), replica.size.into()) {
        return Some(difference);
    }
    let same_algorithm = image.os_hash_algo.is_some() && image.os_hash_algo == replica.os_hash_algo;
    match (&image.os_hash_value, &replica.os_hash_value) {
        (Some(source), Some(target)) if same_algorithm => {
            differ("os_hash_value", source.clone().into(), target.clone().into())
        }
        _ => match (&image.checksum, &replica.checksum) {
            (Some(source), Some(target)) => {
                differ("checksum", source.clone().into(), target.clone().into())
            }
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Algorithm, Hashers};
    use crate::image::Attributes;

    fn image(status: Status) -> Image {
        let id = "00000000-0000-4000-8000-000000000001".parse().unwrap();
        Image { status, ..Image::queued(id, Attributes::default()) }
    }

    #[test]
    fn data_that_only_md5_proves_is_not_copied_without_md5() {
        let hashers = Hashers::new(|algorithm| match algorithm {
            Algorithm::Md5 => None,
            other => Hashers::default().begin(other),
        });
        let policy = Policy { hashers, ..Policy::default() };
        let old = Image { checksum: Some("0".repeat(32)), ..image(Status::Active) };
        for replica in [None, Some(image(Status::Queued))] {
            let Step::Fail(error) = plan(&old, replica.as_ref(), &policy) else { panic!() };
            let said = "it cannot be verified in FIPS mode: its only digest is md5";
            assert_eq!((error.to_string().as_str(), error.is_integrity_failure()), (said, false));
            let offered = plan(&old, replica.as_ref(), &Policy::default());
            assert!(matches!(offered, Step::Copy | Step::Complete(_)), "{offered:?}");
        }
        // Nothing is computed where the data is in place.
        assert!(matches!(plan(&old, Some(&old), &policy), Step::Reconcile(_)));
        let (os_hash_algo, os_hash_value) = (Some("sha512".to_owned()), Some("0".repeat(128)));
        let current = Image { os_hash_algo, os_hash_value, ..old };
        assert!(matches!(plan(&current, None, &policy), Step::Copy));
    }
}
