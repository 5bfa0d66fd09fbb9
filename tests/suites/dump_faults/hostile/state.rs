//! A state directory that an attacker has modified.

use std::fs;
use std::path::Path;

use glance_core::ImageStore;
use glance_core::image::Image;
use replicator_engine::JournalFile;

use super::{Kind, Outside, SECRET, attributes, contains, data, finish, id, start_heard};
use crate::suites::dump_faults::source::Site;

/// Runs a copy with `kind` in the place of a file of the state directory.
async fn copied(kind: Kind, role: &str) -> super::Ended {
    let site = Site::open(super::super::STACK).await;
    site.kept.create(&Image::queued(id(1), attributes(1))).await.unwrap();
    site.kept.upload(&id(1), bytes::Bytes::from(data(1)).into()).await.unwrap();
    let path = |name: &str| site.directory.path().join(name).to_str().unwrap().to_owned();
    let (state, new) = (path("state"), path("new"));
    let journal = Path::new(&state).join("journal");
    fs::create_dir_all(&journal).unwrap();
    let place = match role {
        "digests.ndjson" => Path::new(&state).join(role),
        suffix => {
            let path = JournalFile::path(&journal, &site.url, &format!("dir:{new}"), "");
            path.with_extension(suffix)
        }
    };
    let outside = Outside::of(&[]);
    let name = place.file_name().unwrap().to_str().unwrap();
    kind.plant(place.parent().unwrap(), name, &outside);
    outside.begin();
    let line = ["livecopy", &site.url, &format!("dir:{new}"), "--state-dir", &state];
    let ended = finish(start_heard(&site.line(&line), &[])).await.unwrap();
    outside.is_untouched().unwrap_or_else(|what| panic!("{kind:?} {role}: {what}"));
    let said = format!("{}{}", ended.run.stdout, ended.run.stderr);
    assert!(!contains(said.as_bytes(), SECRET.trim()), "{said}");
    assert!(ended.peak <= super::MOST_MEMORY, "{kind:?} {role}: {} KiB", ended.peak);
    // The journal is required; the digests are optional.
    let code = if role == "digests.ndjson" { 0..=0 } else { 2..=8 };
    assert!(
        ended.run.code.is_some_and(|it| code.contains(&it)),
        "{kind:?} {role}: {:?}",
        ended.run
    );
    assert!(said.contains(name), "{kind:?} {role}: {said}");
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outside_of_the_state_directory_is_read_or_written() {
    use Kind::{Dangling, Device, Directory, HardLink, Huge, Link, Loop, Pipe, Socket};
    for role in ["digests.ndjson", "ndjson", "lock"] {
        for kind in [Link, Dangling, Loop, Pipe, Device, Socket, Directory, Huge, HardLink] {
            let harmless = match (role, kind) {
                // A lock file is truncated; the others are read and never appended to.
                ("lock", Huge) | ("digests.ndjson" | "ndjson", HardLink) => true,
                _ => false,
            };
            if !harmless {
                copied(kind, role).await;
            }
        }
    }
}
