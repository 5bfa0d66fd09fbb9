//! Empties a Glance. Its API would do for the images, but a deleted id stays taken.

use std::fs;
use std::path::Path;

use super::config::secret;
use super::glance::Glance;
use super::layout::Layout;
use super::packages::Programs;
use super::{postgres, process};
use crate::failure::{Context, Failure};
use crate::say::say;

const EMPTY: &str = "set lock_timeout = '20s'; \
    truncate images, image_properties, image_tags, image_members, image_locations, \
    task_info, tasks cascade";

/// Empties a Glance.
pub(crate) fn reset(layout: &Layout, glance: Glance) -> Result<(), Failure> {
    if process::running(layout, "postgres")?.is_none() {
        return Err(Failure::new("the cloud is not up"));
    }
    let programs = Programs::find()?;
    postgres::query(
        layout,
        &programs,
        &secret(layout)?,
        glance.database(),
        EMPTY,
    )?;
    for directory in glance.data(layout) {
        empty(&directory)?;
    }
    say(format_args!("cloud: {} is empty", glance.name()));
    Ok(())
}

fn empty(directory: &Path) -> Result<(), Failure> {
    let failed = || format!("cannot empty {}", directory.display());
    for entry in fs::read_dir(directory).context(failed)? {
        let path = entry.context(failed)?.path();
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.context(failed)?;
    }
    Ok(())
}
