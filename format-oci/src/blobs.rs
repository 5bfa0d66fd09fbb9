//! The blobs of a layout, by their digest.

use std::io;

use glance_core::StoreError;
use glance_core::digest::{Algorithm, Hashers, hex};
use glance_core::store::StoreErrorKind;
use safe_files::dir::Dir;
use safe_files::{errors, json};

use crate::artifact::Layer;
use crate::descriptor::Descriptor;
use crate::names::{BLOBS, Name, SHA256};

/// The blobs of one layout.
#[derive(Debug, Clone)]
pub(crate) struct Blobs {
    /// The directory of the layout.
    pub(crate) layout: Dir,
    pub(crate) hashers: Hashers,
}

impl Blobs {
    /// Opens the directory of the blobs.
    pub(crate) fn dir(&self, operation: &'static str) -> Result<Dir, StoreError> {
        let opened = self.layout.subdirectory(BLOBS).and_then(|blobs| blobs.subdirectory(SHA256));
        opened.map_err(|error| self.failed(operation, &format!("{BLOBS}/{SHA256}"), error))
    }

    /// Creates the directory of the blobs if it is missing.
    pub(crate) fn make_dir(&self, operation: &'static str) -> Result<Dir, StoreError> {
        let made = self.layout.make_subdirectory(BLOBS);
        let made = made.and_then(|blobs| blobs.make_subdirectory(SHA256));
        made.map_err(|error| self.failed(operation, &format!("{BLOBS}/{SHA256}"), error))
    }

    /// Reads a manifest or a config blob, and verifies it.
    pub(crate) fn read(
        &self,
        operation: &'static str,
        what: &Descriptor,
    ) -> Result<Vec<u8>, StoreError> {
        let name = self.name(operation, what)?;
        let path = path(&name);
        let damaged = |reason: String| self.damaged(operation, reason);
        if what.size > LARGEST {
            let limit = LARGEST >> 20;
            let said = format!("{path} is said to have {} bytes", what.size);
            return Err(damaged(format!("{said}, more than the limit of {limit} MiB")));
        }
        let dir = self.dir(operation)?;
        let read = json::read(&dir, &name, LARGEST);
        let read =
            read.map_err(|error| errors::failed(&self.store(), operation, &dir, &path, error));
        let bytes = read?.ok_or_else(|| damaged(format!("there is no {path}")))?;
        if bytes.len() as u64 != what.size {
            let (length, size) = (bytes.len(), what.size);
            return Err(damaged(format!("{path} has {length} bytes, its descriptor says {size}")));
        }
        match self.sha256(operation, &bytes)? {
            digest if digest == name => Ok(bytes),
            digest => Err(damaged(format!("{path} has the sha256 {digest}"))),
        }
    }

    /// Writes a manifest or a config blob, unless it exists, and returns its digest in hexadecimal.
    pub(crate) fn write(&self, operation: &'static str, bytes: &[u8]) -> Result<Layer, StoreError> {
        if bytes.len() as u64 > LARGEST {
            let (length, limit) = (bytes.len(), LARGEST >> 20);
            let reason = format!(
                "the record needs {length} bytes, and registries accept {limit} MiB at most"
            );
            return Err(StoreError::new(StoreErrorKind::Invalid, &self.store(), operation, reason)
                .hint("use a dump directory, which has no such limit"));
        }
        let name = self.sha256(operation, bytes)?;
        let dir = self.dir(operation)?;
        let failed = |error| errors::failed(&self.store(), operation, &dir, &path(&name), error);
        let is_there = matches!(dir.read(&name, LARGEST), Ok(Some(found)) if found == bytes);
        if !is_there {
            dir.replace(&name, bytes).map_err(failed)?;
        }
        Ok(Layer { sha256: name, size: bytes.len() as u64 })
    }

    /// Removes a blob. The layout is valid without removal, so that a failure is only logged.
    pub(crate) fn remove(&self, operation: &'static str, name: &str) {
        let removed = self.dir(operation).map(|dir| dir.remove(name));
        match removed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("{} stays in {}: {error}", path(name), self.store()),
            Err(error) => tracing::warn!("{error}"),
        }
    }

    /// The file name of a blob: the value of its digest in hexadecimal.
    pub(crate) fn name(
        &self,
        operation: &'static str,
        what: &Descriptor,
    ) -> Result<String, StoreError> {
        what.sha256().map(str::to_owned).ok_or_else(|| {
            let (digest, form) = (&what.digest, "sha256: and 64 hexadecimal digits");
            self.damaged(operation, format!("the digest {digest:?} is not {form}"))
        })
    }

    fn sha256(&self, operation: &'static str, bytes: &[u8]) -> Result<String, StoreError> {
        let failed = |error| self.failed(operation, "", io::Error::other(error));
        let mut hasher = self.hashers.begin(Algorithm::Sha256).ok_or_else(|| {
            let reason = "the cryptographic library does not offer SHA-256";
            StoreError::new(StoreErrorKind::Invalid, &self.store(), operation, reason)
        })?;
        hasher.update(bytes).map_err(failed)?;
        Ok(hex(&hasher.finish().map_err(failed)?))
    }

    /// The error for a layout whose content is wrong.
    pub(crate) fn damaged(&self, operation: &'static str, reason: String) -> StoreError {
        StoreError::new(StoreErrorKind::Unreadable, &self.store(), operation, reason)
            .hint("copy the image to the layout again; the layout is damaged or was changed")
    }

    pub(crate) fn failed(
        &self,
        operation: &'static str,
        name: &str,
        error: io::Error,
    ) -> StoreError {
        errors::failed(&self.store(), operation, &self.layout, name, error)
    }

    /// The layout, as errors name it.
    pub(crate) fn store(&self) -> Name<'_> {
        Name(self.layout.path())
    }
}

/// The path of a blob in the layout.
pub(crate) fn path(name: &str) -> String {
    format!("{BLOBS}/{SHA256}/{name}")
}

/// The maximum size of a manifest or a config blob in bytes, the limit of other tools too.
const LARGEST: u64 = 4 << 20;
