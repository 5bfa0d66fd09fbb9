//! Descriptors and manifests of the OCI image specification (version 1.1, `descriptor.md` and
//! `manifest.md`), with the fields that images have.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Annotations, by key. The order makes equal manifests equal bytes.
pub(crate) type Annotations = BTreeMap<String, String>;

/// Describes a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    /// The digest, such as `sha256:44136f…`.
    pub(crate) digest: String,
    /// The number of bytes.
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: Annotations,
}

impl Descriptor {
    /// Describes the blob with this SHA-256 in hexadecimal.
    pub(crate) fn new(media_type: &str, sha256: &str, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: format!("{SHA256}{sha256}"),
            size,
            artifact_type: None,
            annotations: Annotations::new(),
        }
    }

    /// The SHA-256 in hexadecimal, which is the name of the blob's file; `None` if the digest has
    /// another algorithm or form.
    pub(crate) fn sha256(&self) -> Option<&str> {
        let hex = self.digest.strip_prefix(SHA256)?;
        let is_hex = hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (hex.len() == 64 && is_hex).then_some(hex)
    }
}

/// The manifest of an image or of another artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: Annotations,
}

const SHA256: &str = "sha256:";

/// The media type of a manifest.
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of an index.
pub(crate) const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// Docker's media type of an index.
pub(crate) const DOCKER_INDEX_TYPE: &str =
    "application/vnd.docker.distribution.manifest.list.v2+json";
/// The media type of an empty JSON object, which stands for a missing layer.
pub(crate) const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";

/// The annotation of an entry of `index.json` that is its tag.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation with the name of an image, and with the file name of a layer.
pub(crate) const TITLE: &str = "org.opencontainers.image.title";
/// The annotation with the time of creation.
pub(crate) const CREATED: &str = "org.opencontainers.image.created";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sha256_names_a_file() {
        let hex = "0".repeat(64);
        assert_eq!(Descriptor::new("x", &hex, 0).sha256(), Some(&*hex));
        let others = ["sha512:", "", "sha256:", "sha256:.."].map(str::to_owned);
        let paths = ["../".repeat(21) + "0", "A".repeat(64)].map(|hex| format!("sha256:{hex}"));
        for digest in others.into_iter().chain(paths) {
            let descriptor = Descriptor { digest, ..Descriptor::new("x", &hex, 0) };
            assert_eq!(descriptor.sha256(), None, "{descriptor:?}");
        }
    }
}
