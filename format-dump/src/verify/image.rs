//! Verifies one image of a dump against its own record.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io;

use futures_util::TryStreamExt;
use glance_core::digest::{Algorithm, Digests, Hashers};
use glance_core::image::{Image, ImageId};
use glance_core::store::{ByteRange, StoreErrorKind};
use glance_core::{Body, StoreError};
use safe_files::dir::blocking;
use safe_files::errors;

use super::listed::Lines;
use super::{DumpProof, VERIFY};
use crate::blob::{self, Blob, DUMP_AGAIN};
use crate::record::{Encoding, Stored};
use crate::sums;

/// An image as the dump describes it.
pub(super) struct Subject {
    pub(super) image: Image,
    pub(super) stored: Stored,
    /// The SHA-512 of the data file according to the record.
    pub(super) sha512: Option<String>,
    /// The data file.
    pub(super) blob: Blob,
    /// The name of the file that marks the data as invalid.
    pub(super) failed: Option<String>,
}

/// The digest implementation, and what the data passes through while it is read.
pub(super) struct Means<'a> {
    pub(super) hashers: Hashers,
    pub(super) through: &'a (dyn Fn(&Image, Body) -> Body + Sync),
}

impl Subject {
    /// Checks the length of the data file and, if `read` is set, its digests.
    pub(super) async fn examine(
        &self,
        store: &(dyn Display + Sync),
        lines: Option<&Lines>,
        read: bool,
        means: &Means<'_>,
    ) -> Result<DumpProof, StoreError> {
        let image = &self.image;
        if !image.status.has_data() {
            return Ok(DumpProof::NoData);
        }
        let failed = |name| self.blob.dir.find(name).map(|found| found.is_some());
        let failed = self.failed.as_deref().map(failed).transpose();
        let failed = failed.map_err(|error| {
            let name = self.failed.as_deref().unwrap_or_default();
            errors::failed(store, VERIFY, &self.blob.dir, name, error).on(&image.id)
        })?;
        if failed == Some(true) {
            let reason = "the stream of this dump marked the data as incomplete";
            return Err(fault(store, &image.id, reason.to_owned()));
        }
        blob::open(store, image, &self.stored, &self.blob).await?;
        let listed = match lines {
            Some(lines) => Some(listed(store, &image.id, lines, &self.blob.name)?),
            None => None,
        };
        // The sources of the expected digest of the file.
        let accounts = [(listed, LIST), (self.sha512.as_deref(), RECORD)];
        if let (Some(listed), Some(recorded)) = (listed, &self.sha512) {
            agree(store, image, Algorithm::Sha512, recorded, (listed, LIST))?;
        }
        if !read {
            return Ok(DumpProof::NotChosen);
        }
        self.read(store, accounts, means).await
    }

    async fn read(
        &self,
        store: &(dyn Display + Sync),
        accounts: [(Option<&str>, &'static str); 2],
        means: &Means<'_>,
    ) -> Result<DumpProof, StoreError> {
        let image = &self.image;
        let (bytes, digests) = self.digests(store, means).await?;
        if let Some(size) = image.size.filter(|size| *size != bytes) {
            let reason = format!("the data has {bytes} bytes, the record says {size}");
            return Err(fault(store, &image.id, reason));
        }
        let mut by = BTreeSet::new();
        for (algorithm, wanted) in image.digests() {
            if let Some(got) = digests.get(&algorithm) {
                agree(store, image, algorithm, got, (wanted, RECORD))?;
                by.insert(algorithm);
            }
        }
        let of_file = match self.stored.encoding {
            Encoding::Identity => digests.get(&Algorithm::Sha512).cloned(),
            Encoding::Zstd => {
                let (Blob { dir, name }, hashers) = (self.blob.clone(), means.hashers);
                let digest = blocking(move || sums::of_file(&dir, &name, hashers)).await;
                Some(digest.map_err(|error| self.file_failed(store, error))?)
            }
        };
        let accounts = accounts.into_iter().filter_map(|(wanted, by)| Some((wanted?, by)));
        if let Some(got) = of_file {
            for account in accounts {
                agree(store, image, Algorithm::Sha512, &got, account)?;
                by.insert(Algorithm::Sha512);
            }
        }
        Ok(DumpProof::Data { bytes, by: by.into_iter().collect() })
    }

    /// Reads the uncompressed data and computes the digests in its record.
    async fn digests(
        &self,
        store: &(dyn Display + Sync),
        means: &Means<'_>,
    ) -> Result<(u64, Digests), StoreError> {
        let id = &self.image.id;
        let of_file = (self.stored.encoding == Encoding::Identity).then_some(Algorithm::Sha512);
        let algorithms = self.image.digests().map(|(algorithm, _)| algorithm).chain(of_file);
        let mut hashing = means.hashers.start(algorithms.collect::<BTreeSet<_>>());
        let data = blob::read(store, &self.image, &self.stored, &self.blob, ByteRange::ALL).await?;
        let mut data = (means.through)(&self.image, data);
        let mut bytes = 0;
        let unreadable = |error| {
            fault(store, id, "the data cannot be read to the end".to_owned()).caused_by(error)
        };
        while let Some(chunk) = data.try_next().await.map_err(unreadable)? {
            bytes += chunk.len() as u64;
            hashing.update(&chunk).await;
        }
        let failed = |error| self.file_failed(store, io::Error::other(error));
        Ok((bytes, hashing.finish().await.map_err(failed)?))
    }

    fn file_failed(&self, store: &(dyn Display + Sync), error: io::Error) -> StoreError {
        let Blob { dir, name } = &self.blob;
        errors::failed(store, VERIFY, dir, name, error).on(&self.image.id)
    }
}

/// The digest that `SHA512SUMS` lists for a file of an image.
pub(super) fn listed<'a>(
    store: &(dyn Display + Sync),
    id: &ImageId,
    lines: &'a Lines,
    name: &str,
) -> Result<&'a str, StoreError> {
    let missing = || fault(store, id, format!("{LIST} does not list {name}"));
    lines.digest_of(name).ok_or_else(missing)
}

fn agree(
    store: &(dyn Display + Sync),
    image: &Image,
    algorithm: Algorithm,
    got: &str,
    (wanted, by): (&str, &str),
) -> Result<(), StoreError> {
    if got.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    let reason = format!("the {algorithm} of the data is {got}, {by} says {wanted}");
    Err(fault(store, &image.id, reason))
}

/// The error for a fault of the dump.
pub(super) fn fault(store: &(dyn Display + Sync), id: &ImageId, reason: String) -> StoreError {
    StoreError::new(StoreErrorKind::Unreadable, store, VERIFY, reason).on(id).hint(DUMP_AGAIN)
}

const LIST: &str = sums::FILE;
const RECORD: &str = "its record";
