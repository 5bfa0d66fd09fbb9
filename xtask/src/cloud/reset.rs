//! Empties a Glance through its database, because the API keeps the ids of deleted images.

use std::fs;
use std::path::Path;

use super::config::secret;
use super::layout::Layout;
use super::packages;
use crate::cloud::services::glance::Glance;
use crate::cloud::services::postgres;
use crate::failure::{Context, Failure};
use crate::output::say;

/// Removes all images, tasks and metadata definitions of a Glance: records, ids and data.
pub(crate) fn reset(layout: &Layout, glance: Glance) -> Result<(), Failure> {
    let programs = packages::installed()?;
    let statement = "truncate images, tasks, metadef_namespaces cascade";
    postgres::query(layout, &programs, &secret(layout)?, glance.database(), statement)?;
    let data = layout.path(glance.name());
    for store in glance.stores().iter().chain(&["staging", "tasks"]) {
        empty(&data.join(store))?;
    }
    say(format_args!("cloud: {} is empty", glance.name()));
    Ok(())
}

fn empty(directory: &Path) -> Result<(), Failure> {
    let what = || format!("cannot empty {}", directory.display());
    for entry in fs::read_dir(directory).context(what)? {
        let path = entry.context(what)?.path();
        let removed =
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.context(what)?;
    }
    Ok(())
}
