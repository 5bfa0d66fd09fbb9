//! `SHA512SUMS`: the digest of every file in a finished dump, for `sha512sum -c`.

use std::io::{self, BufWriter, Read, Write};

use glance_core::StoreError;
use glance_core::digest::{Algorithm, Hasher, Hashers, hex};
use safe_files::dir::{Dir, NewFile};
use safe_files::errors;
use safe_files::record::StoredRecord;

use crate::files::{FAILED, Name, RECORD};
use crate::limits::LONGEST;
use crate::record::{Stored, encoding, length_of_file, read_record, sha512_of_file};
use crate::{extras, files};

/// Writes the digests of all files of the dump in `dir`, sorted by name, and returns the digest of
/// `SHA512SUMS` itself. A data file is read only if its record lacks the digest.
pub(crate) fn write(
    dir: &Dir,
    hashers: Hashers,
    operation: &'static str,
) -> Result<String, StoreError> {
    let failed = |name: &str, error| errors::failed(&Name::of(dir), operation, dir, name, error);
    let ids = files::ids(dir, RECORD)
        .map_err(|error| errors::directory_failed(&Name::of(dir), operation, error))?;
    let mut sums = Sums::create(dir, hashers).map_err(|error| failed(FILE, error))?;
    for id in ids.into_iter() {
        let record = read_record(dir, operation, &id)?;
        let name = format!("{id}{}", encoding(&record).suffix());
        sums.add_data(&record, &name, &format!("{id}{FAILED}"))
            .map_err(|error| failed(&name, error).on(&id))?;
        let name = format!("{id}{RECORD}");
        sums.add_text(&name, &name, dir).map_err(|error| failed(&name, error).on(&id))?;
    }
    if let Some(metadefs) =
        extras::metadef_files(dir).map_err(|error| failed(extras::METADEFS, error))?
    {
        for file in &metadefs.names {
            let name = format!("{}/{file}", extras::METADEFS);
            sums.add_text(&name, file, &metadefs.dir).map_err(|error| failed(&name, error))?;
        }
    }
    let projects = extras::PROJECTS;
    if dir.find(projects).map_err(|error| failed(projects, error))?.is_some() {
        sums.add_text(projects, projects, dir).map_err(|error| failed(projects, error))?;
    }
    sums.finish().map_err(|error| failed(FILE, error))
}

/// A line in the format of coreutils. The names in a dump contain no characters that need escaping.
pub(crate) fn line(name: &str, digest: &str) -> String {
    format!("{digest}  {name}\n")
}

/// Parses a line into name and digest.
pub(crate) fn parse(line: &str) -> Option<(&str, &str)> {
    let (digest, name) = line.strip_suffix('\n').unwrap_or(line).split_once("  ")?;
    let good = digest.len() == 128 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    (good && !name.is_empty()).then_some((name, digest))
}

/// The SHA-512 of a file.
pub(crate) fn of_file(dir: &Dir, name: &str, hashers: Hashers) -> io::Result<String> {
    let (mut file, mut hasher) = (dir.open_file(name)?, begin(hashers)?);
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            read => hasher.update(&chunk[..read]).map_err(io::Error::other)?,
        }
    }
    Ok(hex(&hasher.finish().map_err(io::Error::other)?))
}

/// The SHA-512 of a byte slice.
pub(crate) fn of(bytes: &[u8], hashers: Hashers) -> io::Result<String> {
    let mut hasher = begin(hashers)?;
    hasher.update(bytes).map_err(io::Error::other)?;
    Ok(hex(&hasher.finish().map_err(io::Error::other)?))
}

fn begin(hashers: Hashers) -> io::Result<Box<dyn Hasher>> {
    hashers.begin(Algorithm::Sha512).ok_or_else(not_offered)
}

pub(crate) fn not_offered() -> io::Error {
    io::Error::other("the cryptography in use does not offer sha512")
}

/// A `SHA512SUMS` file that is being written.
struct Sums {
    dir: Dir,
    file: BufWriter<NewFile>,
    hasher: Box<dyn Hasher>,
    hashers: Hashers,
}

impl Sums {
    fn create(dir: &Dir, hashers: Hashers) -> io::Result<Self> {
        let file = BufWriter::new(dir.new_file(FILE)?);
        Ok(Self { dir: dir.clone(), file, hasher: begin(hashers)?, hashers })
    }

    /// Adds the data file of an image, if the data is complete.
    fn add_data(
        &mut self,
        record: &StoredRecord<Stored>,
        name: &str,
        failed: &str,
    ) -> io::Result<()> {
        let whole = record.image.status.has_data() && self.dir.find(failed)?.is_none();
        let Some(found) = self.dir.find(name)?.filter(|_| whole) else { return Ok(()) };
        let digest = match (sha512_of_file(record), length_of_file(record)) {
            (Some(digest), _) => digest,
            (None, Some(recorded)) if recorded != found.length => {
                let reason =
                    format!("the file has {} bytes, the record says {recorded}", found.length);
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
            (None, _) => of_file(&self.dir, name, self.hashers)?,
        };
        self.add(name, &digest)
    }

    /// Adds a text file, which must not exceed the size limit for reading a dump.
    fn add_text(&mut self, name: &str, file: &str, dir: &Dir) -> io::Result<()> {
        let text = dir.read(file, LONGEST)?.ok_or(io::ErrorKind::NotFound)?;
        self.add(name, &of(&text, self.hashers)?)
    }

    fn add(&mut self, name: &str, digest: &str) -> io::Result<()> {
        let line = line(name, digest);
        self.hasher.update(line.as_bytes()).map_err(io::Error::other)?;
        self.file.write_all(line.as_bytes())
    }

    fn finish(self) -> io::Result<String> {
        self.file.into_inner().map_err(io::IntoInnerError::into_error)?.keep(FILE)?;
        Ok(hex(&self.hasher.finish().map_err(io::Error::other)?))
    }
}

/// The name of the file.
pub(crate) const FILE: &str = files::SUMS;

const CHUNK: usize = 256 * 1024;
