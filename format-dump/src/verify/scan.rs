//! What stands in the directory beside the images.

use std::io;
use std::path::Path;

use glance_core::StoreError;
use glance_core::digest::Hashers;
use glance_core::image::ImageId;
use glance_core::store::StoreErrorKind;

use super::listed::Strays;
use super::{FileState, Finding, VERIFY};
use crate::blob::{LINK, PARTIAL};
use crate::directory::{FAILED, RECORD};
use crate::record::{Encoding, read_record};
use crate::{Dump, DumpStore, Name, beside, files, manifest, sums};

impl DumpStore {
    /// Every file that is not one of the images `ids`, given the `lines` of the list that are
    /// not theirs, if there is a list.
    pub(super) async fn scan(
        &self,
        ids: Vec<ImageId>,
        lines: Option<Strays>,
    ) -> Result<Vec<Finding>, StoreError> {
        let dir = self.path().to_owned();
        let current = match &self.0 {
            Dump::Current(directory) => Some(directory.hashers()),
            Dump::Old(_) => None,
        };
        let scanned = files::blocking(move || {
            let mut findings = Vec::new();
            if let Some(hashers) = current {
                findings.extend(beside_images(&dir, lines.as_deref(), hashers)?);
                findings.extend(no_metadefs(&dir)?);
            }
            for entry in std::fs::read_dir(&dir)? {
                let name = entry?.file_name().to_string_lossy().into_owned();
                let state = match &current {
                    Some(_) if name == files::LOCK => None,
                    Some(_) => of_current(&dir, &name, &ids),
                    None => of_old(&name, &ids),
                };
                findings.extend(state.map(|state| Finding::File { name, state }));
            }
            Ok(findings)
        });
        scanned.await.map_err(|error| files::failed(self, VERIFY, self.path(), error))
    }
}

/// What is to be said of a file in a dump of the current format.
fn of_current(dir: &Path, name: &str, ids: &[ImageId]) -> Option<FileState> {
    let heads = [manifest::FILE, sums::FILE, beside::PROJECTS, beside::METADEFS];
    if heads.contains(&name) {
        let unnamed = name == sums::FILE
            && !matches!(manifest::Manifest::read(dir, VERIFY), Ok(Some(it)) if it.sha512sums.is_some());
        return unnamed.then_some(FileState::Leftover);
    }
    if [PARTIAL, LINK, files::NEW].iter().any(|suffix| name.ends_with(suffix)) {
        let ours = heads.iter().any(|head| name.starts_with(head)) || id_of(name).is_some();
        return Some(if ours { FileState::Leftover } else { FileState::Foreign });
    }
    let Some((id, suffix)) = id_of(name) else { return Some(FileState::Foreign) };
    let known = ids.binary_search(&id).is_ok();
    if suffix == RECORD {
        return None;
    }
    if suffix == FAILED {
        // Of an image that is there, it was said.
        let reason = "the stream that the dump came by says that the image is not in it";
        let error = StoreError::new(StoreErrorKind::Unreadable, &Name(dir), VERIFY, reason);
        return (!known).then_some(FileState::Damaged(error.on(&id)));
    }
    if !Encoding::ALL.iter().any(|encoding| encoding.suffix() == suffix) {
        return Some(FileState::Foreign);
    }
    let other = Encoding::ALL.iter().filter(|encoding| encoding.suffix() != suffix);
    let alone = { other }.all(|encoding| !dir.join(format!("{id}{}", encoding.suffix())).exists());
    let belongs = || match read_record(dir, VERIFY, &id) {
        Ok(record) => record.encoding().suffix() == suffix,
        Err(_) => true,
    };
    (!known || !(alone || belongs())).then_some(FileState::Leftover)
}

/// What is to be said of a file in a dump of the old tool.
fn of_old(name: &str, ids: &[ImageId]) -> Option<FileState> {
    match id_of(name) {
        Some((_, "")) => None,
        Some((id, ".img")) => ids.binary_search(&id).is_err().then_some(FileState::Leftover),
        _ => Some(FileState::Foreign),
    }
}

/// The id that a name begins with, and what follows.
fn id_of(name: &str) -> Option<(ImageId, &str)> {
    let (id, suffix) = name.split_at_checked(36)?;
    Some((id.parse().ok()?, suffix))
}

/// Projects and metadata definitions, against what they should be and the list of digests.
fn beside_images(
    dir: &Path,
    lines: Option<&[(String, String)]>,
    hashers: Hashers,
) -> io::Result<Vec<Finding>> {
    let mut files = Vec::new();
    for path in beside::metadef_files(dir)? {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        files.push((format!("{}/{file}", beside::METADEFS), beside::metadef(dir, &path).err()));
    }
    if dir.join(beside::PROJECTS).exists() {
        files.push((beside::PROJECTS.to_owned(), beside::projects(dir).err()));
    }
    let mut findings = Vec::new();
    for (name, error) in files {
        let error = match (error, lines) {
            (None, Some(lines)) => disagreement(dir, &name, lines, hashers)?,
            (error, _) => error,
        };
        let state = error.map(FileState::Damaged);
        findings.extend(state.map(|state| Finding::File { name, state }));
    }
    let gone = lines.unwrap_or_default().iter().filter(|(name, _)| !dir.join(name).exists());
    findings.extend(
        gone.map(|(name, _)| Finding::File { name: name.clone(), state: FileState::Missing }),
    );
    Ok(findings)
}

/// What stands among the namespaces and is none.
fn no_metadefs(dir: &Path) -> io::Result<Vec<Finding>> {
    let entries = match std::fs::read_dir(dir.join(beside::METADEFS)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut findings = Vec::new();
    for entry in entries {
        let file = entry?.file_name().to_string_lossy().into_owned();
        let state = match file.ends_with(files::NEW) {
            true => FileState::Leftover,
            false => FileState::Foreign,
        };
        if !file.ends_with(RECORD) {
            let name = format!("{}/{file}", beside::METADEFS);
            findings.push(Finding::File { name, state });
        }
    }
    Ok(findings)
}

/// How a file differs from what the list of digests says of it.
fn disagreement(
    dir: &Path,
    name: &str,
    lines: &[(String, String)],
    hashers: Hashers,
) -> io::Result<Option<StoreError>> {
    let error = |reason| StoreError::new(StoreErrorKind::Unreadable, &Name(dir), VERIFY, reason);
    let list = sums::FILE;
    let Some((_, wanted)) = lines.iter().find(|(listed, _)| listed == name) else {
        return Ok(Some(error(format!("{list} does not list it"))));
    };
    let got = sums::of_file(&dir.join(name), hashers)?;
    let differs = || error(format!("its sha512 is {got}, {list} says {wanted}"));
    Ok((got != *wanted).then(differs))
}
