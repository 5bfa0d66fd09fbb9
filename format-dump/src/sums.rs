//! `SHA512SUMS`: the digest of every file of a finished dump, for `sha512sum -c`.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use glance_core::StoreError;
use glance_core::digest::{Algorithm, Hasher, Hashers, hex};

use crate::directory::{FAILED, RECORD};
use crate::record::read_record;
use crate::{Name, beside, files};

/// Writes the digests of all files of the dump in `dir`, in the order of their names, and says the
/// digest of what was written. Data is read only where its record does not tell.
pub(crate) fn write(
    dir: &Path,
    hashers: Hashers,
    operation: &'static str,
) -> Result<String, StoreError> {
    let failed = |path: &Path, error| files::failed(&Name(dir), operation, path, error);
    let path = dir.join(FILE);
    let ids = files::ids(dir, RECORD).map_err(|error| failed(dir, error))?;
    let mut sums = Sums::create(&path, hashers).map_err(|error| failed(&path, error))?;
    for id in ids {
        let record = read_record(dir, operation, &id)?;
        let name = format!("{id}{}", record.encoding().suffix());
        let blob = dir.join(&name);
        let whole = record.image.status.has_data() && !dir.join(format!("{id}{FAILED}")).exists();
        if whole && blob.exists() {
            let digest = match record.sha512_of_file() {
                Some(digest) => Ok(digest),
                None => of_file(&blob, hashers),
            };
            digest
                .and_then(|digest| sums.add(&name, &digest))
                .map_err(|error| failed(&blob, error).on(&id))?;
        }
        sums.add_file(dir, &format!("{id}{RECORD}")).map_err(|error| failed(&path, error))?;
    }
    let metadefs = beside::metadef_files(dir).map_err(|error| failed(dir, error))?;
    for file in metadefs.iter().filter_map(|file| file.file_name()?.to_str()) {
        sums.add_file(dir, &format!("{}/{file}", beside::METADEFS))
            .map_err(|error| failed(&path, error))?;
    }
    if dir.join(beside::PROJECTS).exists() {
        sums.add_file(dir, beside::PROJECTS).map_err(|error| failed(&path, error))?;
    }
    sums.finish().map_err(|error| failed(&path, error))
}

/// Removes the digests of a dump that is going to change.
pub(crate) fn remove(dir: &Path) -> io::Result<()> {
    files::remove(&dir.join(FILE))
}

/// A line of the file, as coreutils writes it. No name of ours has a character to escape.
pub(crate) fn line(name: &str, digest: &str) -> String {
    format!("{digest}  {name}\n")
}

/// A line's name and digest.
pub(crate) fn parse(line: &str) -> Option<(&str, &str)> {
    let (digest, name) = line.strip_suffix('\n').unwrap_or(line).split_once("  ")?;
    let good = digest.len() == 128 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    (good && !name.is_empty()).then_some((name, digest))
}

/// The SHA-512 of a file's bytes.
pub(crate) fn of_file(path: &Path, hashers: Hashers) -> io::Result<String> {
    let (mut file, mut hasher) = (File::open(path)?, begin(hashers)?);
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            read => hasher.update(&chunk[..read]).map_err(io::Error::other)?,
        }
    }
    Ok(hex(&hasher.finish().map_err(io::Error::other)?))
}

/// The SHA-512 of some bytes.
pub(crate) fn of(bytes: &[u8], hashers: Hashers) -> io::Result<String> {
    let mut hasher = begin(hashers)?;
    hasher.update(bytes).map_err(io::Error::other)?;
    Ok(hex(&hasher.finish().map_err(io::Error::other)?))
}

fn begin(hashers: Hashers) -> io::Result<Box<dyn Hasher>> {
    hashers.begin(Algorithm::Sha512).ok_or_else(not_offered)
}

pub(crate) fn not_offered() -> io::Error {
    io::Error::other("the cryptography in use offers no sha512")
}

/// The file on its way.
struct Sums {
    path: PathBuf,
    file: BufWriter<File>,
    hasher: Box<dyn Hasher>,
    hashers: Hashers,
}

impl Sums {
    fn create(path: &Path, hashers: Hashers) -> io::Result<Self> {
        let file = BufWriter::new(files::open_new(&files::with_suffix(path, files::NEW))?);
        Ok(Self { path: path.to_owned(), file, hasher: begin(hashers)?, hashers })
    }

    fn add_file(&mut self, dir: &Path, name: &str) -> io::Result<()> {
        let digest = of_file(&dir.join(name), self.hashers)?;
        self.add(name, &digest)
    }

    fn add(&mut self, name: &str, digest: &str) -> io::Result<()> {
        let line = line(name, digest);
        self.hasher.update(line.as_bytes()).map_err(io::Error::other)?;
        self.file.write_all(line.as_bytes())
    }

    fn finish(self) -> io::Result<String> {
        self.file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        files::rename(&files::with_suffix(&self.path, files::NEW), &self.path)?;
        Ok(hex(&self.hasher.finish().map_err(io::Error::other)?))
    }
}

/// The name of the file.
pub(crate) const FILE: &str = "SHA512SUMS";

const CHUNK: usize = 256 * 1024;
