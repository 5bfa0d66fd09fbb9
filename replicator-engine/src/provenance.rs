//! The properties that mark the replicas made by this tool.
//!
//! The properties belong to the replica: they are not copied further, and comparisons ignore them.
//! Every user who can see the replica can see them, so the source is named by a digest of its
//! address.

use sha2::{Digest, Sha256};
use url::Url;

use glance_core::digest::hex;
use glance_core::image::provenance::{NEW_ID, SOURCE, SOURCE_ID, SOURCE_VIEW};
use glance_core::image::{Attributes, Image, ImageId};

/// The value of [`NEW_ID`].
pub(crate) const YES: &str = "true";

/// A source as stored in the properties of its replicas: `sha256:` followed by the SHA-256 of its
/// address in lower-case hexadecimal. The address of a Glance is its URL without a trailing slash,
/// with scheme and host in lower case and without a default port. The address of a directory is
/// `dir:` followed by its absolute path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    address: String,
    value: String,
    /// The value of [`SOURCE_VIEW`].
    view: Option<String>,
}

impl Source {
    /// The store at this address.
    pub fn new(address: &str) -> Self {
        let address = normal(address);
        let value = hidden(&address);
        Self { address, value, view: None }
    }

    /// The same store, of which the runs see only what the users of this project see.
    #[must_use]
    pub fn seen_by(self, project: &str) -> Self {
        Self { view: Some(hidden(project)), ..self }
    }

    /// Whether this run sees every image that the run that made the replica saw. Otherwise an image
    /// that the source does not list may still exist.
    pub(crate) fn shows_as_much(&self, replica: &Attributes) -> bool {
        self.view.is_none() || replica.properties.get(SOURCE_VIEW) == self.view.as_ref()
    }

    /// The value of [`SOURCE`].
    pub fn as_str(&self) -> &str {
        &self.value
    }

    /// Whether `stamped`, a replica's value of [`SOURCE`], names this source. Earlier releases
    /// wrote the address itself.
    pub(crate) fn is(&self, stamped: &str) -> bool {
        stamped == self.value || normal(stamped) == self.address
    }

    /// The property values to look for when listing the replicas of this source. Replicas made by
    /// an earlier release from another spelling of the address are not covered.
    pub(crate) fn values(&self) -> [&str; 2] {
        [&self.value, &self.address]
    }
}

impl From<&str> for Source {
    fn from(address: &str) -> Self {
        Self::new(address)
    }
}

/// The digest of a text that the users of the target must not see.
fn hidden(text: &str) -> String {
    format!("sha256:{}", hex(&Sha256::digest(text)))
}

/// The normalized form of an address.
fn normal(address: &str) -> String {
    match Url::parse(address) {
        Ok(url) if matches!(url.scheme(), "https" | "http") => {
            url.as_str().trim_end_matches('/').to_owned()
        }
        _ => address.to_owned(),
    }
}

/// The source that a replica was made from, as its properties say.
pub(crate) fn source(attributes: &Attributes) -> Option<&str> {
    attributes.properties.get(SOURCE).map(String::as_str)
}

/// The id at the source of a replica.
pub fn source_id(image: &Image) -> ImageId {
    let stamped = image.attributes.properties.get(SOURCE_ID);
    stamped.and_then(|id| id.parse().ok()).unwrap_or_else(|| image.id.clone())
}

/// Whether a replica is marked as having a new id.
pub(crate) fn has_new_id(replica: &Image) -> bool {
    replica.attributes.properties.get(NEW_ID).is_some_and(|value| value == YES)
}

/// Marks a replica as made from `source`.
pub(crate) fn mark(attributes: &mut Attributes, source: &Source) {
    attributes.properties.insert(SOURCE.to_owned(), source.value.clone());
    if let Some(view) = &source.view {
        attributes.properties.insert(SOURCE_VIEW.to_owned(), view.clone());
    }
}

/// Marks a replica as one of the source image `id`, under another id.
pub(crate) fn mark_new_id(attributes: &mut Attributes, id: &ImageId) {
    attributes.properties.insert(SOURCE_ID.to_owned(), id.to_string());
    attributes.properties.insert(NEW_ID.to_owned(), YES.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_mark_hides_the_address_and_ignores_its_spelling() {
        let one = Source::new("https://glance.example:9292");
        assert_eq!(one.as_str().len(), "sha256:".len() + 64);
        assert!(!one.as_str().contains("glance.example"));
        for same in ["https://glance.example:9292/", "HTTPS://Glance.Example:9292"] {
            assert_eq!(Source::new(same), one);
            assert!(one.is(same) && one.is(Source::new(same).as_str()));
        }
        assert_eq!(Source::new("https://g:443/image"), Source::new("https://g/image/"));
        for other in
            ["https://glance.example", "http://glance.example:9292", "dir:/a", "", "sha256:"]
        {
            assert!(!one.is(other) && !one.is(Source::new(other).as_str()), "{other}");
        }
        let directory = Source::new("dir:/srv/Images");
        assert!(directory.is("dir:/srv/Images") && !directory.is("dir:/srv/images"));
    }
}
