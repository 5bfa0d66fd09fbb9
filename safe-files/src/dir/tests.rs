use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::os::unix::net::UnixListener;

use rustix::fs::{CWD, Mode};
use tempfile::TempDir;

use super::*;

/// A directory in which other users planted files, and files outside that must stay unchanged.
struct Planted {
    base: TempDir,
    dir: Dir,
}

impl Planted {
    fn new() -> Self {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("secret"), "the secret").unwrap();
        fs::create_dir(base.path().join("outside")).unwrap();
        let dir = Dir::make(&base.path().join("made/dir")).unwrap();
        Self { base, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Files of other types under the name of a regular file.
    fn plant(&self, name: &str) -> Vec<&'static str> {
        let outside = |what: &str| self.base.path().join(what);
        symlink(outside("secret"), self.path(&format!("{name}.link"))).unwrap();
        symlink(outside("new"), self.path(&format!("{name}.dangling"))).unwrap();
        symlink(format!("{name}.loop"), self.path(&format!("{name}.loop"))).unwrap();
        fs::create_dir(self.path(&format!("{name}.directory"))).unwrap();
        rustix::fs::mkfifoat(CWD, self.path(&format!("{name}.pipe")), Mode::RUSR | Mode::WUSR)
            .unwrap();
        drop(UnixListener::bind(self.path(&format!("{name}.socket"))).unwrap());
        vec!["link", "dangling", "loop", "directory", "pipe", "socket"]
    }

    fn is_untouched(&self) {
        let secret = fs::read_to_string(self.base.path().join("secret")).unwrap();
        assert_eq!(secret, "the secret");
        assert!(!self.base.path().join("new").exists());
        assert_eq!(fs::read_dir(self.base.path().join("outside")).unwrap().count(), 0);
    }
}

fn is_refused<T: std::fmt::Debug>(done: io::Result<T>) {
    let error = done.unwrap_err();
    assert!(Refused::of(&error).is_some(), "{error:?}");
}

#[test]
fn only_regular_files_are_read_written_or_replaced() {
    let planted = Planted::new();
    let dir = &planted.dir;
    for kind in planted.plant("x") {
        let name = format!("x.{kind}");
        is_refused(dir.find(&name));
        is_refused(dir.open_file(&name));
        is_refused(dir.open_or_create(&name));
        is_refused(dir.open_to_append(&name));
        is_refused(dir.read(&name, 100));
        is_refused(dir.replace(&name, b"text"));
        is_refused(dir.remove(&name));
        assert_eq!(dir.create_new(&name).unwrap_err().kind(), ErrorKind::AlreadyExists);
        if kind != "directory" {
            is_refused(dir.subdirectory(&name).map(drop));
            is_refused(dir.make_subdirectory(&name).map(drop));
        }
    }
    assert!(fs::metadata(planted.path("x.pipe")).unwrap().file_type().is_fifo());
    planted.is_untouched();
    let left = dir.names().unwrap().map(Result::unwrap).filter(|name| {
        let name = name.to_str().unwrap();
        !name.starts_with("x.")
    });
    assert_eq!(left.collect::<Vec<_>>(), Vec::<OsString>::new(), "no temporary file is left");
}

#[test]
fn a_refusal_says_what_is_there() {
    let planted = Planted::new();
    planted.plant("x");
    let said = |name: &str| planted.dir.find(name).unwrap_err().to_string();
    assert_eq!(said("x.dangling"), "the file is a symbolic link, not a regular file");
    assert_eq!(said("x.pipe"), "the file is a named pipe, not a regular file");
    let link = planted.base.path().join("outside");
    symlink(link, planted.path("metadefs")).unwrap();
    let said = planted.dir.subdirectory("metadefs").unwrap_err().to_string();
    assert_eq!(said, "the file is a symbolic link, not a directory");
}

#[test]
fn files_appear_whole_for_their_owner_alone() {
    let planted = Planted::new();
    let dir = &planted.dir;
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!([mode(dir.path()), mode(&planted.base.path().join("made"))], [0o700; 2]);
    let mut new = dir.new_file("record.json").unwrap();
    new.write_all(b"half").unwrap();
    assert!(is_temporary(&new.temporary) && !planted.path("record.json").exists());
    drop(new);
    assert_eq!(dir.names().unwrap().count(), 0);
    dir.replace("record.json", b"one").unwrap();
    dir.replace("record.json", b"two").unwrap();
    assert_eq!(dir.read("record.json", 3).unwrap().unwrap(), b"two");
    assert_eq!(mode(&planted.path("record.json")), 0o600);
    assert_eq!(dir.names().unwrap().count(), 1);
    assert!(!is_temporary("record.json.new") && !is_temporary(".a.new"));
}

#[test]
fn a_file_over_the_limit_is_refused_before_it_is_read() {
    let planted = Planted::new();
    let huge = planted.dir.create_new("huge").unwrap();
    huge.set_len(1 << 40).unwrap();
    let error = planted.dir.read("huge", 16 << 20).unwrap_err();
    let said = "the file has 1099511627776 bytes, more than the limit of 16 MiB";
    assert_eq!(error.to_string(), said);
    assert_eq!(planted.dir.read("none", 1).unwrap(), None);
}

#[test]
fn what_is_added_to_a_file_is_not_added_to_another() {
    let planted = Planted::new();
    fs::hard_link(planted.base.path().join("secret"), planted.path("lines")).unwrap();
    is_refused(planted.dir.open_to_append("lines"));
    planted.is_untouched();
}

#[test]
fn leftovers_are_swept_away_and_nothing_else() {
    let planted = Planted::new();
    let dir = &planted.dir;
    dir.new_file("a.json").unwrap().leave();
    dir.new_file("b.json").unwrap().leave();
    dir.replace(".c.new", b"").unwrap();
    symlink(planted.base.path().join("secret"), planted.path(&temporary_name(Path::new("a.json"))))
        .unwrap();
    dir.sweep("a").unwrap();
    assert_eq!(dir.names().unwrap().count(), 3, "a link is not touched");
    dir.sweep("").unwrap();
    assert_eq!(dir.names().unwrap().count(), 2);
    planted.is_untouched();
}

#[test]
fn a_directory_that_is_moved_away_takes_no_more_files() {
    let planted = Planted::new();
    fs::rename(planted.dir.path(), planted.base.path().join("elsewhere")).unwrap();
    let error = planted.dir.replace("record.json", b"text").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(planted.dir.is_gone());
}

#[test]
fn lines_have_a_limit() {
    let text = [b"one\ntwo\n".as_slice(), &vec![0; 2 << 20], b"\nlast"].concat();
    let mut lines = Lines::of(&*text);
    assert_eq!(lines.next_line().unwrap().unwrap(), b"one\n");
    assert_eq!(lines.next_line().unwrap().unwrap(), b"two\n");
    assert_eq!(lines.next_line().unwrap_err().kind(), ErrorKind::InvalidData);
    let mut lines = Lines::of(&b"torn"[..]);
    assert_eq!(lines.next_line().unwrap().unwrap(), b"torn");
    assert_eq!(lines.next_line().unwrap(), None);
}
