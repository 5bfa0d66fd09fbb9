//! The mark of a layout, and the directory of a new one.

use std::path::Path;

use glance_core::StoreError;
use glance_core::store::StoreErrorKind;
use safe_files::dir::Dir;
use safe_files::file_lock::is_unused;
use safe_files::{errors, json};
use serde_json::Value;

use crate::blobs::Blobs;
use crate::index::Index;
use crate::names::{BLOBS, INDEX, LAYOUT, Name, SHA256};

/// Opens the directory of a layout, or one that can become a new layout, and creates it if missing.
pub(crate) fn writable(path: &Path) -> Result<Dir, StoreError> {
    let failed = |error| errors::directory_failed(&Name(path), CREATE_LAYOUT, error);
    let dir = Dir::make(path).map_err(failed)?;
    if is_layout(&dir, CREATE_LAYOUT)? || is_unused(&dir).map_err(failed)? {
        return Ok(dir);
    }
    let reason = "the directory is not empty and holds no OCI image layout";
    Err(StoreError::new(StoreErrorKind::Invalid, &Name(path), CREATE_LAYOUT, reason)
        .hint("name an empty or a new directory"))
}

/// Whether the directory is marked as a layout of a version that this tool reads.
pub(crate) fn is_layout(dir: &Dir, operation: &'static str) -> Result<bool, StoreError> {
    let store = Name(dir.path());
    let text = dir.read(LAYOUT, LARGEST_MARK);
    let text = text.map_err(|error| errors::failed(&store, operation, dir, LAYOUT, error))?;
    let Some(text) = text else { return Ok(false) };
    let mark: Value = json::parse(&text).unwrap_or_default();
    match mark["imageLayoutVersion"].as_str() {
        Some(version) if version.starts_with("1.") => Ok(true),
        version => {
            let reason = match version {
                Some(version) => format!("{LAYOUT} has the version {version}"),
                None => format!("{LAYOUT} has no version"),
            };
            Err(StoreError::new(StoreErrorKind::Unreadable, &store, operation, reason)
                .hint("this release reads version 1"))
        }
    }
}

/// Creates what a new layout lacks. The mark comes first, so that a run that was killed here can be
/// repeated.
pub(crate) fn make(blobs: &Blobs) -> Result<(), StoreError> {
    let dir = &blobs.layout;
    let failed = |name: &str, error| blobs.failed(CREATE_LAYOUT, name, error);
    if dir.find(LAYOUT).map_err(|error| failed(LAYOUT, error))?.is_none() {
        let mark = format!("{{\"imageLayoutVersion\":\"{VERSION}\"}}");
        dir.replace(LAYOUT, mark.as_bytes()).map_err(|error| failed(LAYOUT, error))?;
    }
    let made = blobs.make_dir(CREATE_LAYOUT)?;
    if dir.find(INDEX).map_err(|error| failed(INDEX, error))?.is_some() {
        return Ok(());
    }
    if !is_unused(&made).map_err(|error| failed(&format!("{BLOBS}/{SHA256}"), error))? {
        let reason = format!("there are blobs, but no {INDEX}");
        return Err(blobs.damaged(CREATE_LAYOUT, reason));
    }
    dir.replace(INDEX, &Index::empty()).map_err(|error| failed(INDEX, error))
}

/// The maximum size of `oci-layout` in bytes.
const LARGEST_MARK: u64 = 1 << 20;

/// The version of the layout.
const VERSION: &str = "1.0.0";

pub(crate) const CREATE_LAYOUT: &str = "create the layout";
