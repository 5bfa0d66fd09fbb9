//! A cache file for digests of images whose records have none.
//!
//! Glance has no digest of data that it never read, such as copy-on-write clones of volumes and
//! snapshots, and data registered by location. The data of an image id never changes, so a computed
//! digest stays valid.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use glance_core::clock::now;
use glance_core::digest::{Algorithm, Digests};
use glance_core::image::{Image, ImageId};
use safe_files::dir::{self, Dir, Lines};

/// A file of digests, one JSON object per line. Lines are only appended; for each image and
/// algorithm the last line counts. Clones share the file.
#[derive(Debug, Clone)]
pub struct DigestCache(Arc<Mutex<CacheFile>>);

#[derive(Debug)]
struct CacheFile {
    path: PathBuf,
    known: BTreeMap<(String, ImageId), Known>,
    /// Whether the last line is incomplete. Then the next one must start with a line break.
    torn: bool,
    /// Whether a warning about a failed write was already printed.
    warned: bool,
}

/// The known digests of one image. The size and time of creation identify the image: a different
/// image with the same id has another size or another time of creation.
#[derive(Debug, PartialEq, Eq)]
struct Known {
    size: u64,
    created_at: String,
    digests: Digests,
}

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    store: String,
    image: String,
    size: u64,
    created_at: String,
    algorithm: String,
    value: String,
    when: String,
}

impl DigestCache {
    /// Reads the file at `path`, if it exists. Damaged lines are ignored with a warning.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let mut cache = CacheFile { path, known: BTreeMap::new(), torn: false, warned: false };
        let opened = Dir::of_file(&cache.path).and_then(|(directory, name)| {
            directory.warn_if_shared();
            directory.open_file(&name)
        });
        match opened {
            Ok(file) => cache.read(BufReader::new(file))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(Self(Arc::new(Mutex::new(cache))))
    }

    /// The digests for the store at this address.
    pub fn of(&self, address: impl Into<String>) -> CachedDigests {
        CachedDigests(Some((self.clone(), address.into())))
    }

    fn lock(&self) -> MutexGuard<'_, CacheFile> {
        // A panic never leaves the state half changed, so a poisoned lock is safe to use.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CacheFile {
    fn read(&mut self, file: impl BufRead) -> io::Result<()> {
        let mut lines = Lines::of(file);
        for number in 1_u64.. {
            let Some(line) = lines.next_line()? else { break };
            self.torn = line.last() != Some(&b'\n');
            match serde_json::from_slice(line) {
                Ok(line) if self.take(&line) => {}
                _ if line.trim_ascii().is_empty() => {}
                _ => tracing::warn!(
                    "line {number} of {} is damaged and ignored",
                    self.path.display()
                ),
            }
        }
        Ok(())
    }

    /// Adds a line to the known digests. Returns whether the line is valid.
    fn take(&mut self, line: &Line) -> bool {
        let (Ok(image), Ok(algorithm)) =
            (line.image.parse::<ImageId>(), line.algorithm.parse::<Algorithm>())
        else {
            return false;
        };
        if !is_digest(algorithm, &line.value) {
            return false;
        }
        let new = || Known {
            size: line.size,
            created_at: line.created_at.clone(),
            digests: Digests::new(),
        };
        let known = self.known.entry((line.store.clone(), image)).or_insert_with(new);
        if (known.size, &known.created_at) != (line.size, &line.created_at) {
            *known = new();
        }
        known.digests.insert(algorithm, line.value.to_ascii_lowercase());
        true
    }

    fn add(&mut self, line: &Line) {
        self.take(line);
        let Err(error) = self.write(line) else { return };
        if !std::mem::replace(&mut self.warned, true) {
            tracing::warn!(
                "cannot write {}: {error}; the digests of this run are not kept",
                self.path.display()
            );
        }
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        let (directory, name) = Dir::made_for(&self.path)?;
        let mut file = directory.open_to_append(&name)?;
        let before = if self.torn { "\n" } else { "" };
        // Written in a single call, so that lines of several processes do not mix.
        let text = format!("{before}{}\n", serde_json::to_string(line)?);
        file.write_all(text.as_bytes())?;
        self.torn = false;
        dir::sync_all(&file)
    }
}

/// The known digests of one store's images. Empty by default.
#[derive(Debug, Clone, Default)]
pub struct CachedDigests(Option<(DigestCache, String)>);

impl CachedDigests {
    /// Adds a known digest to a record that has none, preferably one of the algorithm `like`.
    pub(crate) fn fill(&self, image: &mut Image, like: Option<&str>) {
        if image.os_hash_value.is_some() {
            return;
        }
        let Some(digests) = self.digests(image) else { return };
        let like = like.and_then(|name| name.parse().ok());
        let alike = like.and_then(|algorithm: Algorithm| digests.get_key_value(&algorithm));
        if let Some((algorithm, value)) = alike.or_else(|| digests.last_key_value()) {
            image.os_hash_algo = Some(algorithm.to_string());
            image.os_hash_value = Some(value.clone());
        }
    }

    /// Stores digests of the data of an image whose record has none.
    pub(crate) async fn keep(&self, image: &Image, digests: &Digests) {
        let Some((file, store)) = &self.0 else { return };
        let known = self.digests(image);
        let (Some(size), Some(created_at)) = (image.size, &image.created_at) else { return };
        if image.os_hash_value.is_some() && known.is_none() {
            return;
        }
        let known = known.unwrap_or_default();
        let is_new = |(algorithm, value): &(&Algorithm, &String)| {
            **algorithm != Algorithm::Md5 && known.get(algorithm) != Some(value)
        };
        for (algorithm, value) in digests.iter().filter(is_new) {
            let line = Line {
                store: store.clone(),
                image: image.id.to_string(),
                size,
                created_at: created_at.clone(),
                algorithm: algorithm.to_string(),
                value: value.clone(),
                when: now(),
            };
            let file = file.clone();
            // Written on a thread where blocking is allowed. A failed write was already reported
            // there.
            let _ = tokio::task::spawn_blocking(move || file.lock().add(&line)).await;
        }
    }

    /// Whether the digest of this algorithm in `image` may be a remembered one.
    pub(crate) fn knows(&self, image: &Image, algorithm: &str) -> bool {
        let algorithm: Option<Algorithm> = algorithm.parse().ok();
        let known = self.digests(image).zip(algorithm);
        known.is_some_and(|(digests, algorithm)| digests.contains_key(&algorithm))
    }

    fn digests(&self, image: &Image) -> Option<Digests> {
        let (file, store) = self.0.as_ref()?;
        let cache = file.lock();
        let known = cache.known.get(&(store.clone(), image.id.clone()))?;
        let same =
            Some(known.size) == image.size && Some(&known.created_at) == image.created_at.as_ref();
        same.then(|| known.digests.clone())
    }
}

fn is_digest(algorithm: Algorithm, value: &str) -> bool {
    value.len() == algorithm.bits() / 4 && value.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;
    use glance_core::image::{Attributes, Status};

    fn image() -> Image {
        let id = "00000000-0000-4000-8000-000000000001".parse().unwrap();
        Image {
            status: Status::Active,
            size: Some(3),
            created_at: Some("2026-01-01T00:00:00Z".to_owned()),
            ..Image::queued(id, Attributes::default())
        }
    }

    fn digests(algorithm: Algorithm, digit: &str, digits: usize) -> Digests {
        Digests::from([(algorithm, digit.repeat(digits))])
    }

    /// The digest of `image` that a new run knows.
    fn known(path: &Path, store: &str, mut image: Image, like: Option<&str>) -> Option<String> {
        DigestCache::open(path).unwrap().of(store).fill(&mut image, like);
        image.os_hash_value
    }

    #[tokio::test]
    async fn the_last_digest_of_the_same_image_in_the_same_store_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/state/digests");
        let of_a = DigestCache::open(&path).unwrap().of("a");
        of_a.keep(&image(), &digests(Algorithm::Sha512, "1", 128)).await;
        of_a.keep(&image(), &digests(Algorithm::Sha512, "2", 128)).await;
        of_a.keep(&image(), &digests(Algorithm::Sha512, "2", 128)).await;
        of_a.keep(&image(), &digests(Algorithm::Sha256, "3", 64)).await;
        of_a.keep(&image(), &digests(Algorithm::Md5, "4", 32)).await;
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        assert_eq!(known(&path, "a", image(), None), Some("2".repeat(128)));
        assert_eq!(known(&path, "a", image(), Some("sha256")), Some("3".repeat(64)));
        assert_eq!(known(&path, "a", image(), Some("sha1")), Some("2".repeat(128)));
        assert_eq!(known(&path, "b", image(), None), None);
        assert_eq!(known(&path, "a", Image { size: Some(4), ..image() }, None), None);
        let later = Some("2026-01-02T00:00:00Z".to_owned());
        assert_eq!(known(&path, "a", Image { created_at: later, ..image() }, None), None);
        assert_eq!(known(&path, "a", Image { created_at: None, ..image() }, None), None);
        let own = Image { os_hash_value: Some("own".to_owned()), ..image() };
        assert_eq!(known(&path, "a", own, None), Some("own".to_owned()));
    }

    #[tokio::test]
    async fn no_digest_is_cached_for_an_image_that_has_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("digests");
        let of_a = DigestCache::open(&path).unwrap().of("a");
        let own = Image { os_hash_value: Some("own".to_owned()), ..image() };
        of_a.keep(&own, &digests(Algorithm::Sha512, "1", 128)).await;
        CachedDigests::default().keep(&image(), &digests(Algorithm::Sha512, "1", 128)).await;
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn damaged_lines_are_ignored_and_a_torn_line_is_ended_first() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("digests");
        let of_a = DigestCache::open(&path).unwrap().of("a");
        of_a.keep(&image(), &digests(Algorithm::Sha256, "1", 64)).await;
        let good = std::fs::read_to_string(&path).unwrap();
        let short = good.replace(&"1".repeat(64), &"2".repeat(63));
        let torn = &good[..good.len() - 9];
        std::fs::write(
            &path,
            [b"\xff\n", short.as_bytes(), b"\n", good.as_bytes(), torn.as_bytes()].concat(),
        )
        .unwrap();
        assert_eq!(known(&path, "a", image(), None), Some("1".repeat(64)));
        let of_a = DigestCache::open(&path).unwrap().of("a");
        of_a.keep(&image(), &digests(Algorithm::Sha512, "3", 128)).await;
        assert_eq!(known(&path, "a", image(), None), Some("3".repeat(128)));
    }

    #[tokio::test]
    async fn an_unwritable_cache_file_is_not_a_failure() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("state"), "").unwrap();
        let file = DigestCache::open(directory.path().join("state/digests.ndjson"));
        // The path leads through a file, so opening it fails.
        assert!(file.is_err());
        let path = directory.path().join("later/digests.ndjson");
        let of_a = DigestCache::open(&path).unwrap().of("a");
        std::fs::write(directory.path().join("later"), "").unwrap();
        of_a.keep(&image(), &digests(Algorithm::Sha512, "1", 128)).await;
        let mut filled = image();
        of_a.fill(&mut filled, None);
        assert_eq!(filled.os_hash_value, Some("1".repeat(128)));
    }
}
