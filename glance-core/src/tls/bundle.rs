//! Reads CA bundles strictly: what can't be used is an error, never skipped.

use std::path::PathBuf;

/// One certificate of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// The file it stands in.
    pub file: PathBuf,
    /// The line its block begins on, from 1; 0 in a DER file.
    pub line: usize,
}

/// A bundle that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("stub")]
pub struct BundleError;
