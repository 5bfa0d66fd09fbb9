//! The properties by which this tool knows its own replicas again.
//!
//! They belong to the replica: they are not copied further, and no comparison shows them.

use crate::image::{Attributes, Image, ImageId};

/// The source that a replica was made from, in the words of [`Policy::stamp`](super::Policy).
pub const SOURCE: &str = "glance_replicator.source";

/// The id at the source of a replica that got another one.
pub const SOURCE_ID: &str = "glance_replicator.source_id";

/// Says, of a replica that got another id, just that: the property to find all of them by.
pub const NEW_ID: &str = "glance_replicator.new_id";

/// Every property of a stamp.
pub const ALL: [&str; 3] = [SOURCE, SOURCE_ID, NEW_ID];

/// The value of [`NEW_ID`].
pub(super) const YES: &str = "true";

/// The source that a replica was made from.
pub(super) fn source(attributes: &Attributes) -> Option<&str> {
    attributes.properties.get(SOURCE).map(String::as_str)
}

/// The id that an image of the target has at the source.
pub(super) fn source_id(image: &Image) -> ImageId {
    let stamped = image.attributes.properties.get(SOURCE_ID);
    stamped.and_then(|id| id.parse().ok()).unwrap_or_else(|| image.id.clone())
}

/// Marks a replica as made from `source`.
pub(super) fn mark(attributes: &mut Attributes, source: &str) {
    attributes.properties.insert(SOURCE.to_owned(), source.to_owned());
}

/// Marks a replica as one of `id`, under another id.
pub(super) fn mark_new_id(attributes: &mut Attributes, id: &ImageId) {
    attributes.properties.insert(SOURCE_ID.to_owned(), id.to_string());
    attributes.properties.insert(NEW_ID.to_owned(), YES.to_owned());
}
