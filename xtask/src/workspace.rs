//! Where the workspace and its target directory are.

use std::env;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Failure};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    // Cargo sets this variable for `cargo xtask`; it stays right in a checkout that was moved.
    let package = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map_or_else(|| package.clone(), Path::to_path_buf)
}

/// Cargo's target directory, absolute.
pub(crate) fn target() -> Result<PathBuf, Failure> {
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    std::path::absolute(&target).context(|| format!("cannot resolve {}", target.display()))
}
