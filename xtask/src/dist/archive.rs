//! Archives that depend only on their contents.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::release::Release;
use crate::failure::{Context, Failure};
use crate::shell::succeed;
use crate::workspace;

/// Writes the tarball of the commit.
pub(crate) fn write_source(release: &Release, archive: &Path) -> Result<(), Failure> {
    let mut git = Command::new("git");
    git.args(["-c", &format!("tar.tar.gz.command={GZIP}"), "archive", "--format=tar.gz"]);
    git.arg(format!("--prefix={}/", release.title()))
        .arg("--output")
        .arg(archive)
        .arg(&release.commit);
    succeed(git.current_dir(workspace::root()))
}

/// Writes the tarball of a folder. The suffix of its name selects the compression.
pub(crate) fn write(release: &Release, folder: &Path, archive: &Path) -> Result<(), Failure> {
    let (Some(parent), Some(name)) = (folder.parent(), folder.file_name()) else {
        return Err(Failure::new(format!("{} is not in a folder", folder.display())));
    };
    let compress = match archive.extension().is_some_and(|extension| extension == "gz") {
        true => GZIP,
        false => XZ,
    };
    let mut tar = Command::new("tar");
    tar.args(["--create", "--sort=name", "--owner=0", "--group=0", "--numeric-owner"]);
    tar.args(["--format=gnu", "--mode=u=rwX,go=rX", &format!("--mtime=@{}", release.epoch)]);
    tar.args(["--use-compress-program", compress, "--file"]).arg(archive);
    succeed(tar.arg("--directory").arg(parent).arg(name))
}

/// Writes `SHA256SUMS` with the sums of all files of a directory.
pub(crate) fn write_sums(directory: &Path) -> Result<(), Failure> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).context(|| directory.display().to_string())? {
        names.push(entry.context(|| directory.display().to_string())?.file_name());
    }
    names.retain(|name| name != SUMS);
    names.sort();
    let mut sums = Command::new("sha256sum");
    let output = sums.arg("--").args(names).current_dir(directory).output();
    let output = output.context(|| "cannot run sha256sum")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("sha256sum: {said}")));
    }
    let file = directory.join(SUMS);
    fs::write(&file, output.stdout).context(|| file.display().to_string())
}

/// The name of the file with the sums.
pub(crate) const SUMS: &str = "SHA256SUMS";

const GZIP: &str = "gzip --no-name --best";

/// The result depends on whether xz uses several threads, but not on their number.
const XZ: &str = "xz --threads=2";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_depends_only_on_names_contents_and_the_time_of_the_release() {
        // With gzip, because xz is not on every machine.
        let release = Release::example();
        let directory = tempfile::tempdir().unwrap();
        let write_one = |place: &str, mode: u32| {
            use std::os::unix::fs::PermissionsExt;
            let folder = directory.path().join(place).join("folder");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("a"), "a").unwrap();
            fs::set_permissions(folder.join("a"), fs::Permissions::from_mode(mode)).unwrap();
            let archive = directory.path().join(place).join("archive.tar.gz");
            write(&release, &folder, &archive).unwrap();
            fs::read(archive).unwrap()
        };
        assert_eq!(write_one("one", 0o600), write_one("two", 0o664));
    }

    #[test]
    fn the_sums_are_sorted_and_leave_out_their_own_file() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b", "a", SUMS] {
            fs::write(directory.path().join(name), name).unwrap();
        }
        write_sums(directory.path()).unwrap();
        let sums = fs::read_to_string(directory.path().join(SUMS)).unwrap();
        let names: Vec<&str> =
            sums.lines().filter_map(|line| line.split_once("  ")).map(|it| it.1).collect();
        assert_eq!(names, ["a", "b"]);
    }
}
