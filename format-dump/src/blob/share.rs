//! Shares one file among images with equal data, by hard links.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};

use glance_core::image::{Image, ImageId};
use safe_files::dir::Dir;
use safe_files::record::StoredRecord;

use crate::record::{Stored, encoding};

/// Maps digests to an image with that data, up to a limit; each entry uses about 100 bytes. The
/// index only suggests candidates; their records are compared before sharing.
#[derive(Debug, Default)]
pub(crate) struct Index(HashMap<u128, ImageId>);

impl Index {
    pub(crate) fn insert(&mut self, record: &StoredRecord<Stored>) {
        let Some(key) = key(&record.image) else { return };
        if self.0.len() < MOST || self.0.contains_key(&key) {
            // Keep the newest image: a filesystem limits the hard links of a file.
            self.0.insert(key, record.image.id.clone());
        }
    }

    /// An image that may have the same data as `image`.
    pub(crate) fn find(&self, image: &Image) -> Option<&ImageId> {
        self.0.get(&key(image)?).filter(|id| **id != image.id)
    }
}

/// Whether both records describe the same data in the same encoding.
pub(crate) fn equal(one: &StoredRecord<Stored>, other: &StoredRecord<Stored>) -> bool {
    let facts = |record: &StoredRecord<Stored>| {
        let image = &record.image;
        (encoding(record), image.size, image.os_hash_algo.clone(), image.os_hash_value.clone())
    };
    one.image.os_hash_value.is_some() && facts(one) == facts(other)
}

/// The first digits of the digest; `None` for empty data, which is not shared.
fn key(image: &Image) -> Option<u128> {
    let digest = image.os_hash_value.as_ref().filter(|_| image.size != Some(0))?;
    u128::from_str_radix(digest.get(..32)?, 16).ok()
}

/// Replaces the file `name` by a hard link to `first` if both have the same content, and returns
/// whether they do. The content is compared, so that a damaged file never replaces a good one.
///
/// # Errors
/// If the filesystem refuses the link. Both files are then unchanged.
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

/// The maximum number of digests. Further images are not shared.
const MOST: usize = 200_000;

const CHUNK: usize = 256 * 1024;
