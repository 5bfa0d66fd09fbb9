//! Filesystems without optional features, and directories that other users can write to.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::source::Site;
use crate::support::common::{Run, cleared};

/// Runs a command whose system calls with these names fail with this error.
async fn without(site: &Site, (error, calls): (&str, &str), line: &[&str]) -> Run {
    let filter = Path::new(env!("CARGO_MANIFEST_DIR")).join("suites/dump_faults/without.py");
    let mut command = cleared(Command::new("python3"));
    command.arg(filter).args([error, calls, env!("CARGO_BIN_EXE_glance-replicator-under-test")]);
    command.args(site.line(line));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    Run::of(output)
}

pub(super) async fn a_dump_needs_no_more_of_a_filesystem_than_files(stack: &'static str) {
    let site = Site::open(stack).await;
    for number in [1, 2] {
        site.image(number, 1 << 20).await;
    }
    let rows = [
        ("EOPNOTSUPP", "chmod,fchmod,fchmodat", "cannot set file modes in", "options of the mount"),
        ("EPERM", "chmod,fchmod,fchmodat", "cannot set file modes in", "options of the mount"),
        ("EPERM", "link,linkat", "", ""),
        ("EOPNOTSUPP", "link,linkat", "", ""),
        ("ENOLCK", "flock", "does not support locking", "no other run"),
        ("EPERM", "flock", "does not support locking", "no other run"),
        ("EINVAL", "fsync,fdatasync", "confirm that files are on disk", "verify"),
        ("ENOSYS", "statfs,fstatfs", "", ""),
    ];
    for (number, (error, calls, warning, remedy)) in rows.into_iter().enumerate() {
        let dump = site.directory.path().join(format!("dump{number}"));
        let state = site.directory.path().join(format!("state{number}"));
        let line = ["dump", &site.url, dump.to_str().unwrap(), "--state-dir"];
        let line = [&line[..], &[state.to_str().unwrap()]].concat();
        let run = without(&site, (error, calls), &line).await.exits(0);
        let warnings: Vec<&str> = run.stderr.lines().filter(|line| line.contains("WARN")).collect();
        let is_said = |line: &&&str| line.contains(warning) && line.contains(remedy);
        match warning {
            "" => assert!(warnings.is_empty(), "{error} {calls}: {warnings:?}"),
            // Both the dump and the state have a lock.
            _ if calls == "flock" => {
                assert!(warnings.iter().all(|it| is_said(&it)), "{warnings:?}");
            }
            _ => assert_eq!(warnings.iter().filter(is_said).count(), 1, "{warnings:?}"),
        }
        assert!(warnings.len() <= 2, "{warnings:?}");
        site.is_dumped(&dump).await;
    }
}

pub(super) async fn a_directory_that_others_may_write_to_is_named_once(stack: &'static str) {
    let site = Site::open(stack).await;
    site.image(1, 1 << 20).await;
    let path = |name: &str| site.directory.path().join(name);
    let (dump, state) = (path("dump"), path("state"));
    let word = format!("dir:{}", dump.display());
    let state_word = state.to_str().unwrap();
    let line = ["sync", &site.url, &word, "--state-dir", state_word];
    let run = site.run(&line).await.exits(0);
    assert!(!run.stderr.contains("is writable by"), "{}", run.stderr);
    for (mode, writers) in [(0o777, "every user (mode 0777)"), (0o770, "the group (mode 0770)")] {
        for shared in [&dump, &state.join("journal"), &state] {
            fs::set_permissions(shared, fs::Permissions::from_mode(mode)).unwrap();
            let run = site.run(&line).await.exits(0);
            let shared = shared.display();
            let said = format!("{shared} is writable by {writers}, ");
            assert_eq!(run.stderr.matches(&said).count(), 1, "{}", run.stderr);
            assert!(run.stderr.contains(&format!("chmod go-w {shared}\n")), "{}", run.stderr);
            fs::set_permissions(shared.to_string(), fs::Permissions::from_mode(0o700)).unwrap();
        }
    }
    for line in [&["verify", dump.to_str().unwrap()][..], &["compare", &word, &site.url]] {
        fs::set_permissions(&dump, fs::Permissions::from_mode(0o702)).unwrap();
        let run = site.run(line).await.exits(0);
        assert_eq!(run.stderr.matches("every user (mode 0702)").count(), 1, "{}", run.stderr);
    }
}
