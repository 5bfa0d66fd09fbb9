//! A small filesystem.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use safe_files::dir::Dir;

/// A mounted tmpfs; dropping the value unmounts it. Requires root.
pub(super) struct Disk {
    point: tempfile::TempDir,
}

impl Disk {
    pub(super) fn of(mebibytes: usize) -> Self {
        let disk = Self { point: tempfile::tempdir().unwrap() };
        disk.mount(&format!("size={mebibytes}m,mode=700"));
        disk
    }

    pub(super) fn path(&self) -> &Path {
        self.point.path()
    }

    pub(super) fn read_only(&self) {
        self.mount("remount,ro");
    }

    pub(super) fn writable(&self) {
        self.mount("remount,rw");
    }

    /// A file that, once filled, takes all free space but `left` bytes.
    pub(super) fn ballast(&self, left: u64) -> Ballast {
        Ballast { path: self.path().join("ballast"), left }
    }

    fn mount(&self, options: &str) {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "dump-faults"]).arg(self.path());
        assert!(mount.status().unwrap().success(), "only root may mount: {mount:?}");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A lazy unmount, because a failed test may have left a process running there.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

/// A file that takes up free space.
#[derive(Clone)]
pub(super) struct Ballast {
    path: PathBuf,
    left: u64,
}

impl Ballast {
    pub(super) fn fill(&self) {
        let free = || Dir::open(self.path.parent().unwrap()).unwrap().free_space().unwrap();
        let mut file = File::create(&self.path).unwrap();
        while free() > self.left {
            file.write_all(&[1; 4096]).unwrap();
        }
    }

    pub(super) fn remove(&self) {
        std::fs::remove_file(&self.path).unwrap();
    }
}
