//! The names of a dump's files.

use std::fmt::{self, Display};
use std::io;
use std::path::Path;

use glance_core::image::ImageId;
use safe_files::dir::Dir;

/// The ids of the files in `dir` named `<id><suffix>`.
pub(crate) fn ids(dir: &Dir, suffix: &str) -> io::Result<Ids> {
    let mut ids: Vec<[u8; 36]> = Vec::new();
    for name in dir.names()? {
        let name = name?;
        // Files with other names are not records of images.
        let id: Option<ImageId> =
            name.to_str().and_then(|name| name.strip_suffix(suffix)?.parse().ok());
        if let Some(id) = id.and_then(|id| id.as_str().as_bytes().try_into().ok()) {
            ids.push(id);
        }
    }
    ids.sort_unstable();
    Ok(Ids(ids))
}

/// Sorted ids, each stored in as many bytes as its text.
#[derive(Debug)]
pub(crate) struct Ids(Vec<[u8; 36]>);

impl Ids {
    pub(crate) fn iter(&self) -> impl Iterator<Item = ImageId> {
        (0..self.0.len()).filter_map(|at| self.get(at))
    }

    pub(crate) fn into_iter(self) -> impl Iterator<Item = ImageId> {
        (0..self.0.len()).filter_map(move |at| self.get(at))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, id: &ImageId) -> bool {
        self.0.binary_search_by(|other| other[..].cmp(id.as_str().as_bytes())).is_ok()
    }

    fn get(&self, at: usize) -> Option<ImageId> {
        std::str::from_utf8(self.0.get(at)?).ok()?.parse().ok()
    }
}

/// The file of digests.
pub(crate) const SUMS: &str = "SHA512SUMS";

/// The suffixes of an image's files, after its id.
pub(crate) const RECORD: &str = ".json";
/// Marks the data next to it as invalid: the writer of a stream failed on it.
pub(crate) const FAILED: &str = ".failed";

/// Names a dump's directory in messages.
pub(crate) struct Name<'a>(pub(crate) &'a Path);

impl<'a> Name<'a> {
    pub(crate) fn of(dir: &'a Dir) -> Self {
        Self(dir.path())
    }
}

impl Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dir:{}", self.0.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_sorted_and_found() {
        let place = tempfile::tempdir().unwrap();
        let id =
            |digit: char| "00000000-0000-4000-8000-00000000000_".replace('_', &digit.to_string());
        for digit in ['c', '1', 'A'] {
            std::fs::write(place.path().join(format!("{}.json", id(digit))), "").unwrap();
        }
        std::fs::write(place.path().join("x.json"), "").unwrap();
        let ids = ids(&Dir::open(place.path()).unwrap(), ".json").unwrap();
        let found: Vec<String> = ids.iter().map(|id| id.to_string()).collect();
        assert_eq!(found, [id('1'), id('A'), id('c')]);
        assert!(
            ids.contains(&id('A').parse().unwrap()) && !ids.contains(&id('a').parse().unwrap())
        );
    }
}
