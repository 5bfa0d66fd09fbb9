//! The tool's own files in a directory that other users may be able to write to.
//!
//! A [`Dir`] holds the descriptor of a directory and looks up every name in it, without following
//! symbolic links. If anything but a regular file has the name of a file, the operation fails
//! before a byte is read or written. The path of the directory itself comes from the operator and
//! may contain links.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, chmodat, fstat, openat, statat};
use rustix::io::Errno;
use uuid::Uuid;

mod lines;
mod refused;
mod tolerant;

pub use lines::Lines;
pub use refused::Refused;
pub use tolerant::{sync_all, sync_data};

/// An open directory. Clones share the descriptor.
#[derive(Debug, Clone)]
pub struct Dir {
    descriptor: Arc<OwnedFd>,
    /// The path as the operator gave it.
    path: PathBuf,
    /// The absolute path, independent of the working directory.
    absolute: PathBuf,
}

/// Runs file operations on a thread that may block.
///
/// # Errors
/// Those of `work`, and an error if the thread was aborted.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// A regular file in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// The length in bytes.
    pub length: u64,
    /// The number of hard links.
    pub links: u64,
}

impl Dir {
    /// Opens a directory named by the operator.
    pub fn open(path: &Path) -> io::Result<Self> {
        let descriptor = rustix::fs::open(path, DIRECTORY, Mode::empty())?;
        Ok(Self::new(descriptor, path.to_owned(), std::path::absolute(path)?))
    }

    fn new(descriptor: OwnedFd, path: PathBuf, absolute: PathBuf) -> Self {
        Self { descriptor: Arc::new(descriptor), path, absolute }
    }

    /// Opens a directory and creates it and its parents with mode 0700 if they are missing.
    /// Existing directories keep their modes.
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
        match openat(&self.descriptor, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(descriptor) => {
                Ok(Self::new(descriptor, self.path.join(name), self.absolute.join(name)))
            }
            Err(Errno::NOTDIR | Errno::LOOP) => Err(self.refused_directory(name)),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a subdirectory and creates it if it is missing.
    pub fn make_subdirectory(&self, name: impl AsRef<Path>) -> io::Result<Self> {
        let name = name.as_ref();
        match rustix::fs::mkdirat(&self.descriptor, name, Mode::RWXU) {
            Err(Errno::EXIST) => self.subdirectory(name),
            made => {
                made?;
                let made = self.subdirectory(name).or_else(|error| match error.kind() {
                    // The umask may have removed permissions of the owner.
                    ErrorKind::PermissionDenied => {
                        chmodat(&self.descriptor, name, Mode::RWXU, AtFlags::empty())?;
                        self.subdirectory(name)
                    }
                    _ => Err(error),
                })?;
                let file = File::from(made.descriptor.try_clone()?);
                tolerant::set_mode(&file, 0o700, &self.path)?;
                Ok(made)
            }
        }
    }

    /// Looks up a file; `None` if it does not exist.
    ///
    /// # Errors
    /// [`Refused`] for anything but a regular file.
    pub fn find(&self, name: impl AsRef<Path>) -> io::Result<Option<Found>> {
        let name = name.as_ref();
        match statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            found => regular(&found?).map(Some),
        }
    }

    /// Whether the file with this name is `file`.
    pub fn holds(&self, name: impl AsRef<Path>, file: &File) -> bool {
        let name = name.as_ref();
        let there = statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW);
        let identity = |found: Stat| (found.st_dev, found.st_ino);
        there.map(identity).ok() == fstat(file).map(identity).ok()
    }

    /// Opens a file for reading.
    pub fn open_file(&self, name: impl AsRef<Path>) -> io::Result<File> {
        self.open_with(name.as_ref(), OFlags::RDONLY).map(|(file, _)| file)
    }

    /// Opens a file for reading and writing and creates it if it is missing.
    ///
    /// # Errors
    /// [`Refused`] also for a file with several hard links: another link may be in another
    /// directory.
    pub fn open_or_create(&self, name: impl AsRef<Path>) -> io::Result<(File, Found)> {
        self.open_with(name.as_ref(), OFlags::RDWR | OFlags::CREATE)
    }

    /// Opens a file for appending and creates it if it is missing.
    ///
    /// # Errors
    /// [`Refused`] also for a file with several hard links: another link may be in another
    /// directory.
    pub fn open_to_append(&self, name: impl AsRef<Path>) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE;
        self.open_with(name.as_ref(), flags).map(|(file, _)| file)
    }

    fn open_with(&self, name: &Path, flags: OFlags) -> io::Result<(File, Found)> {
        // Opening a device can have side effects, so a name that belongs to a device is not opened.
        // Only a device that replaces a file at this very moment is.
        let writes = flags.contains(OFlags::CREATE);
        let usable = |found: Found| match writes && found.links > 1 {
            true => Err(io::Error::from(Refused::SeveralNames)),
            false => Ok(found),
        };
        self.find(name)?.map(usable).transpose()?;
        let guarded = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = openat(&self.descriptor, name, flags | guarded, OWNER);
        let file = File::from(opened.map_err(|error| match error {
            Errno::LOOP => Refused::NotAFile(FileType::Symlink).into(),
            error => io::Error::from(error),
        })?);
        let found = usable(regular(&fstat(&file)?)?)?;
        if writes {
            tolerant::set_mode(&file, 0o600, &self.path)?;
        }
        Ok((file, found))
    }

    /// Creates a file; fails if the name exists.
    pub fn create_new(&self, name: impl AsRef<Path>) -> io::Result<File> {
        let name = name.as_ref();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = File::from(openat(&self.descriptor, name, flags, OWNER)?);
        // The umask may have removed permissions of the owner.
        tolerant::set_mode(&file, 0o600, &self.path)?;
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
        let (from, to) = (&self.descriptor, &self.descriptor);
        rustix::fs::linkat(from, first, to, &temporary, AtFlags::empty())?;
        let file = self.open_file(&temporary).inspect_err(|_| self.unlink(&temporary))?;
        Ok(NewFile { directory: self.clone(), temporary, file, is_kept: false })
    }

    /// Creates a file without a name. Only the owner can read it, and it is deleted when no process
    /// has it open any more.
    pub fn unnamed_file(&self) -> io::Result<File> {
        let name = temporary_name(Path::new("spool"));
        let file = self.create_new(&name)?;
        rustix::fs::unlinkat(&self.descriptor, &name, AtFlags::empty())?;
        Ok(file)
    }

    /// Opens a file that may contain data already, and returns the length of that data. A file with
    /// several hard links, which is shared and must not change, is replaced by a new one.
    pub fn open_begun(&self, name: impl AsRef<Path>) -> io::Result<(File, u64)> {
        let name = name.as_ref();
        match self.find(name)? {
            Some(found) if found.links > 1 => Ok((self.create_anew(name)?, 0)),
            _ => self.open_or_create(name).map(|(file, found)| (file, found.length)),
        }
    }

    /// Creates a file and removes one with the same name.
    pub fn create_anew(&self, name: impl AsRef<Path>) -> io::Result<File> {
        let name = name.as_ref();
        self.remove(name)?;
        self.create_new(name)
    }

    /// Renames a file within the directory and syncs the directory.
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
        self.rename_into(from, self, to)
    }

    /// Moves a file to `directory`, on the same filesystem, and syncs the names there.
    pub fn rename_into(
        &self,
        from: impl AsRef<Path>,
        directory: &Self,
        to: impl AsRef<Path>,
    ) -> io::Result<()> {
        let (from, to) = (from.as_ref(), to.as_ref());
        directory.find(to)?;
        rustix::fs::renameat(&self.descriptor, from, &directory.descriptor, to)?;
        directory.sync()?;
        match directory.is_gone() {
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
        match rustix::fs::unlinkat(&self.descriptor, name, AtFlags::empty()) {
            Err(error) if error != Errno::NOENT => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Removes a subdirectory if it is empty; does nothing if it is not, or if it does not exist.
    pub fn remove_subdirectory(&self, name: impl AsRef<Path>) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.descriptor, name.as_ref(), AtFlags::REMOVEDIR) {
            Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
            removed => Ok(removed?),
        }
    }

    fn unlink(&self, temporary: &str) {
        // A later run removes the file if this fails.
        let _ = rustix::fs::unlinkat(&self.descriptor, temporary, AtFlags::empty());
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
        let entries = rustix::fs::Dir::read_from(&*self.descriptor)?;
        Ok(entries.filter_map(|entry| match entry {
            Ok(entry) if matches!(entry.file_name().to_bytes(), b"." | b"..") => None,
            Ok(entry) => Some(Ok(OsString::from_vec(entry.file_name().to_bytes().to_vec()))),
            Err(error) => Some(Err(error.into())),
        }))
    }

    /// Syncs changes of names in the directory to the disk, if the filesystem supports this.
    pub fn sync(&self) -> io::Result<()> {
        tolerant::sync_names(&File::from(self.descriptor.try_clone()?))
    }

    /// The free space in bytes for ordinary users (`f_bavail` of statvfs(3)); `None` if the
    /// filesystem does not report it.
    pub fn free_space(&self) -> Option<u64> {
        let found = rustix::fs::fstatvfs(&*self.descriptor).ok()?;
        // Network filesystems often do not report a size.
        (found.f_blocks > 0).then(|| found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// Warns, once per directory, if other users can write to it.
    pub fn warn_if_shared(&self) {
        if let Ok(found) = fstat(&*self.descriptor) {
            tolerant::warn_if_shared(&found, &self.path);
        }
    }

    fn refused_directory(&self, name: &Path) -> io::Error {
        match statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Refused::NotADirectory(FileType::from_raw_mode(found.st_mode)).into(),
            Err(error) => error.into(),
        }
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
    match DirBuilder::new().mode(0o700).create(path) {
        // The umask may have removed permissions of the owner.
        Ok(()) => tolerant::unless_unsupported(
            fs::set_permissions(path, Permissions::from_mode(0o700)),
            path,
        ),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
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
fn regular(found: &Stat) -> io::Result<Found> {
    match FileType::from_raw_mode(found.st_mode) {
        #[allow(clippy::useless_conversion, reason = "other machines have u32")]
        FileType::RegularFile => Ok(Found {
            length: u64::try_from(found.st_size).unwrap_or_default(),
            links: found.st_nlink.into(),
        }),
        other => Err(Refused::NotAFile(other).into()),
    }
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);
const OWNER: Mode = Mode::RUSR.union(Mode::WUSR);
/// The suffix of a temporary name.
const NEW: &str = ".new";

#[cfg(test)]
mod tests;
