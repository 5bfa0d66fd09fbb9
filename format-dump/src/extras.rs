//! The files other than images: projects and metadata definitions.

use std::io;

use glance_core::StoreError;
use glance_core::project::Project;
use glance_core::store::StoreErrorKind;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use safe_files::dir::Dir;
use safe_files::errors;
use safe_files::json::{self, Values};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::files::Name;
use crate::limits::LONGEST;
use crate::manifest::unfinish;

/// Writes the file of projects, unless its content is the same.
pub(crate) fn write_projects(dir: &Dir, projects: &[Project]) -> Result<(), StoreError> {
    write(dir, dir, PROJECTS, &projects)
}

/// Reads the stored projects.
pub(crate) fn projects(dir: &Dir) -> Result<Vec<Project>, StoreError> {
    Ok(read(dir, dir, PROJECTS, &mut Values::new())?.unwrap_or_default())
}

/// Writes the file of one namespace, unless its content is the same.
pub(crate) fn write_metadef(dir: &Dir, namespace: &Value) -> Result<(), StoreError> {
    let name = metadef_file(namespace).ok_or_else(|| {
        let reason = "a namespace of metadata definitions has no name";
        StoreError::new(StoreErrorKind::Invalid, &Name::of(dir), WRITE, reason)
    })?;
    let failed = |error| errors::failed(&Name::of(dir), WRITE, dir, METADEFS, error);
    let metadefs = match dir.subdirectory(METADEFS) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            unfinish(dir, WRITE)?;
            dir.make_subdirectory(METADEFS)
        }
        found => found,
    };
    write(dir, &metadefs.map_err(failed)?, &name, namespace)
}

/// The path of a namespace's file in a dump, from the namespace's name.
pub(crate) fn metadef_path(namespace: &Value) -> Option<String> {
    Some(format!("{METADEFS}/{}", metadef_file(namespace)?))
}

fn metadef_file(namespace: &Value) -> Option<String> {
    let name = namespace["namespace"].as_str().filter(|name| !name.is_empty())?;
    Some(format!("{}.json", utf8_percent_encode(name, RESERVED)))
}

/// Reads the stored namespaces.
pub(crate) fn metadefs(dir: &Dir) -> Result<Vec<Value>, StoreError> {
    let failed = |error| errors::failed(&Name::of(dir), READ, dir, METADEFS, error);
    let Some(metadefs) = metadef_files(dir).map_err(failed)? else { return Ok(Vec::new()) };
    let mut values = Values::new();
    let read = |name: &String| metadef(dir, &metadefs, name, &mut values).transpose();
    // A file that has been deleted since counts as absent.
    metadefs.names.iter().filter_map(read).collect()
}

/// Reads the namespace in one of [`metadef_files`].
pub(crate) fn metadef(
    dir: &Dir,
    metadefs: &MetadefFiles,
    name: &str,
    values: &mut Values,
) -> Result<Option<Value>, StoreError> {
    read(dir, &metadefs.dir, name, values)
}

/// The files of namespaces.
pub(crate) struct MetadefFiles {
    pub(crate) dir: Dir,
    /// The file names, sorted.
    pub(crate) names: Vec<String>,
}

/// Lists the files of namespaces, if their directory exists.
///
/// # Errors
/// Also if the files are too many, or too long, to be held in memory.
pub(crate) fn metadef_files(dir: &Dir) -> io::Result<Option<MetadefFiles>> {
    let dir = match dir.subdirectory(METADEFS) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    let (mut names, mut length) = (Vec::new(), 0_u64);
    for name in dir.names()? {
        let name = name?;
        let Some(name) = name.to_str().filter(|name| name.ends_with(JSON)) else { continue };
        // An unreadable file, or one above the size limit, is reported when it is read.
        let found = dir.find(name).ok().flatten().filter(|found| found.length <= LONGEST);
        length = length.saturating_add(found.map_or(0, |found| found.length));
        if length > LONGEST {
            let reason = format!("its files have more than {} MiB in all", LONGEST >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        if names.len() == MOST_METADEFS {
            let reason = format!("the dump holds more than {MOST_METADEFS} namespaces");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        names.push(name.to_owned());
    }
    names.sort();
    Ok(Some(MetadefFiles { dir, names }))
}

fn write(
    dump: &Dir,
    dir: &Dir,
    name: &str,
    value: &impl serde::Serialize,
) -> Result<(), StoreError> {
    let failed = |error| errors::failed(&Name::of(dump), WRITE, dir, name, error);
    let text = serde_json::to_vec_pretty(value).map_err(|error| failed(error.into()))?;
    if dir.read(name, LONGEST).map_err(failed)?.is_some_and(|before| before == text) {
        return Ok(());
    }
    unfinish(dump, WRITE)?;
    dir.replace(name, &text).map_err(failed)
}

fn read<T: DeserializeOwned>(
    dump: &Dir,
    dir: &Dir,
    name: &str,
    values: &mut Values,
) -> Result<Option<T>, StoreError> {
    let text = json::read(dir, name, LONGEST)
        .map_err(|error| errors::failed(&Name::of(dump), READ, dir, name, error))?;
    let parsed = text.map(|text| values.parse(&text)).transpose();
    parsed.map_err(|error| {
        let reason = format!("{name} has unexpected content");
        StoreError::new(StoreErrorKind::Unreadable, &Name::of(dump), READ, reason).caused_by(error)
    })
}

/// The file suffix, the file of projects and the directory of namespaces.
const JSON: &str = ".json";
pub(crate) const PROJECTS: &str = "projects.json";
pub(crate) const METADEFS: &str = "metadefs";

/// All but the unreserved characters of RFC 3986. Dots need no escape: with its suffix `.json`, no
/// file name consists of dots alone.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~').remove(b'.');

/// The maximum number of namespace files. Glance ships a few dozen.
const MOST_METADEFS: usize = 10_000;

const READ: &str = "read the projects and metadata definitions";
pub(crate) const WRITE: &str = "write the projects and metadata definitions";
