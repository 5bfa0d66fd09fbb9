//! A file that the operator named, to be written: a report, a plan, a list.
//!
//! As with any Unix tool, links are followed, devices and pipes are written to, and a new file is its
//! owner's alone. A regular file appears whole or not at all: it is written under another name and
//! renamed.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use glance_core::dir::{Dir, NewFile};

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct NamedFile(Place);

#[derive(Debug)]
enum Place {
    /// A regular file, or none yet: its directory has the new one under another name.
    New { file: NewFile, name: PathBuf },
    /// What is no regular file gets all of it at the end.
    Other { file: File, other: File },
}

impl NamedFile {
    /// Begins the file at `path`, whose directory is made where it is missing.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        if let Some(path) = resolved(path)? {
            let (directory, name) = Dir::made_for(&path)?;
            let file = directory.new_file(&name)?;
            return Ok(Self(Place::New { file, name }));
        }
        let other = File::options().write(true).truncate(true).open(path)?;
        let file = Dir::open(&std::env::temp_dir())?.unnamed_file()?;
        Ok(Self(Place::Other { file, other }))
    }

    /// The same, with an earlier regular file of this name removed: it must not be taken for the new
    /// one.
    pub(crate) fn create_anew(path: &Path) -> io::Result<Self> {
        let file = Self::create(path)?;
        if let (Place::New { .. }, Some(path)) = (&file.0, resolved(path)?) {
            match fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(file)
    }

    /// What is written so far, to be read and changed.
    pub(crate) fn file(&mut self) -> &File {
        match &self.0 {
            Place::New { file, .. } => file.file(),
            Place::Other { file, .. } => file,
        }
    }

    /// Puts it in its place.
    pub(crate) fn keep(self) -> io::Result<()> {
        match self.0 {
            Place::New { file, name } => file.keep(&name),
            Place::Other { mut file, mut other } => {
                file.rewind()?;
                io::copy(&mut file, &mut other).map(drop)
            }
        }
    }

    /// Leaves it aside, and says where.
    pub(crate) fn leave(self) -> Option<PathBuf> {
        match self.0 {
            Place::New { file, .. } => Some(file.leave()),
            Place::Other { .. } => None,
        }
    }
}

impl Write for NamedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file().flush()
    }
}

/// Creates a file that is written to as it comes, as a shell does, but for its owner alone.
pub(crate) fn create_in_place(path: &Path) -> io::Result<File> {
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Where links lead, if a regular file is there or none yet. None for anything else: it can't be
/// replaced. What `/proc` shows as a link (`/dev/stdout`) is open already, and is written to.
fn resolved(path: &Path) -> io::Result<Option<PathBuf>> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => return Ok(None),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut path = std::path::absolute(path)?;
    for _ in 0..MOST_LINKS {
        let parent = path.parent().unwrap_or(Path::new("/"));
        if fs::canonicalize(parent).is_ok_and(|parent| parent.starts_with("/proc")) {
            return Ok(None);
        }
        match fs::read_link(&path) {
            Ok(to) => path = parent.join(to),
            Err(_) => return Ok(Some(path)),
        }
    }
    Err(io::Error::other("its links lead in a circle"))
}

/// As many as Linux follows.
const MOST_LINKS: usize = 40;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    fn write(path: &Path, text: &str) -> io::Result<()> {
        let mut file = NamedFile::create_anew(path)?;
        file.write_all(text.as_bytes())?;
        assert!(!fs::metadata(path).is_ok_and(|found| found.is_file()), "nothing half is there");
        file.keep()
    }

    #[test]
    fn regular_files_appear_whole_and_links_stay() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("old"), "old").unwrap();
        symlink("old", path("link")).unwrap();
        symlink(path("elsewhere/new"), path("dangling")).unwrap();
        for (named, file) in [
            ("old", "old"),
            ("link", "old"),
            ("made/new", "made/new"),
            ("dangling", "elsewhere/new"),
        ] {
            write(&path(named), named).unwrap();
            assert_eq!(fs::read_to_string(path(file)).unwrap(), named);
            assert_eq!(fs::metadata(path(file)).unwrap().mode() & 0o777, 0o600);
        }
        assert!(path("link").is_symlink() && path("dangling").is_symlink());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 5, "nothing else is left");
        symlink("loop", path("loop")).unwrap();
        assert!(write(&path("loop"), "").is_err());
    }

    #[test]
    fn what_is_no_file_is_written_to_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let reader = {
            let pipe = pipe.clone();
            std::thread::spawn(move || fs::read_to_string(pipe).unwrap())
        };
        write(&pipe, "the report").unwrap();
        assert_eq!(reader.join().unwrap(), "the report");
        assert!(!fs::symlink_metadata(&pipe).unwrap().is_file());
        let full = write(Path::new("/dev/full"), "the report").unwrap_err();
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        let directory = write(directory.path(), "the report").unwrap_err();
        assert_eq!(directory.kind(), ErrorKind::IsADirectory);
    }
}
