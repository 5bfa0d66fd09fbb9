//! Ids that are computed from names.

use sha1::{Digest, Sha1};
use uuid::{Builder, Uuid};

use super::ImageId;

impl ImageId {
    /// The id that belongs to `name`: a UUID of version 5 in the namespace of URLs (RFC 9562,
    /// section 5.5). The same name gives the same id in every run, so a store whose images have no
    /// ids of their own, such as a folder of files, needs no list of ids. `name` should be unique
    /// among all stores, such as a URL.
    ///
    /// ```
    /// use glance_core::ImageId;
    ///
    /// let id = ImageId::derived_from("https://images.example/debian-12.qcow2");
    /// assert_eq!(id.as_str(), "14037341-f750-5229-ab38-955b765c3289");
    /// ```
    pub fn derived_from(name: &str) -> Self {
        let digest = Sha1::new().chain_update(URLS.as_bytes()).chain_update(name).finalize();
        let mut first = [0; 16];
        first.copy_from_slice(&digest[..16]);
        Self(Builder::from_sha1_bytes(first).into_uuid().to_string())
    }
}

/// The namespace of URLs (RFC 9562, section 6.6).
const URLS: Uuid = Uuid::from_u128(0x6ba7_b811_9dad_11d1_80b4_00c0_4fd4_30c8);
