//! Steps that run once.

use std::fs;
use std::path::Path;

use crate::failure::{Context, Failure};

/// Runs `step` unless the file `stamp` holds `version`, and then writes `version` to it.
pub(crate) fn once(
    stamp: &Path,
    version: &str,
    step: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    if fs::read_to_string(stamp).is_ok_and(|done| done == version) {
        return Ok(());
    }
    step()?;
    fs::write(stamp, version).context(|| format!("cannot write {}", stamp.display()))
}
