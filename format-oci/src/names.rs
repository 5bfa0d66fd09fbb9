//! Names in a layout: files, tags, media types and annotations.

use std::fmt::{self, Display};
use std::path::Path;

use glance_core::image::ImageId;

/// Names a layout's directory in messages.
pub(crate) struct Name<'a>(pub(crate) &'a Path);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oci:{}", self.0.display())
    }
}

/// The form of an image's name that registries accept as a tag: other characters become a hyphen.
/// `None` if nothing is left of the name, or if the tag could be the id of another image.
pub(crate) fn tag(name: &str) -> Option<String> {
    let tag = plain(name);
    (!tag.is_empty() && tag.parse::<ImageId>().is_err()).then_some(tag)
}

/// The file name of an image's data, for tools that download layers as files.
pub(crate) fn file_name(name: Option<&str>, id: &ImageId, disk_format: Option<&str>) -> String {
    let name = name.map(plain).filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| id.to_string());
    match disk_format.map(plain).filter(|format| !format.is_empty()) {
        Some(format) => format!("{name}.{format}"),
        None => name,
    }
}

/// The text with only the characters of a tag (`[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}` in the OCI
/// distribution specification). A run of other characters becomes one hyphen.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for character in text.chars() {
        match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '.' | '-' => plain.push(character),
            _ if plain.ends_with('-') => {}
            _ => plain.push('-'),
        }
    }
    let first = plain.trim_start_matches(['.', '-']);
    let short: String = first.chars().take(LONGEST_TAG).collect();
    short.trim_end_matches('-').to_owned()
}

/// The maximum number of characters of a tag.
const LONGEST_TAG: usize = 128;

/// Marks a directory as an image layout.
pub(crate) const LAYOUT: &str = "oci-layout";
/// Lists the manifests.
pub(crate) const INDEX: &str = "index.json";
/// The directory of the directories of blobs.
pub(crate) const BLOBS: &str = "blobs";
/// The directory of blobs in [`BLOBS`].
pub(crate) const SHA256: &str = "sha256";
/// The directory of data that has not arrived completely.
pub(crate) const UPLOADS: &str = ".glance-replicator.uploads";

/// The type of the artifact that is an image.
pub(crate) const ARTIFACT_TYPE: &str = "application/vnd.glance-replicator.image.v1";
/// The media type of the config blob.
pub(crate) const CONFIG_TYPE: &str = "application/vnd.glance-replicator.image.config.v1+json";
/// The media type of the data.
pub(crate) const DATA_TYPE: &str = "application/vnd.glance-replicator.image.data.v1";
/// How the media types of config blobs begin, in all versions.
pub(crate) const CONFIG_TYPES: &str = "application/vnd.glance-replicator.image.config.";

/// The annotations of a manifest.
pub(crate) const ID: &str = "vnd.glance-replicator.image.id";
pub(crate) const SIZE: &str = "vnd.glance-replicator.image.size";
pub(crate) const DISK_FORMAT: &str = "vnd.glance-replicator.image.disk_format";
pub(crate) const CONTAINER_FORMAT: &str = "vnd.glance-replicator.image.container_format";
/// The annotation of `index.json` as long as the run that writes the layout has not finished.
pub(crate) const UNFINISHED: &str = "vnd.glance-replicator.layout.unfinished";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_only_characters_that_registries_accept() {
        for (name, wanted) in [
            ("debian-12", Some("debian-12")),
            ("Debian 12 (amd64)", Some("Debian-12-amd64")),
            ("../../etc/passwd", Some("etc-passwd")),
            ("_a", Some("_a")),
            ("é", None),
            ("", None),
            ("...", None),
            ("6d55dd55-053a-4765-b7bc-b30df0ea3861", None),
        ] {
            assert_eq!(tag(name).as_deref(), wanted, "{name}");
        }
        assert_eq!(tag(&"x".repeat(300)).unwrap().len(), 128);
    }

    #[test]
    fn a_file_name_is_never_a_path() {
        let id: ImageId = "6d55dd55-053a-4765-b7bc-b30df0ea3861".parse().unwrap();
        assert_eq!(file_name(Some("a/b"), &id, Some("qcow2")), "a-b.qcow2");
        assert_eq!(file_name(Some("/"), &id, Some("../raw")), format!("{id}.raw"));
        assert_eq!(file_name(None, &id, None), id.as_str());
    }
}
