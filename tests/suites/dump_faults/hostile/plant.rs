//! Creates dump directories that an attacker has modified.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::outside::Outside;

/// The replacement for a file of the dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A symbolic link to a file elsewhere with the same format.
    Link,
    /// A symbolic link to a file that does not exist.
    Dangling,
    Loop,
    Pipe,
    /// A link to a device that reads as endless zeros and accepts every write.
    Device,
    Socket,
    /// A directory in place of a file, or a file in place of a directory.
    Directory,
    /// A sparse file of 1 TiB.
    Huge,
    /// JSON of the maximum permitted length, with values that take the most memory.
    Bomb,
    /// A hard link to a file elsewhere.
    HardLink,
    /// The original file, owned by another user and readable by everyone.
    Foreign,
}

impl Kind {
    pub(super) const ALL: [Self; 11] = [
        Self::Link,
        Self::Dangling,
        Self::Loop,
        Self::Pipe,
        Self::Device,
        Self::Socket,
        Self::Directory,
        Self::Huge,
        Self::Bomb,
        Self::HardLink,
        Self::Foreign,
    ];

    /// Whether this kind can replace the file `role`.
    #[allow(clippy::case_sensitive_file_extension_comparisons, reason = "the tool's own names")]
    pub(super) fn suits(self, role: &str) -> bool {
        let is_directory = role == "metadefs";
        match self {
            Self::Bomb => role.ends_with(".json") || role == super::OLD,
            // Files that are only read may be hard links: equal data of several images shares a
            // file.
            Self::HardLink => role.ends_with(".partial") || role.ends_with(".lock"),
            // Only the existence of a `.failed` file matters; its content is never read.
            Self::Huge => !is_directory && !role.ends_with(".failed"),
            Self::Foreign => !is_directory,
            _ => true,
        }
    }

    /// Puts the replacement in the place of `role` in the dump.
    pub(super) fn plant(self, dump: &Path, role: &str, outside: &Outside) {
        let place = dump.join(role);
        let original = fs::read(&place).unwrap_or_default();
        if self != Self::Foreign {
            remove(&place);
        }
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        match self {
            Self::Link => symlink(outside.in_place_of(role), &place).unwrap(),
            Self::Dangling => symlink(outside.path().join("new"), &place).unwrap(),
            Self::Loop => symlink(place.file_name().unwrap(), &place).unwrap(),
            Self::Pipe => run("mkfifo", &[&place]),
            Self::Device => {
                let words = ["-m", "666", place.to_str().unwrap(), "c", "1", "5"];
                run("mknod", &words.map(PathBuf::from));
            }
            Self::Socket => drop(UnixListener::bind(&place).unwrap()),
            Self::Directory if role == "metadefs" => fs::write(&place, "{}").unwrap(),
            Self::Directory => {
                fs::create_dir(&place).unwrap();
                fs::write(place.join("file"), "in it").unwrap();
            }
            Self::Huge => fs::File::create(&place).unwrap().set_len(1 << 40).unwrap(),
            Self::Bomb => fs::write(&place, format!("[0{}]", ",0".repeat(8_000_000))).unwrap(),
            Self::HardLink => fs::hard_link(outside.in_place_of(role), &place).unwrap(),
            Self::Foreign => {
                if !place.exists() {
                    fs::write(&place, original).unwrap();
                }
                std::os::unix::fs::chown(&place, Some(12_345), Some(12_345)).unwrap();
                fs::set_permissions(&place, fs::Permissions::from_mode(0o666)).unwrap();
            }
        }
    }
}

/// Every regular file below `directory` with its contents. Symbolic links are not followed.
pub(super) fn files_below(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let (path, kind) = entry.map(|it| (it.path(), it.file_type().unwrap())).unwrap();
        if kind.is_dir() {
            files.extend(files_below(&path));
        } else if kind.is_file() && fs::metadata(&path).unwrap().len() < 64 << 20 {
            let text = fs::read(&path).unwrap();
            files.push((path, text));
        }
        assert!(!kind.is_block_device());
    }
    files
}

fn remove(place: &Path) {
    match fs::symlink_metadata(place) {
        Err(_) => {}
        Ok(found) if found.is_dir() => fs::remove_dir_all(place).unwrap(),
        Ok(_) => fs::remove_file(place).unwrap(),
    }
}

fn run(program: &str, words: &[impl AsRef<std::ffi::OsStr>]) {
    assert!(Command::new(program).args(words).status().unwrap().success(), "{program}");
}
