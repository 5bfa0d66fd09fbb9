//! The properties by which this tool knows its own replicas again.
//!
//! They belong to the replica: they are not copied further, and no comparison shows them. Every user
//! who sees the replica sees them, so the source is named by a digest of its address.

use sha2::{Digest, Sha256};
use url::Url;

use glance_core::digest::hex;
use glance_core::image::provenance::{NEW_ID, SOURCE, SOURCE_ID};
use glance_core::image::{Attributes, Image, ImageId};

/// The value of [`NEW_ID`].
pub(crate) const YES: &str = "true";

/// A source, as replicas are marked with it: `sha256:` and the SHA-256 of its address in lower-case
/// hexadecimal. The address of a Glance is its URL without a slash at the end, with scheme and host
/// in lower case and without a default port; that of a directory is `dir:` and its absolute path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    address: String,
    value: String,
}

impl Source {
    /// The store at this address.
    pub fn new(address: &str) -> Self {
        let address = normal(address);
        let value = format!("sha256:{}", hex(&Sha256::digest(&address)));
        Self { address, value }
    }

    /// The value of [`SOURCE`].
    pub fn as_str(&self) -> &str {
        &self.value
    }

    /// Whether a replica with this value of [`SOURCE`] was made from it. Earlier releases wrote the
    /// address itself.
    pub(crate) fn is(&self, stamped: &str) -> bool {
        stamped == self.value || normal(stamped) == self.address
    }

    /// Every value that replicas made from it most likely have.
    pub(crate) fn values(&self) -> [&str; 2] {
        [&self.value, &self.address]
    }
}

impl From<&str> for Source {
    fn from(address: &str) -> Self {
        Self::new(address)
    }
}

/// The one way to write an address.
fn normal(address: &str) -> String {
    match Url::parse(address) {
        Ok(url) if matches!(url.scheme(), "https" | "http") => {
            url.as_str().trim_end_matches('/').to_owned()
        }
        _ => address.to_owned(),
    }
}

/// The source that a replica was made from.
pub(crate) fn source(attributes: &Attributes) -> Option<&str> {
    attributes.properties.get(SOURCE).map(String::as_str)
}

/// The id that an image of the target has at the source.
pub(crate) fn source_id(image: &Image) -> ImageId {
    let stamped = image.attributes.properties.get(SOURCE_ID);
    stamped.and_then(|id| id.parse().ok()).unwrap_or_else(|| image.id.clone())
}

/// Whether a replica says that it got another id.
pub(crate) fn has_new_id(replica: &Image) -> bool {
    replica.attributes.properties.get(NEW_ID).is_some_and(|value| value == YES)
}

/// Marks a replica as made from `source`.
pub(crate) fn mark(attributes: &mut Attributes, source: &Source) {
    attributes.properties.insert(SOURCE.to_owned(), source.value.clone());
}

/// Marks a replica as one of `id`, under another id.
pub(crate) fn mark_new_id(attributes: &mut Attributes, id: &ImageId) {
    attributes.properties.insert(SOURCE_ID.to_owned(), id.to_string());
    attributes.properties.insert(NEW_ID.to_owned(), YES.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_does_not_show_the_address_and_is_the_same_for_every_way_to_write_it() {
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
