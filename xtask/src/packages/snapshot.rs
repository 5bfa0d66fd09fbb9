//! The files of a system, to compare them before and after.

use std::collections::BTreeSet;
use std::process::Command;

use super::system::System;
use crate::failure::{Context, Failure};

/// Every file of a system: type, mode, owner, path, the target of a link, and the checksum of what
/// is below `/etc`.
pub(crate) struct Snapshot(BTreeSet<String>);

impl Snapshot {
    /// Reads a system.
    pub(crate) fn of(system: &System) -> Result<Self, Failure> {
        let root = system.path("/");
        let read = |command: &mut Command| {
            let output = command.current_dir(&root).output().context(|| "cannot run find")?;
            match output.status.success() {
                true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
                false => Err(Failure::new(String::from_utf8_lossy(&output.stderr))),
            }
        };
        let mut find = Command::new("find");
        let files = read(find.args([".", "-xdev", "-printf", "%y %m %U:%G %p %l\\n"]))?;
        let mut sums = Command::new("find");
        let sums = read(sums.args(["./etc", "-type", "f", "-exec", "sha256sum", "{}", "+"]))?;
        Ok(Self::from(&[files, sums].concat()))
    }

    fn from(lines: &str) -> Self {
        let kept = lines.lines().filter(|line| !line.split(' ').any(changes_anyway));
        Self(kept.map(|line| line.trim_end().to_owned()).collect())
    }

    /// Fails unless `after` has the same files.
    pub(crate) fn expect_same(&self, after: &Self) -> Result<(), Failure> {
        let gone = self.0.difference(&after.0).map(|line| format!("- {line}"));
        let new = after.0.difference(&self.0).map(|line| format!("+ {line}"));
        let differences: Vec<String> = gone.chain(new).collect();
        let differences = differences.join("\n");
        match differences.is_empty() {
            true => Ok(()),
            false => Err(Failure::new(format!("the files differ from before:\n{differences}"))),
        }
    }
}

/// Whether a path is one that every installation or every run of a Python program changes:
/// temporary files, caches, logs, the databases of the package manager, and the account files,
/// which are compared as accounts.
fn changes_anyway(path: &str) -> bool {
    CHANGING.iter().any(|start| path.starts_with(start)) || path.contains("/__pycache__")
}

const CHANGING: &[&str] = &[
    "./dev/",
    "./etc/.pwd.lock",
    "./etc/group",
    "./etc/gshadow",
    "./etc/ld.so.cache",
    "./etc/passwd",
    "./etc/shadow",
    "./proc/",
    "./tmp/",
    "./var/cache/",
    "./var/lib/apt/",
    "./var/lib/dpkg/",
    "./var/lib/rpm/",
    "./var/log/",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_gone_and_changed_files_are_differences() {
        let before = Snapshot::from("f 644 0:0 ./usr/a\nf 644 0:0 ./usr/b\nd 755 0:0 ./usr\n");
        let after = Snapshot::from("f 600 0:0 ./usr/a\nd 755 0:0 ./usr\nl 777 0:0 ./usr/c b\n");
        let said = before.expect_same(&after).unwrap_err().to_string();
        for line in ["- f 644 0:0 ./usr/a", "- f 644 0:0 ./usr/b", "+ l 777 0:0 ./usr/c b"] {
            assert!(said.contains(line), "{said}");
        }
        assert!(before.expect_same(&before).is_ok());
    }

    #[test]
    fn caches_are_left_out_but_no_path_that_only_begins_like_one() {
        let before = Snapshot::from("");
        let cache = Snapshot::from(
            "f 644 0:0 ./var/cache/man/index.db\nf 644 0:0 ./tmp/x\n\
             d 755 0:0 ./usr/lib/python3/__pycache__\n",
        );
        assert!(before.expect_same(&cache).is_ok());
        let other = Snapshot::from("d 755 0:0 ./var/cached\n");
        assert!(before.expect_same(&other).is_err());
    }
}
