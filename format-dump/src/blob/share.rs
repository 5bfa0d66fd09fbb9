//! One file for equal data of several images.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};

use glance_core::dir::Dir;
use glance_core::image::{Image, ImageId};

use crate::record::Record;

/// An image for each digest in a dump, up to a limit: 100 bytes or so in memory for each. It only says
/// where to look; the records decide.
#[derive(Debug, Default)]
pub(crate) struct Index(HashMap<u128, ImageId>);

impl Index {
    pub(crate) fn insert(&mut self, record: &Record) {
        let Some(key) = key(&record.image) else { return };
        if self.0.len() < MOST || self.0.contains_key(&key) {
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

/// Makes `name` another name of the file `first` if both hold the same bytes, and says whether they
/// do. The bytes are compared, so that damage of the one never becomes that of the other.
///
/// # Errors
/// When the filesystem refuses it. Then both files are as they were.
pub(crate) fn link(dir: &Dir, first: &str, name: &str) -> io::Result<bool> {
    let link = dir.new_link(first, name)?;
    let same = same_bytes(link.file(), &dir.open_file(name)?)?;
    if same {
        link.keep(name)?;
    }
    Ok(same)
}

fn same_bytes(mut one: &File, mut other: &File) -> io::Result<bool> {
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

/// Digests. The data of more images is not shared.
const MOST: usize = 200_000;

const CHUNK: usize = 256 * 1024;
