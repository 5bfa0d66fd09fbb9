//! A journal that can't be written. It mounts filesystems, which takes root.

use std::path::{Path, PathBuf};
use std::process::Command;

use glance_core::image::{Status, Visibility};
use glance_core::store::ImageStore;

use crate::site::{Pair, id};

/// A small filesystem of its own.
struct Mounted(PathBuf);

impl Mounted {
    fn new(path: PathBuf, options: &str) -> Self {
        std::fs::create_dir(&path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&path);
        assert!(mount.status().unwrap().success(), "mount");
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Room for the beginning of the journal, and not for all of it.
pub(crate) async fn a_journal_without_room_ends_the_run_before_anything_is_half_done(
    stack: &'static str,
) {
    const IMAGES: u8 = 12;
    let pair = Pair::new(stack).await;
    for number in 1..=IMAGES {
        pair.a.put(number).await;
    }
    let state = Mounted::new(pair.path("state"), "size=24k,nr_inodes=64");
    // Lock and journal have a page each then, and the new file of a compaction.
    let filler = state.path().join("filler");
    std::fs::write(&filler, vec![0; 12 << 10]).unwrap();
    let run = pair.between(&["livecopy"]).await.exits(8);
    for words in ["journal", pair.file("state").as_str(), ".ndjson", "No space left", "hint: "] {
        assert!(run.stderr.contains(words), "no {words:?} in {}", run.stderr);
    }
    let mut whole = 0;
    for number in 1..=IMAGES {
        match pair.b.kept.get(&id(number)).await {
            Err(_) => {}
            Ok(replica) if replica.status == Status::Active => {
                pair.b.holds(number).await;
                whole += 1;
            }
            Ok(replica) => assert_eq!(replica.attributes.visibility, Visibility::Private),
        }
    }
    assert!((1..IMAGES).contains(&whole), "{whole} of {IMAGES}");

    // Not even room for the beginning.
    std::fs::write(&filler, vec![0; 12 << 10]).unwrap();
    let rest = std::fs::write(state.path().join("more"), vec![0; 64 << 10]);
    rest.unwrap_err();
    let before = pair.b.faulty.requests().len();
    pair.between(&["livecopy"]).await.exits(8);
    let after = pair.b.faulty.requests();
    assert!(after[before..].iter().all(|(method, _)| method == http::Method::GET), "{after:?}");

    std::fs::remove_file(state.path().join("more")).unwrap();
    std::fs::remove_file(filler).unwrap();
    let run = pair.run(&["resume"]).await.exits(0);
    assert!(run.stdout.contains("resuming: livecopy"), "{}", run.stdout);
    for number in 1..=IMAGES {
        pair.b.holds(number).await;
    }
}

pub(crate) async fn a_journal_that_can_t_be_written_is_named_before_anything_is_done(
    stack: &'static str,
) {
    let pair = Pair::new(stack).await;
    pair.a.put(1).await;
    let state = Mounted::new(pair.path("state"), "size=64k,ro");
    let run = pair.between(&["livecopy"]).await.exits(2);
    for words in [state.path().to_str().unwrap(), "Read-only", "--state-dir", "--no-state"] {
        assert!(run.stderr.contains(words), "no {words:?} in {}", run.stderr);
    }
    let requests = pair.b.faulty.requests();
    assert!(requests.iter().all(|(method, _)| method == http::Method::GET), "{requests:?}");
    pair.between(&["livecopy", "--no-state"]).await.exits(0);
    pair.b.holds(1).await;
}
