//! The tool's own files in a directory that other users may be able to write to.
//!
//! A [`Dir`] holds a directory open and looks up every name in it, without following symbolic links.
//! If anything but a regular file has the name of a file, the operation fails before a byte is read or
//! written. The path of the directory itself comes from the operator and may contain links.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use system::{Access, Handle, Locking, Status};

mod lines;
mod refused;
pub(crate) mod system;

pub use lines::Lines;
pub use refused::Refused;
pub use system::{FileKind, sync_all, sync_data};

/// An open directory. Clones share it.
#[derive(Debug, Clone)]
pub struct Dir {
    handle: Handle,
    /// The path as the operator gave it.
    path: PathBuf,
    /// The absolute path, independent of the working directory.
    absolute: PathBuf,
}

/// A regular file in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The length in bytes.
    pub length: u64,
    /// The number of hard links.
    pub links: u64,
}

impl Dir {
    /// Opens a directory named by the operator.
    pub fn open(path: &Path) -> io::Result<Self> {
        let handle = Handle::open(path)?;
        Ok(Self { handle, path: path.to_owned(), absolute: std::path::absolute(path)? })
    }

    fn below(&self, handle: Handle, name: &Path) -> Self {
        Self { handle, path: self.path.join(name), absolute: self.absolute.join(name) }
    }

    /// Opens a directory and creates it and its parents if they are missing, for this user alone (mode
    /// 0700). Existing directories keep their modes.
    pub fn make(path: &Path) -> io::Result<Self> {
        make_directory(path)?;
        Self::open(path)
    }

    /// Opens the directory of the file at `path`; returns it with the file's name.
    ///
    /// # Errors
    /// `InvalidInput` for a path that does not end in a name.
    pub fn of_file(path: &Path) -> io::Result<(Self, PathBuf)> {
        let (parent, name) = split(path)?;
        Ok((Self::open(&parent)?, name))
    }

    /// Like [`of_file`](Self::of_file), but creates missing directories.
    pub fn made_for(path: &Path) -> io::Result<(Self, PathBuf)> {
        let (parent, name) = split(path)?;
        Ok((Self::make(&parent)?, name))
    }

    /// The path as the operator gave it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path no longer exists. Files written to such a directory are lost to the
    /// operator.
    pub fn is_gone(&self) -> bool {
        matches!(fs::metadata(&self.absolute), Err(error) if error.kind() == ErrorKind::NotFound)
    }

    /// Opens a subdirectory.
    pub fn subdirectory(&self, name: impl AsRef<Path>) -> io::Result<Self> {
        let name = name.as_ref();
        Ok(self.below(self.handle.subdirectory(name)?, name))
    }

    /// Opens a subdirectory and creates it if it is missing.
    pub fn make_subdirectory(&self, name: impl AsRef<Path>) -> io::Result<Self> {
        let name = name.as_ref();
        match self.handle.new_subdirectory(name, &self.path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.subdirectory(name),
            made => Ok(self.below(made?, name)),
        }
    }

    /// Looks up a file; `None` if it does not exist.
    ///
    /// # Errors
    /// [`Refused`] for anything but a regular file.
    pub fn find(&self, name: impl AsRef<Path>) -> io::Result<Option<Found>> {
        match self.handle.status(name.as_ref()) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            found => regular(&found?).map(Some),
        }
    }

    /// Whether the file with this name is `file`.
    pub fn holds(&self, name: impl AsRef<Path>, file: &File) -> bool {
        let there = self.handle.status(name.as_ref());
        let identity = |found: Status| found.identity;
        there.map(identity).ok() == system::status_of(file).map(identity).ok()
    }

    /// Opens a file for reading.
    pub fn open_file(&self, name: impl AsRef<Path>) -> io::Result<File> {
        self.open_with(name.as_ref(), Access::Read).map(|(file, _)| file)
    }

    /// Opens a file for reading and writing and creates it if it is missing.
    ///
    /// # Errors
    /// [`Refused`] also for a file with several hard links: another link may be in another
    /// directory.
    pub fn open_or_create(&self, name: impl AsRef<Path>) -> io::Result<(File, Found)> {
        self.open_with(name.as_ref(), Access::Write)
    }

    /// Opens a file for appending and creates it if it is missing.
    ///
    /// # Errors
    /// [`Refused`] also for a file with several hard links: another link may be in another
    /// directory.
    pub fn open_to_append(&self, name: impl AsRef<Path>) -> io::Result<File> {
        self.open_with(name.as_ref(), Access::Append).map(|(file, _)| file)
    }

    /// Opens a file that is about to be locked. A missing file is created if `create` is set.
    pub(crate) fn open_to_lock(&self, name: &Path, how: Locking, create: bool) -> io::Result<File> {
        let access = if create { Access::Lock(how) } else { Access::LockExisting(how) };
        self.open_with(name, access).map(|(file, _)| file)
    }

    fn open_with(&self, name: &Path, access: Access) -> io::Result<(File, Found)> {
        // Opening a device can have side effects, so a name that belongs to a device is not opened.
        // Only a device that replaces a file at this very moment is.
        let usable = |found: Found| match access.writes() && found.links > 1 {
            true => Err(io::Error::from(Refused::SeveralNames)),
            false => Ok(found),
        };
        self.find(name)?.map(usable).transpose()?;
        let file = self.handle.open_file(name, access)?;
        let found = usable(regular(&system::status_of(&file)?)?)?;
        if access.writes() {
            system::restrict(&file, &self.path)?;
        }
        Ok((file, found))
    }

    /// Creates a file; fails if the name exists.
    pub fn create_new(&self, name: impl AsRef<Path>) -> io::Result<File> {
        self.create(name.as_ref(), Access::New)
    }

    fn create(&self, name: &Path, access: Access) -> io::Result<File> {
        let file = self.handle.open_file(name, access)?;
        // The umask may have removed permissions of the owner.
        system::restrict(&file, &self.path)?;
        Ok(file)
    }

    /// Reads a whole file; `None` if it does not exist.
    ///
    /// # Errors
    /// [`Refused`] for a file of more than `most` bytes, before any byte is read.
    pub fn read(&self, name: impl AsRef<Path>, most: u64) -> io::Result<Option<Vec<u8>>> {
        let file = match self.open_file(name) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let length = file.metadata()?.len();
        if length > most {
            return Err(Refused::TooLong { length, most }.into());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        // The file may have grown in the meantime.
        match file.take(most + 1).read_to_end(&mut bytes)? as u64 {
            length if length > most => Err(Refused::TooLong { length, most }.into()),
            _ => Ok(Some(bytes)),
        }
    }

    /// Replaces the contents of the file with `text` atomically.
    pub fn replace(&self, name: impl AsRef<Path>, text: &[u8]) -> io::Result<()> {
        let name = name.as_ref();
        let mut new = self.new_file(name)?;
        new.write_all(text)?;
        new.keep(name)
    }

    /// Creates a file under an unpredictable temporary name; [`NewFile::keep`] renames it to
    /// `name`.
    pub fn new_file(&self, name: impl AsRef<Path>) -> io::Result<NewFile> {
        let name = name.as_ref();
        let temporary = temporary_name(name);
        let file = self.create_new(&temporary)?;
        Ok(NewFile { directory: self.clone(), temporary, file, is_kept: false })
    }

    /// Creates a second hard link to the file `first` under an unpredictable temporary name;
    /// [`NewFile::keep`] renames it to `name`.
    pub fn new_link(&self, first: &str, name: &str) -> io::Result<NewFile> {
        let temporary = temporary_name(name.as_ref());
        self.handle.link(first.as_ref(), temporary.as_ref())?;
        let file = self.open_file(&temporary).inspect_err(|_| self.unlink(&temporary))?;
        Ok(NewFile { directory: self.clone(), temporary, file, is_kept: false })
    }

    /// Creates a file without a name. Only the owner can read it, and it is deleted when no process
    /// has it open any more. On Windows, the file has a name as long as it is open.
    pub fn unnamed_file(&self) -> io::Result<File> {
        self.create(temporary_name(Path::new("spool")).as_ref(), Access::Temporary)
    }

    /// Renames a file within the directory and syncs the directory.
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
        let (from, to) = (from.as_ref(), to.as_ref());
        self.find(to)?;
        self.handle.rename(from, to)?;
        self.sync()?;
        match self.is_gone() {
            true => Err(ErrorKind::NotFound.into()),
            false => Ok(()),
        }
    }

    /// Removes a file; does nothing if it does not exist.
    pub fn remove(&self, name: impl AsRef<Path>) -> io::Result<()> {
        let name = name.as_ref();
        if self.find(name)?.is_none() {
            return Ok(());
        }
        match self.handle.unlink(name) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn unlink(&self, temporary: &str) {
        // A later run removes the file if this fails.
        let _ = self.handle.unlink(temporary.as_ref());
    }

    /// Removes the temporary files that killed runs left behind and whose names begin with
    /// `beginning`. No other process may be writing to such files.
    pub fn sweep(&self, beginning: &str) -> io::Result<()> {
        for name in self.names()? {
            let name = name?;
            let Some(name) = name.to_str().filter(|name| is_temporary(name)) else { continue };
            if name[1..].starts_with(beginning) && matches!(self.find(name), Ok(Some(_))) {
                self.unlink(name);
            }
        }
        Ok(())
    }

    /// The names in the directory, in no particular order.
    pub fn names(&self) -> io::Result<impl Iterator<Item = io::Result<OsString>> + use<>> {
        self.handle.names()
    }

    /// Syncs changes of names in the directory to the disk, if the filesystem supports this.
    pub fn sync(&self) -> io::Result<()> {
        self.handle.sync()
    }

    /// The free space in bytes for ordinary users (`f_bavail` of statvfs(3)); `None` if the
    /// system does not report it.
    pub fn free_space(&self) -> Option<u64> {
        self.handle.free_space()
    }

    /// Warns, once per directory, if other users can write to it.
    pub fn warn_if_shared(&self) {
        self.handle.warn_if_shared(&self.path);
    }
}

/// A file under its temporary name. If it is dropped before [`keep`](Self::keep), it is removed:
/// when the disk is full, an incomplete file should not take up space.
#[derive(Debug)]
pub struct NewFile {
    directory: Dir,
    temporary: String,
    file: File,
    is_kept: bool,
}

impl NewFile {
    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Syncs the file to the disk and then gives it its final name.
    pub fn keep(mut self, name: impl AsRef<Path>) -> io::Result<()> {
        sync_all(&self.file)?;
        self.directory.rename(&self.temporary, name)?;
        self.is_kept = true;
        Ok(())
    }

    /// Keeps the file under its temporary name and returns its path.
    pub fn leave(mut self) -> PathBuf {
        self.is_kept = true;
        self.directory.path().join(&self.temporary)
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_kept {
            self.directory.unlink(&self.temporary);
        }
    }
}

/// Whether a name has the form of the temporary names of [`Dir::new_file`].
pub fn is_temporary(name: &str) -> bool {
    let random = name.strip_prefix('.').and_then(|name| name.strip_suffix(NEW)?.rsplit_once('.'));
    random.is_some_and(|(_, random)| {
        random.len() == 32 && random.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

fn temporary_name(name: &Path) -> String {
    // Filesystems limit names to 255 bytes.
    let short: String = name.to_string_lossy().chars().take(40).collect();
    format!(".{short}.{}{NEW}", Uuid::new_v4().simple())
}

/// Creates a directory and its missing parents.
fn make_directory(path: &Path) -> io::Result<()> {
    match make_one(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => {
                make_directory(parent)?;
                make_one(path)
            }
            _ => Err(error),
        },
        made => made,
    }
}

fn make_one(path: &Path) -> io::Result<()> {
    match system::make_directory(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

fn split(path: &Path) -> io::Result<(PathBuf, PathBuf)> {
    let path = std::path::absolute(path)?;
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok((parent.to_owned(), name.into())),
        _ => Err(ErrorKind::InvalidInput.into()),
    }
}

/// The length and links of a regular file; [`Refused`] for anything else.
fn regular(found: &Status) -> io::Result<Found> {
    match found.kind {
        FileKind::Regular => Ok(Found { length: found.length, links: found.links }),
        other => Err(Refused::NotAFile(other).into()),
    }
}

/// The suffix of a temporary name.
const NEW: &str = ".new";

#[cfg(all(test, unix))]
mod tests;
