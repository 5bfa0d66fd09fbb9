//! Scans the directory for files other than images.

use std::io;
use std::sync::Arc;

use glance_core::StoreError;
use glance_core::digest::Hashers;
use glance_core::image::ImageId;
use glance_core::store::StoreErrorKind;
use safe_files::dir::{Dir, blocking, is_temporary};
use safe_files::errors;
use safe_files::file_lock::STORE_LOCK;
use safe_files::json::Values;
use tokio::sync::mpsc;

use super::listed::Strays;
use super::{DumpFinding, FileState, VERIFY, is_there};
use crate::blob::PARTIAL;
use crate::dump::{Dump, DumpStore};
use crate::files::{FAILED, Ids, Name, RECORD};
use crate::record::{Encoding, encoding, read_record};
use crate::{extras, manifest, sums};

impl DumpStore {
    /// Reports every file that does not belong to one of the images `ids`. `lines` are the lines of
    /// `SHA512SUMS` for other files, if it exists.
    pub(super) async fn scan(
        &self,
        ids: Arc<Ids>,
        lines: Option<Strays>,
        report: &mut impl FnMut(DumpFinding),
    ) -> Result<(), StoreError> {
        // A channel, because a directory may hold any number of files.
        let (found, mut findings) = mpsc::channel(64);
        let scan = Scan {
            dir: self.dir().clone(),
            ids,
            hashers: match &self.0 {
                Dump::Current(directory) => Some(directory.hashers()),
                Dump::Old(_) => None,
            },
            found,
        };
        let scanning = blocking(move || scan.run(lines.as_deref()));
        let reporting = async {
            while let Some(finding) = findings.recv().await {
                report(finding);
            }
        };
        let (scanned, ()) = futures_util::future::join(scanning, reporting).await;
        scanned.map_err(|error| errors::directory_failed(self, VERIFY, error))
    }
}

/// A scan of all files.
struct Scan {
    dir: Dir,
    ids: Arc<Ids>,
    /// `None` for a dump of the old tool.
    hashers: Option<Hashers>,
    found: mpsc::Sender<DumpFinding>,
}

impl Scan {
    fn run(&self, lines: Option<&[(String, String)]>) -> io::Result<()> {
        if let Some(hashers) = self.hashers {
            for finding in other_files(&self.dir, lines, hashers) {
                self.tell(finding);
            }
            self.no_metadefs()?;
        }
        for name in self.dir.names()? {
            let name = name?.to_string_lossy().into_owned();
            let state = match self.hashers {
                Some(_) if name == STORE_LOCK => None,
                Some(_) => of_current(&self.dir, &name, &self.ids),
                None => of_old(&name, &self.ids),
            };
            if let Some(state) = state {
                self.tell(DumpFinding::File { name, state });
            }
        }
        Ok(())
    }

    fn tell(&self, finding: DumpFinding) {
        // Sending fails if the verification was dropped.
        let _ = self.found.blocking_send(finding);
    }

    /// Reports files in the directory of namespaces that are not namespaces.
    fn no_metadefs(&self) -> io::Result<()> {
        // A directory that cannot be opened has been reported already.
        let Ok(dir) = self.dir.subdirectory(extras::METADEFS) else { return Ok(()) };
        for name in dir.names()? {
            let file = name?.to_string_lossy().into_owned();
            let state = match is_temporary(&file) {
                true => FileState::Leftover,
                false => FileState::Foreign,
            };
            if !file.ends_with(RECORD) {
                let name = format!("{}/{file}", extras::METADEFS);
                self.tell(DumpFinding::File { name, state });
            }
        }
        Ok(())
    }
}

/// The state of a file in a dump of the current format, if it is to be reported.
fn of_current(dir: &Dir, name: &str, ids: &Ids) -> Option<FileState> {
    let heads = [manifest::FILE, sums::FILE, extras::PROJECTS, extras::METADEFS];
    if heads.contains(&name) {
        let unnamed = name == sums::FILE
            && !matches!(manifest::Manifest::read(dir, VERIFY), Ok(Some(it)) if it.sha512sums.is_some());
        return unnamed.then_some(FileState::Leftover);
    }
    if is_temporary(name) {
        return Some(FileState::Leftover);
    }
    let Some((id, suffix)) = id_of(name) else { return Some(FileState::Foreign) };
    let known = ids.contains(&id);
    if suffix == RECORD {
        return None;
    }
    if suffix == FAILED {
        // For an existing image, the failure has been reported with the image.
        let reason = "the stream of this dump marked the image as missing";
        let error = StoreError::new(StoreErrorKind::Unreadable, &Name::of(dir), VERIFY, reason);
        return (!known).then_some(FileState::Damaged(error.on(&id)));
    }
    if suffix.strip_suffix(PARTIAL).is_some_and(is_data) {
        return Some(FileState::Leftover);
    }
    if !is_data(suffix) {
        return Some(FileState::Foreign);
    }
    let other = Encoding::ALL.iter().filter(|encoding| encoding.suffix() != suffix);
    let alone = { other }.all(|other| !is_there(dir, &format!("{id}{}", other.suffix())));
    let belongs = || match read_record(dir, VERIFY, &id) {
        Ok(record) => encoding(&record).suffix() == suffix,
        Err(_) => true,
    };
    (!known || !(alone || belongs())).then_some(FileState::Leftover)
}

fn is_data(suffix: &str) -> bool {
    Encoding::ALL.iter().any(|encoding| encoding.suffix() == suffix)
}

/// The state of a file in a dump of the old tool, if it is to be reported.
fn of_old(name: &str, ids: &Ids) -> Option<FileState> {
    match id_of(name) {
        Some((_, "")) => None,
        Some((id, ".img")) => (!ids.contains(&id)).then_some(FileState::Leftover),
        _ => Some(FileState::Foreign),
    }
}

/// Splits a name into the id that it begins with and the suffix.
fn id_of(name: &str) -> Option<(ImageId, &str)> {
    let (id, suffix) = name.split_at_checked(36)?;
    Some((id.parse().ok()?, suffix))
}

/// Checks projects and metadata definitions against their format and `SHA512SUMS`.
fn other_files(
    dir: &Dir,
    lines: Option<&[(String, String)]>,
    hashers: Hashers,
) -> Vec<DumpFinding> {
    let mut findings = Vec::new();
    let mut found = |name: String, error: Option<StoreError>| {
        let state = error.map(FileState::Damaged);
        findings.extend(state.map(|state| DumpFinding::File { name, state }));
    };
    match extras::metadef_files(dir) {
        Ok(None) => {}
        Ok(Some(metadefs)) => {
            let mut values = Values::new();
            for file in &metadefs.names {
                let name = format!("{}/{file}", extras::METADEFS);
                let error = extras::metadef(dir, &metadefs, file, &mut values).err();
                let digest = || sums::of_file(&metadefs.dir, file, hashers);
                let error = error.map_or_else(|| disagreement(dir, &name, lines, digest), Some);
                found(name, error);
            }
        }
        Err(error) => {
            let name = extras::METADEFS.to_owned();
            let error = errors::failed(&Name::of(dir), VERIFY, dir, &name, error);
            found(name, Some(error));
        }
    }
    if !matches!(dir.find(extras::PROJECTS), Ok(None)) {
        let name = extras::PROJECTS.to_owned();
        let error = extras::projects(dir).err();
        let digest = || sums::of_file(dir, extras::PROJECTS, hashers);
        let error = error.map_or_else(|| disagreement(dir, &name, lines, digest), Some);
        found(name, error);
    }
    let gone = lines.unwrap_or_default().iter().filter(|(name, _)| !is_there(dir, name));
    findings.extend(
        gone.map(|(name, _)| DumpFinding::File { name: name.clone(), state: FileState::Missing }),
    );
    findings
}

/// Compares the digest of a file with `SHA512SUMS`, if that exists.
fn disagreement(
    dir: &Dir,
    name: &str,
    lines: Option<&[(String, String)]>,
    digest: impl FnOnce() -> io::Result<String>,
) -> Option<StoreError> {
    let store = Name::of(dir);
    let error = |reason| StoreError::new(StoreErrorKind::Unreadable, &store, VERIFY, reason);
    let list = sums::FILE;
    let Some((_, wanted)) = lines?.iter().find(|(listed, _)| listed == name) else {
        return Some(error(format!("{list} does not list this file")));
    };
    match digest() {
        Ok(got) if got == *wanted => None,
        Ok(got) => Some(error(format!("the sha512 is {got}, {list} says {wanted}"))),
        Err(failure) => Some(errors::failed(&store, VERIFY, dir, name, failure)),
    }
}
