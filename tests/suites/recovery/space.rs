//! A journal and a spool on a full disk. The tests mount small filesystems, which requires root.

use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use glance_core::image::{Image, Status, Visibility};
use glance_core::store::{ByteRange, ImageStore};
use http::Method;

use crate::suites::recovery::pair::{Pair, attributes, id};

/// A mounted small filesystem.
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

    fn resize(&self, size: &str) {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,size={size}")]).arg(&self.0);
        assert!(mount.status().unwrap().success(), "mount");
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// The disk has space for the beginning of the journal only.
pub(crate) async fn a_journal_without_room_ends_the_run_before_anything_is_half_done(
    stack: &'static str,
) {
    const IMAGES: u8 = 12;
    let pair = Pair::new(stack).await;
    for number in 1..=IMAGES {
        pair.a.put(number).await;
    }
    let state = Mounted::new(pair.path("state"), "size=28k,nr_inodes=64");
    // The remaining space is one page each for the lock, the counter of claims, the journal, and the
    // new file of a compaction.
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

    // No space for even the beginning of the journal.
    std::fs::write(&filler, vec![0; 12 << 10]).unwrap();
    let rest = std::fs::write(state.path().join("more"), vec![0; 64 << 10]);
    rest.unwrap_err();
    let before = pair.b.faulty.requests().len();
    pair.between(&["livecopy"]).await.exits(8);
    let after = pair.b.faulty.requests();
    assert!(after[before..].iter().all(|(method, _)| method == Method::GET), "{after:?}");

    std::fs::remove_file(state.path().join("more")).unwrap();
    std::fs::remove_file(filler).unwrap();
    // The whole journal, and a page for the claim on each image in work.
    state.resize("64k");
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
    assert!(requests.iter().all(|(method, _)| method == Method::GET), "{requests:?}");
    pair.between(&["livecopy", "--no-state"]).await.exits(0);
    pair.b.holds(1).await;
}

pub(crate) async fn a_spool_without_room_fails_what_does_not_fit_and_nothing_else(
    stack: &'static str,
) {
    const LARGE: u8 = 2;
    const LARGE_LENGTH: usize = 8 << 20;
    let pair = Pair::new(stack).await;
    for number in [1, 3] {
        pair.a.put(number).await;
    }
    let large = Bytes::from(vec![LARGE; LARGE_LENGTH]);
    pair.a.kept.create(&Image::queued(id(LARGE), attributes(LARGE))).await.unwrap();
    pair.a.kept.upload(&id(LARGE), large.clone().into()).await.unwrap();
    let spool = Mounted::new(pair.path("spool"), "size=4m");
    let spool_dir = pair.file("spool");
    let livecopy =
        ["livecopy", "--spool", "always", "--spool-dir", spool_dir.as_str(), "--transfers", "1"];
    let run = pair.between(&livecopy).await.exits(8);
    for words in ["the spool", spool_dir.as_str(), "No space left", "hint: free space"] {
        assert!(run.stderr.contains(words), "no {words:?} in {}", run.stderr);
    }
    for number in [1, 3] {
        pair.b.holds(number).await;
    }
    if let Ok(replica) = pair.b.kept.get(&id(LARGE)).await {
        assert_eq!(replica.status, Status::Queued);
        assert_eq!(replica.attributes.visibility, Visibility::Private);
    }
    assert_eq!(std::fs::read_dir(spool.path()).unwrap().count(), 0);

    spool.resize("10m");
    pair.between(&livecopy).await.exits(0);
    let replica = pair.b.kept.get(&id(LARGE)).await.unwrap();
    assert_eq!(replica.status, Status::Active);
    let stored = pair.b.kept.read(&id(LARGE), ByteRange::ALL).await.unwrap();
    assert!(stored.collect(2 * LARGE_LENGTH).await.unwrap() == large);
}

pub(crate) async fn a_spool_that_is_not_there_is_named(stack: &'static str) {
    let pair = Pair::new(stack).await;
    pair.a.put(1).await;
    let gone = pair.file("gone");
    let words = ["livecopy", "--spool", "always", "--spool-dir", gone.as_str()];
    let run = pair.between(&words).await.exits(8);
    for words in ["the spool", gone.as_str(), "No such file", "hint: free space"] {
        assert!(run.stderr.contains(words), "no {words:?} in {}", run.stderr);
    }
    std::fs::create_dir(&gone).unwrap();
    pair.between(&words).await.exits(0);
    pair.b.holds(1).await;
}

/// A slow target is left behind once the spool for its pending data is full. The other target
/// continues, and the slow one receives the image later in the same run.
pub(crate) async fn a_slow_target_is_left_behind_when_the_spool_has_no_room(stack: &'static str) {
    const LENGTH: usize = 40 << 20;
    let pair = Pair::new(stack).await;
    let slow = pair.slow("c").await;
    let data = Bytes::from(vec![7; LENGTH]);
    pair.a.kept.create(&Image::queued(id(1), attributes(1))).await.unwrap();
    pair.a.kept.upload(&id(1), data.clone().into()).await.unwrap();
    let spool = Mounted::new(pair.path("spool"), "size=2m");
    let targets = ["livecopy", &pair.a.url, &pair.b.url, &slow.url];
    let options = ["--spool-dir", spool.path().to_str().unwrap()];
    let run = pair.run(&[&targets[..], &options].concat()).await.exits(0);
    for words in ["No space left", "slow targets are left behind"] {
        assert!(run.stderr.contains(words), "no {words:?} in {}", run.stderr);
    }
    for target in [&pair.b, &slow] {
        let stored = target.kept.read(&id(1), ByteRange::ALL).await.unwrap();
        assert!(stored.collect(2 * LENGTH).await.unwrap() == data);
    }
    let uploads = |requests: Vec<(Method, String)>| {
        let is_upload =
            |(method, path): &&(Method, String)| *method == Method::PUT && path.ends_with("/file");
        requests.iter().filter(is_upload).count()
    };
    assert_eq!(uploads(pair.b.faulty.requests()), 1);
    assert_eq!(uploads(slow.faulty.requests()), 2);
}
