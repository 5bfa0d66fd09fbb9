//! Compares the data of an image and its replica by their records.

use serde_json::{Value, json};

use glance_core::image::{Image, RecordedDigest};

/// One field in which a replica differs from its image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The field or property.
    pub field: String,
    /// The value that the target should have, from the source's record; null for none.
    pub source: Value,
    /// The target's value; null for none.
    pub target: Value,
}

impl Difference {
    /// A JSON object with `field` and the values of both sides.
    pub fn to_json(&self) -> Value {
        json!({ "field": self.field, "source": self.source, "target": self.target })
    }
}

/// The first difference between the contents, according to the records: first the size, then a
/// digest that both records have (`os_hash_value` if the algorithms are the same, else `checksum`).
/// A field missing in one record is not a difference.
pub(crate) fn content_difference(image: &Image, replica: &Image) -> Option<Difference> {
    let differ = |field: &str, source: Value, target: Value| {
        (source != target).then(|| Difference { field: field.to_owned(), source, target })
    };
    let sizes = image.size.zip(replica.size);
    if let Some(difference) =
        sizes.and_then(|(one, other)| differ("size", one.into(), other.into()))
    {
        return Some(difference);
    }
    let (source, target) = common_digest(image, replica)?;
    differ(source.field, source.value.into(), target.value.into())
}

/// Whether the records prove that both images hold the same bytes, given that no content difference
/// was found.
pub(crate) fn is_provable(image: &Image, replica: &Image) -> bool {
    !image.status.has_data() || common_digest(image, replica).is_some()
}

/// The digest that both records have: of the image, and of the replica.
pub(crate) fn common_digest<'a>(
    image: &'a Image,
    replica: &'a Image,
) -> Option<(RecordedDigest<'a>, RecordedDigest<'a>)> {
    image.recorded_digests().find_map(|digest| {
        let is_same = |other: &RecordedDigest<'_>| {
            (other.field, other.algorithm) == (digest.field, digest.algorithm)
        };
        Some((digest, replica.recorded_digests().find(is_same)?))
    })
}
