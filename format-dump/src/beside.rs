//! What stands beside the images: projects and metadata definitions.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use glance_core::StoreError;
use glance_core::identity::Project;
use glance_core::store::StoreErrorKind;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Name, files};

/// Replaces the file of projects.
pub(crate) fn write_projects(dir: &Path, projects: &[Project]) -> Result<(), StoreError> {
    write(dir, &dir.join(PROJECTS), &projects)
}

/// The projects that are written down.
pub(crate) fn projects(dir: &Path) -> Result<Vec<Project>, StoreError> {
    Ok(read(dir, &dir.join(PROJECTS))?.unwrap_or_default())
}

/// Replaces the file of one namespace.
pub(crate) fn write_metadef(dir: &Path, namespace: &Value) -> Result<(), StoreError> {
    let name = metadef_file(namespace).ok_or_else(|| {
        let reason = "a namespace of metadata definitions has no name";
        StoreError::new(StoreErrorKind::Invalid, &Name(dir), WRITE, reason)
    })?;
    let directory = dir.join(METADEFS);
    files::make_directory(&directory)
        .map_err(|error| files::failed(&Name(dir), WRITE, &directory, error))?;
    write(dir, &dir.join(name), namespace)
}

/// The file of a namespace, by the name that it says.
pub(crate) fn metadef_file(namespace: &Value) -> Option<String> {
    let name = namespace["namespace"].as_str().filter(|name| !name.is_empty())?;
    Some(format!("{METADEFS}/{}.json", utf8_percent_encode(name, RESERVED)))
}

/// The namespaces that are written down.
pub(crate) fn metadefs(dir: &Path) -> Result<Vec<Value>, StoreError> {
    let files = metadef_files(dir)
        .map_err(|error| files::failed(&Name(dir), READ, &dir.join(METADEFS), error))?;
    // A file that is gone since is not there.
    files.into_iter().filter_map(|file| read(dir, &file).transpose()).collect()
}

/// The files of namespaces, in the order of their names.
pub(crate) fn metadef_files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(dir.join(METADEFS)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn write(dir: &Path, path: &Path, value: &impl serde::Serialize) -> Result<(), StoreError> {
    serde_json::to_vec_pretty(value)
        .map_err(std::io::Error::from)
        .and_then(|text| files::replace(path, &text))
        .map_err(|error| files::failed(&Name(dir), WRITE, path, error))
}

fn read<T: DeserializeOwned>(dir: &Path, path: &Path) -> Result<Option<T>, StoreError> {
    let text = match std::fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|error| files::failed(&Name(dir), READ, path, error))?,
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let reason = format!("{name} does not say what it should");
        StoreError::new(StoreErrorKind::Unreadable, &Name(dir), READ, reason).caused_by(error)
    })
}

/// The names of the file and of the directory.
pub(crate) const PROJECTS: &str = "projects.json";
pub(crate) const METADEFS: &str = "metadefs";

/// All but the unreserved characters of RFC 3986; a name of dots alone is a directory's.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~').remove(b'.');

const READ: &str = "read what stands beside the images";
pub(crate) const WRITE: &str = "write what stands beside the images";
