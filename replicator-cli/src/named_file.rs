//! Output files that the operator names: reports, plans, lists.
//!
//! Symbolic links are followed, devices and pipes are written to directly, and only the owner can
//! read a new file. A regular file is written under a temporary name and renamed, so it appears
//! complete or not at all.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use safe_files::dir::{Dir, NewFile};

/// An output file that is being written.
#[derive(Debug)]
pub(crate) struct NamedFile(Place);

#[derive(Debug)]
enum Place {
    /// A regular file, or a path without a file yet. The directory holds the new file under a
    /// temporary name.
    New { file: NewFile, name: PathBuf },
    /// A device, pipe or other special file, `other`. It receives the contents of the temporary
    /// `file` at the end.
    Other { file: File, other: File },
}

impl NamedFile {
    /// Creates the file for `path`, and the directory of `path` if it does not exist.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        if let Some(path) = resolved(path)? {
            // Another program may collect the file, so the umask decides who can open the directory.
            fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
            let (directory, name) = Dir::of_file(&path)?;
            let file = directory.new_file(&name)?;
            return Ok(Self(Place::New { file, name }));
        }
        let other = File::options().write(true).truncate(true).open(path)?;
        Ok(Self(Place::Other { file: temporary_file()?, other }))
    }

    /// Like [`create`](Self::create), but removes an earlier regular file of this name, which could
    /// be mistaken for the new one.
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

    /// The file with the contents written so far.
    pub(crate) fn file(&mut self) -> &File {
        match &self.0 {
            Place::New { file, .. } => file.file(),
            Place::Other { file, .. } => file,
        }
    }

    /// Moves the file to its path, or copies the contents to the special file.
    pub(crate) fn keep(self) -> io::Result<()> {
        match self.0 {
            Place::New { file, name } => file.keep(&name),
            Place::Other { mut file, mut other } => {
                file.rewind()?;
                io::copy(&mut file, &mut other).map(drop)
            }
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

/// Creates a file without a name in the directory for temporary files.
pub(crate) fn temporary_file() -> io::Result<File> {
    Dir::open(&std::env::temp_dir())?.unnamed_file()
}

/// Creates or truncates the file at `path` for direct writing, readable only by its owner.
pub(crate) fn create_in_place(path: &Path) -> io::Result<File> {
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// The path behind symbolic links, if it is a regular file or does not exist. `None` for every
/// other file, which cannot be replaced, and for links into `/proc` such as `/dev/stdout`, whose
/// target is already open.
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
    Err(io::Error::other("the symbolic links form a loop"))
}

/// The number of links that Linux follows.
const MOST_LINKS: usize = 40;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    fn write(path: &Path, text: &str) -> io::Result<()> {
        let mut file = NamedFile::create_anew(path)?;
        file.write_all(text.as_bytes())?;
        assert!(
            !fs::metadata(path).is_ok_and(|found| found.is_file()),
            "the incomplete file is visible"
        );
        file.keep()
    }

    #[test]
    fn regular_files_appear_complete_and_links_are_kept() {
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
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 5, "temporary files are left");
        symlink("loop", path("loop")).unwrap();
        assert!(write(&path("loop"), "").is_err());
    }

    #[test]
    fn special_files_are_written_to_and_kept() {
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
