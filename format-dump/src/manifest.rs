//! `manifest.json`: marks a directory as a dump and names the version of its format.

use std::fmt;
use std::io;

use glance_core::StoreError;
use glance_core::clock;
use glance_core::store::StoreErrorKind;
use safe_files::dir::Dir;
use safe_files::errors;
use serde::{Deserialize, Serialize};

use crate::files::{self, Name};
use crate::limits::LONGEST;

/// The manifest of a dump. Information about single images is in their records.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Manifest {
    format: String,
    version: u32,
    #[serde(default)]
    tool: String,
    #[serde(default)]
    created_at: Option<String>,
    /// Whether the run that wrote the dump finished.
    #[serde(default)]
    pub(crate) complete: bool,
    /// The SHA-512 of `SHA512SUMS`; absent from dumps of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sha512sums: Option<String>,
}

impl Manifest {
    /// Creates the manifest of a new, incomplete dump.
    pub(crate) fn new() -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            tool: concat!("glance-replicator ", env!("CARGO_PKG_VERSION")).to_owned(),
            created_at: Some(clock::now()),
            complete: false,
            sha512sums: None,
        }
    }

    /// Marks the dump as being written.
    pub(crate) fn incomplete(self) -> Self {
        Self { complete: false, sha512sums: None, ..self }
    }

    /// Whether the manifest says that the dump is complete and its digests are written.
    pub(crate) fn is_finished(&self) -> bool {
        self.complete && self.sha512sums.is_some()
    }

    /// Sets the outcome of a run: whether the dump is `complete` or lacks an image, and the SHA-512
    /// of `SHA512SUMS`.
    pub(crate) fn ended(self, complete: bool, sha512sums: String) -> Self {
        Self { complete, sha512sums: Some(sha512sums), ..self }
    }

    /// Reads the manifest in `dir`, if there is one.
    pub(crate) fn read(dir: &Dir, operation: &'static str) -> Result<Option<Self>, StoreError> {
        let text = dir.read(FILE, LONGEST);
        let text =
            text.map_err(|error| errors::failed(&Name::of(dir), operation, dir, FILE, error));
        text?.map(|text| Self::parse(&text, &Name::of(dir), operation)).transpose()
    }

    /// Parses the text of a manifest; `store` names the dump in errors.
    pub(crate) fn parse(
        text: &[u8],
        store: &dyn fmt::Display,
        operation: &'static str,
    ) -> Result<Self, StoreError> {
        let unreadable =
            |reason: String| StoreError::new(StoreErrorKind::Unreadable, store, operation, reason);
        let manifest: Self = serde_json::from_slice(text).map_err(|error| {
            unreadable(format!("{FILE} is not the manifest of a dump")).caused_by(error)
        })?;
        if (manifest.format.as_str(), manifest.version) != (FORMAT, VERSION) {
            let Self { format, version, .. } = manifest;
            return Err(unreadable(format!("the dump's format is {format} {version}"))
                .hint(format!("this release reads {FORMAT} {VERSION}")));
        }
        Ok(manifest)
    }

    /// The text of the manifest file.
    pub(crate) fn to_text(&self) -> io::Result<Vec<u8>> {
        Ok(serde_json::to_vec_pretty(self)?)
    }

    /// Writes the manifest in `dir`, replacing an earlier one.
    pub(crate) fn write(&self, dir: &Dir, operation: &'static str) -> Result<(), StoreError> {
        self.to_text()
            .and_then(|text| dir.replace(FILE, &text))
            .map_err(|error| errors::failed(&Name::of(dir), operation, dir, FILE, error))
    }
}

/// Marks the dump in `dir` as incomplete, unless it is marked already.
pub(crate) fn unfinish(dir: &Dir, operation: &'static str) -> Result<(), StoreError> {
    match Manifest::read(dir, operation)? {
        Some(found) if !found.complete && found.sha512sums.is_none() => Ok(()),
        found => {
            found.unwrap_or_else(Manifest::new).incomplete().write(dir, operation)?;
            let failed = |error| errors::failed(&Name::of(dir), operation, dir, files::SUMS, error);
            dir.remove(files::SUMS).map_err(failed)
        }
    }
}

/// The name of the manifest file.
pub(crate) const FILE: &str = "manifest.json";
const FORMAT: &str = "glance-dump";
const VERSION: u32 = 2;
