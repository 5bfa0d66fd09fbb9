//! One file for equal data of several images.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use glance_core::image::{Image, ImageId};

use crate::files;
use crate::record::Record;

/// An image for each digest in a dump: 100 bytes or so in memory for each. It only says where to
/// look; the records decide.
#[derive(Debug, Default)]
pub(crate) struct Index(HashMap<u128, ImageId>);

impl Index {
    pub(crate) fn insert(&mut self, record: &Record) {
        if let Some(key) = key(&record.image) {
            // The newest: a file can have only so many names.
            self.0.insert(key, record.image.id.clone());
        }
    }

    /// An image whose data may be that of `image`.
    pub(crate) fn find(&self, image: &Image) -> Option<&ImageId> {
        self.0.get(&key(image)?).filter(|id| **id != image.id)
    }
}

/// Whether both records tell of the same data, kept in the same way.
pub(crate) fn equal(one: &Record, other: &Record) -> bool {
    let facts = |record: &Record| {
        let image = &record.image;
        (record.encoding(), image.size, image.os_hash_algo.clone(), image.os_hash_value.clone())
    };
    one.image.os_hash_value.is_some() && facts(one) == facts(other)
}

/// The beginning of the digest. Empty data is not worth sharing.
fn key(image: &Image) -> Option<u128> {
    let digest = image.os_hash_value.as_ref().filter(|_| image.size != Some(0))?;
    u128::from_str_radix(digest.get(..32)?, 16).ok()
}

/// Makes `path` another name of the file `first` if both hold the same bytes, and says whether they
/// do. The bytes are compared, so that damage of the one never becomes that of the other.
///
/// # Errors
/// When the filesystem refuses it. Then both files are as they were.
pub(crate) fn link(first: &Path, path: &Path) -> io::Result<bool> {
    if !fs::symlink_metadata(first)?.is_file() {
        // Another name of a symbolic link is not one of its data.
        return Err(io::Error::other("it is no file"));
    }
    let link = files::with_suffix(path, ".link");
    files::remove(&link)?;
    fs::hard_link(first, &link)?;
    let outcome = match same_bytes(&link, path) {
        Ok(true) => return fs::rename(&link, path).map(|()| true),
        other => other,
    };
    files::remove(&link)?;
    outcome
}

fn same_bytes(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; CHUNK], vec![0; CHUNK]);
    loop {
        let read = one.read(&mut left)?;
        if read == 0 {
            return Ok(true);
        }
        other.read_exact(&mut right[..read])?;
        if left[..read] != right[..read] {
            return Ok(false);
        }
    }
}

const CHUNK: usize = 256 * 1024;
