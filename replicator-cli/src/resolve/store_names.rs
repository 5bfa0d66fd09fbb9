//! What the names of stores mean: the directory of a bare name, and two names of the same store.

use std::path::{Path, PathBuf};

use keystone_auth::{Cloud, Clouds};
use replicator_engine::provenance;

use crate::error::CliError;
use crate::output::quoted;
use crate::resolve::directories::DirectoryPlace;
use crate::resolve::endpoint::{Endpoint, Opened};
use crate::resolve::sign_in::{clouds, unknown};

/// The error for an argument that names no store.
pub(crate) fn no_store(word: &str) -> CliError {
    clouds().map_or_else(|error| error, |clouds| unknown(&clouds, word))
}

/// Whether an argument is a path and cannot be a name.
pub(super) fn is_path(word: &str) -> bool {
    ["/", "./", "../"].iter().any(|prefix| word.starts_with(prefix)) || [".", ".."].contains(&word)
}

/// The directory that an argument names whose position requires a directory, so that the directory
/// need not exist.
///
/// # Errors
/// When the argument is the name of a cloud: on other commands, it means the cloud.
pub(crate) fn directory(word: &str) -> Result<DirectoryPlace, CliError> {
    if let Some(place) = DirectoryPlace::by_scheme(word) {
        // A bare `-` means standard input or output.
        let is_dash = place.path == Path::new("-");
        return Ok(if is_dash { DirectoryPlace { path: "./-".into(), ..place } } else { place });
    }
    let is_cloud = |clouds: Clouds| clouds.names().any(|name| name == word);
    // A configuration that cannot be read is no error here, because a directory needs none.
    if word != "-" && !is_path(word) && clouds().is_ok_and(is_cloud) {
        let what = format!("{} is the name of a cloud, but a directory is needed", quoted(word));
        return Err(CliError::usage(what).hint(format!(
            "write the directory as ./{word}; `livecopy` copies from and to clouds"
        )));
    }
    Ok(DirectoryPlace::dump(word))
}

impl Endpoint {
    /// Whether both name the same store, as far as this is known before the stores are opened.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Cloud(one), Self::Cloud(other)) => {
                let place = |cloud: &Cloud| {
                    let image = &cloud.image;
                    (cloud.name.clone(), image.region.clone(), image.endpoint_override.clone())
                };
                place(one) == place(other)
            }
            (Self::Url(one), Self::Url(other)) => one == other,
            _ => match (self.path(), other.path()) {
                (Some(one), Some(other)) => resolved(one) == resolved(other),
                _ => false,
            },
        }
    }

    /// The path of a directory.
    fn path(&self) -> Option<&Path> {
        match self {
            Self::Directory(place) => Some(&place.path),
            _ => None,
        }
    }
}

impl Opened {
    /// Fails if the source and the target are the same Glance, under whatever names.
    pub(crate) fn refuse_same(&self, target: &Self) -> Result<(), CliError> {
        let is_same = self.glance.is_some()
            && target.glance.is_some()
            && provenance::Source::new(&self.address) == provenance::Source::new(&target.address);
        if is_same { Err(same_store(&target.address)) } else { Ok(()) }
    }
}

/// The error for a source and a target that are the same store.
pub(crate) fn same_store(called: &str) -> CliError {
    let what = format!("the source and the target are the same store, {called}");
    CliError::usage(what).hint("name another store as the target")
}

/// The path without links, as far as it exists.
fn resolved(path: &Path) -> Option<PathBuf> {
    path.canonicalize().or_else(|_| std::path::absolute(path)).ok()
}
