//! Verifies a dump against its own records and digests, without asking a cloud.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use glance_core::digest::Algorithm;
use glance_core::image::{Image, ImageId};
use glance_core::sampling::Sample;
use glance_core::selection::Subset;
use glance_core::store::StoreErrorKind;
use glance_core::{Body, StoreError};
use safe_files::dir::{Dir, blocking};
use safe_files::errors;

use crate::directory::Directory;
use crate::dump::{Dump, DumpStore};
use crate::files::{FAILED, RECORD};
use crate::limits::LONGEST;
use crate::manifest::Manifest;
use crate::record::{Stored, encoding, read_record, sha512_of_file};
use crate::v1::OldDump;
use crate::{extras, sums};

mod image;
mod listed;
mod scan;

use image::{Means, Subject};
use listed::{Lines, Listed, Strays};

/// A result of [`DumpStore::verify`].
#[derive(Debug)]
#[non_exhaustive]
pub enum DumpFinding {
    /// The result for an image.
    Image {
        /// The id of the image.
        id: ImageId,
        /// The record, if it is readable.
        image: Option<Image>,
        /// The proof, or the first fault.
        result: Result<DumpProof, StoreError>,
    },
    /// A file that does not belong to an image, or is faulty.
    File {
        /// The name of the file in the dump.
        name: String,
        /// The state of the file.
        state: FileState,
    },
}

/// The proof for an image without faults.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DumpProof {
    /// The data was read and verified.
    Data {
        /// The number of uncompressed bytes.
        bytes: u64,
        /// The algorithms of the matching digests. Empty if the record has no digest that can be
        /// computed; then only the size was verified.
        by: Vec<Algorithm>,
    },
    /// The image is a record without data.
    NoData,
    /// The image is not in the subset: its record is readable, and its data file exists and has the
    /// right length.
    NotChosen,
}

/// The state of a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum FileState {
    /// The content is wrong. A fault of the dump.
    Damaged(StoreError),
    /// `SHA512SUMS` or the manifest lists the file, but it does not exist. A fault of the dump.
    Missing,
    /// An interrupted run left the file. The next writer resumes from it or overwrites it.
    Leftover,
    /// The file does not belong to a dump.
    Foreign,
}

impl FileState {
    /// Whether the state is a fault of the dump.
    pub fn is_fault(&self) -> bool {
        matches!(self, Self::Damaged(_) | Self::Missing)
    }
}

/// The summary of a verification.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DumpVerification {
    /// Whether the run that wrote the dump finished.
    pub complete: bool,
    /// The number of images.
    pub images: u64,
    /// The number of images whose data was read and is correct.
    pub read: u64,
    /// The number of uncompressed bytes of those.
    pub bytes: u64,
    /// The number of images and files with faults.
    pub faults: u64,
    /// The number of files left by interrupted runs.
    pub leftovers: u64,
    /// The number of files that do not belong to a dump.
    pub foreign: u64,
}

impl DumpVerification {
    fn count(&mut self, finding: &DumpFinding) {
        match finding {
            DumpFinding::Image { result, .. } => {
                self.images += 1;
                match result {
                    Ok(DumpProof::Data { bytes, .. }) => {
                        self.read += 1;
                        self.bytes += bytes;
                    }
                    Ok(DumpProof::NoData | DumpProof::NotChosen) => {}
                    Err(_) => self.faults += 1,
                }
            }
            DumpFinding::File { state, .. } => match state {
                FileState::Leftover => self.leftovers += 1,
                FileState::Foreign => self.foreign += 1,
                FileState::Damaged(_) | FileState::Missing => self.faults += 1,
            },
        }
    }
}

impl DumpStore {
    /// Verifies a dump of either format and of any release against itself. Checks that
    /// - each record is readable;
    /// - each image that should have data has it, with the right length;
    /// - the data of `subset` matches every digest in its record that the dump's
    ///   [`hashers`](Self::hashing_with) support;
    /// - `SHA512SUMS`, if the manifest names it, lists all files with the right digests;
    /// - there are no other files.
    ///
    /// Up to `transfers` images are read at once. The data of each passes `through`, which may limit
    /// its rate or count its bytes; a closure `|_, data| data` does neither. Each finding is passed to
    /// `observe` as it arrives: images in no particular order, good ones included, then files. The
    /// dump must not be written to in the meantime.
    ///
    /// # Errors
    /// If the directory or the manifest cannot be read. Faults of the dump are findings.
    pub async fn verify(
        &self,
        subset: Subset,
        transfers: usize,
        through: &(dyn Fn(&Image, Body) -> Body + Sync),
        mut observe: impl FnMut(DumpFinding),
    ) -> Result<DumpVerification, StoreError> {
        let mut found =
            DumpVerification { complete: self.is_complete()?, ..DumpVerification::default() };
        let mut report = |finding: DumpFinding| {
            found.count(&finding);
            observe(finding);
        };
        let (ids, mut listed) = match &self.0 {
            Dump::Current(directory) => {
                let (listed, finding) = directory.listed().await?;
                finding.into_iter().for_each(&mut report);
                (directory.ids(VERIFY).await?, listed)
            }
            Dump::Old(old) => (old.ids(VERIFY).await?, None),
        };
        let ids = Arc::new(ids);
        let chosen = Sample::of(subset, ids.iter(), self).await;
        let work = stream::iter(ids.iter())
            .map(|id| {
                let read = listed.as_mut().map(|listed| listed.until(id.as_str())).transpose();
                (id, read.map(Option::unzip))
            })
            .map(|(id, lines)| {
                let read = chosen.contains(&id);
                self.examine(id, lines, read, through)
            });
        let mut findings = work.buffer_unordered(transfers.max(1));
        while let Some(of_image) = findings.next().await {
            of_image?.into_iter().for_each(&mut report);
        }
        drop(findings);
        let rest = listed.map(|mut listed| listed.rest()).transpose();
        let rest = rest.map_err(|error| self.list_failed(error))?;
        self.scan(ids, rest, &mut report).await?;
        Ok(found)
    }

    /// Examines one image, and the unclaimed files that `SHA512SUMS` lists before its own.
    async fn examine(
        &self,
        id: ImageId,
        lines: std::io::Result<(Option<Strays>, Option<Lines>)>,
        read: bool,
        through: &(dyn Fn(&Image, Body) -> Body + Sync),
    ) -> Result<Vec<DumpFinding>, StoreError> {
        let (strays, lines) = lines.map_err(|error| self.list_failed(error))?;
        let strays = strays.unwrap_or_default().into_iter();
        let mut findings: Vec<DumpFinding> =
            strays.filter_map(|(name, _)| self.missing(name)).collect();
        let (subject, hashers) = match &self.0 {
            Dump::Current(directory) => {
                (directory.subject(&id, lines.as_ref()).await, directory.hashers())
            }
            Dump::Old(old) => (old.subject(&id).await, old.hashers()),
        };
        let means = Means { hashers, through };
        let (image, result) = match subject {
            // The image was deleted before it was dumped.
            Ok(None) => return Ok(findings),
            Ok(Some(subject)) => {
                let result = subject.examine(self, lines.as_ref(), read, &means).await;
                (Some(subject.image), result)
            }
            Err(error) => (None, Err(error)),
        };
        findings.push(DumpFinding::Image { id, image, result });
        Ok(findings)
    }

    /// Reports a listed file that belongs to no image, if it does not exist.
    fn missing(&self, name: String) -> Option<DumpFinding> {
        let there = is_there(self.dir(), &name);
        (!there).then_some(DumpFinding::File { name, state: FileState::Missing })
    }

    fn list_failed(&self, error: std::io::Error) -> StoreError {
        errors::failed(self, VERIFY, self.dir(), sums::FILE, error)
    }
}

impl Directory {
    /// Opens the `SHA512SUMS` that the manifest names, and reports what is wrong with it.
    async fn listed(&self) -> Result<(Option<Listed>, Option<DumpFinding>), StoreError> {
        let Some(wanted) = Manifest::read(self.dir(), VERIFY)?.and_then(|it| it.sha512sums) else {
            return Ok((None, None));
        };
        let (dir, hashers) = (self.dir().clone(), self.hashers());
        let (listed, state) = match blocking(move || Listed::open(&dir, hashers)).await {
            Ok((listed, digest)) if digest == wanted => return Ok((Some(listed), None)),
            Ok((listed, digest)) => {
                let reason = format!("the sha512 is {digest}, the manifest says {wanted}");
                let error = StoreError::new(StoreErrorKind::Unreadable, self, VERIFY, reason);
                (Some(listed), FileState::Damaged(error))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                (None, FileState::Missing)
            }
            Err(error) => (None, FileState::Damaged(self.failed(sums::FILE, error))),
        };
        Ok((listed, Some(DumpFinding::File { name: sums::FILE.to_owned(), state })))
    }

    async fn subject(
        &self,
        id: &ImageId,
        lines: Option<&Lines>,
    ) -> Result<Option<Subject>, StoreError> {
        let name = format!("{id}{RECORD}");
        if let Some(lines) = lines {
            let wanted = image::listed(self, id, lines, &name)?;
            let (dir, file, hashers) = (self.dir().clone(), name.clone(), self.hashers());
            let got = blocking(move || match dir.read(&file, LONGEST)? {
                Some(text) => sums::of(&text, hashers),
                None => Err(std::io::ErrorKind::NotFound.into()),
            });
            let got = got.await.map_err(|error| self.failed(&name, error).on(id))?;
            if got != wanted {
                let reason = format!("{} has another digest for the record", sums::FILE);
                return Err(image::fault(self, id, reason));
            }
        }
        let (dir, asked) = (self.dir().clone(), id.clone());
        let record = blocking(move || Ok(read_record(&dir, VERIFY, &asked))).await;
        let record = record.map_err(|error| self.failed(&name, error).on(id))??;
        Ok(Some(Subject {
            sha512: sha512_of_file(&record),
            blob: self.blob(id, encoding(&record)),
            failed: Some(format!("{id}{FAILED}")),
            stored: record.data.unwrap_or_default(),
            image: record.image,
        }))
    }
}

impl Directory {
    fn failed(&self, name: &str, error: std::io::Error) -> StoreError {
        errors::failed(self, VERIFY, self.dir(), name, error)
    }
}

/// Whether a listed file exists. A path outside the dump does not count.
fn is_there(dir: &Dir, name: &str) -> bool {
    let is_there = |dir: &Dir, name: &str| matches!(dir.find(name), Ok(Some(_)));
    match name.split_once('/') {
        None => is_there(dir, name),
        Some((extras::METADEFS, name)) if !name.contains('/') => {
            dir.subdirectory(extras::METADEFS).is_ok_and(|metadefs| is_there(&metadefs, name))
        }
        Some(_) => false,
    }
}

impl OldDump {
    async fn subject(&self, id: &ImageId) -> Result<Option<Subject>, StoreError> {
        let image = self.record(VERIFY, id).await?;
        let blob = self.blob(id);
        let (stored, sha512, failed) = (Stored::default(), None, None);
        Ok(image.map(|image| Subject { image, stored, sha512, blob, failed }))
    }
}

const VERIFY: &str = "verify the dump";
