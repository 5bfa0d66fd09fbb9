//! When lines are written, and how incomplete files are read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use safe_files::file_lock::Holder;
use tempfile::TempDir;

use super::*;
use crate::{Outcome, Policy, Replication};
use glance_core::Body;
use glance_core::image::{Attributes, Status};
use glance_core::store::ImageStore;
use glance_core::store::memory::MemoryStore;

fn id(number: u8) -> ImageId {
    format!("00000000-0000-4000-8000-0000000000{number:02}").parse().unwrap()
}

fn image(number: u8) -> Image {
    let attributes = Attributes {
        name: Some(format!("image {number}")),
        disk_format: Some("raw".to_owned()),
        container_format: Some("bare".to_owned()),
        ..Attributes::default()
    };
    Image::queued(id(number), attributes)
}

/// The image's record at the target.
fn record(number: u8) -> Image {
    Image { created_at: Some("2026-01-01T00:00:00Z".to_owned()), ..image(number) }
}

fn run(command: &[&str]) -> Run {
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    Run::begins(command, Vec::new(), "/".to_owned())
}

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path =
        JournalFile::path(&directory.path().join("new/journal"), "https://a", "https://b", "");
    (directory, path)
}

fn open(path: &Path) -> JournalFile {
    claimed(path, PairClaim::Shared).unwrap()
}

fn claimed(path: &Path, claim: PairClaim) -> Result<JournalFile, JournalError> {
    let holder = Holder::this_process(Some("livecopy a b"));
    let pair = vec![JournalFile::claim(path, claim, &holder)?];
    JournalFile::open(path, "https://a", "https://b", &holder, pair)
}

fn read(path: &Path) -> JournalContents {
    JournalContents::read(path).unwrap().unwrap()
}

/// The leftovers, each as the last digits of its id and the phase.
fn left(recorded: &JournalContents) -> Vec<String> {
    let short =
        |left: &JournalEntry| format!("{} {}", &left.image.as_str()[34..], left.phase.as_str());
    recorded.leftovers.values().map(short).collect()
}

/// A journal of a killed run: images 1 and 2 were in progress, and 3 was complete.
async fn killed(path: &Path) -> Run {
    let run = run(&["livecopy", "a", "b"]);
    let journal = open(path).begin(run.clone()).await.unwrap();
    for number in 1..=3 {
        journal.announce(Phase::Creating, &image(number), &record(number)).await.unwrap();
    }
    journal.note(Phase::Created, &image(2), &record(2)).await;
    journal.announce(Phase::Uploading, &image(2), &record(2)).await.unwrap();
    journal.close(&image(3), Phase::Done, None, None).await;
    run
}

#[tokio::test]
async fn a_killed_run_is_listed_with_its_images_in_progress() {
    let (_directory, path) = place();
    let run = killed(&path).await;
    let recorded = read(&path);
    assert_eq!((&*recorded.source, &*recorded.target), ("https://a", "https://b"));
    assert_eq!(left(&recorded), ["01 creating", "02 uploading"]);
    let unfinished: Vec<Run> = recorded.unfinished().cloned().collect();
    assert_eq!(unfinished, [Run { done: 1, ..run }]);
    // It is unknown whether the first record was made, so its time of creation is unknown, too.
    assert_eq!(recorded.leftovers[&id(1)].created_at, None);
    assert_eq!(recorded.leftovers[&id(2)].created_at, record(2).created_at);
    assert_eq!(recorded.leftovers[&id(2)].name.as_deref(), Some("image 2"));
}

#[tokio::test]
async fn file_and_directory_are_private_to_their_user() {
    let (_directory, path) = place();
    killed(&path).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    // The same holds after the file was replaced.
    let file = open(&path);
    for lock in ["lock", "1.lock"] {
        assert_eq!(mode(&path.with_extension(lock)), 0o600);
    }
    file.begin(run(&["other"])).await.unwrap();
    assert_eq!(mode(&path), 0o600);
}

/// A kill or a crash may cut off the last lines anywhere: the lines before can be read, and the
/// next line is not joined to the incomplete one.
#[tokio::test]
async fn a_file_truncated_anywhere_can_be_read_and_continued() {
    let (_directory, path) = place();
    killed(&path).await;
    let whole = fs::read(&path).unwrap();
    for length in 0..=whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        // A line without a line break counts if it is otherwise complete.
        let ends = whole[..length].split(|byte| *byte == b'\n').count() - 1;
        let lines = ends + usize::from(whole.get(length) == Some(&b'\n'));
        let recorded = read(&path);
        assert_eq!(recorded.runs.len(), usize::from(lines >= 2), "{length}");
        let images = lines.saturating_sub(2).min(3) - usize::from(lines == 8);
        assert_eq!(recorded.leftovers.len(), images, "{length}");
        // At some lengths, and at the end of every line: append to the file without replacing it
        // first.
        if length % 97 != 0 && !whole[length.saturating_sub(1)..].starts_with(b"\n") {
            continue;
        }
        let journal = open(&path).of("the run");
        journal.announce(Phase::Creating, &image(9), &record(9)).await.unwrap();
        let gone_on = read(&path);
        assert_eq!(gone_on.leftovers.len(), recorded.leftovers.len() + 1, "{length}");
    }
}

#[tokio::test]
async fn additions_of_later_releases_and_damage_are_ignored() {
    let (_directory, path) = place();
    killed(&path).await;
    let text = fs::read_to_string(&path).unwrap();
    let more = text.replace("{\"line\"", "{\"later\":[1],\"line\"");
    let more = format!("{more}{{\"line\":\"weather\",\"rain\":true}}\n\u{fffd}\n\n");
    let more = more.replace("\"phase\":\"uploading\"", "\"phase\":\"warming\"");
    fs::write(&path, more).unwrap();
    let recorded = read(&path);
    assert_eq!(left(&recorded), ["01 creating", "02 unknown"]);
    assert_eq!(recorded.unfinished().count(), 1);

    let later = text.replace("\"version\":1", "\"version\":2");
    fs::write(&path, &later).unwrap();
    let error = claimed(&path, PairClaim::Shared).unwrap_err();
    assert!(matches!(error, JournalError::Later { .. }), "{error:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), later);
}

#[tokio::test]
async fn the_file_does_not_grow_from_run_to_run() {
    let (_directory, path) = place();
    killed(&path).await;
    let mut lengths = Vec::new();
    for _ in 0..50 {
        // The same command, as started by cron: it replaces the killed run.
        let run = run(&["livecopy", "a", "b"]);
        let file = open(&path);
        let journal = file.begin(run.clone()).await.unwrap();
        let recorded = read(&path);
        assert_eq!((recorded.runs.len(), &recorded.runs[0].run), (1, &run.run));
        assert!(recorded.leftovers.values().all(|left| left.run == run.run));
        journal.announce(Phase::Uploading, &image(1), &record(1)).await.unwrap();
        file.end(&run.run, 3, true).await.unwrap();
        lengths.push(fs::metadata(&path).unwrap().len());
    }
    // Only the first one has the number of images that the killed run completed.
    assert_eq!(lengths.get(1), lengths.last());
    // The run is kept because of its leftovers.
    assert_eq!(left(&read(&path)), ["01 uploading", "02 uploading"]);
    assert_eq!((read(&path).runs.len(), read(&path).unfinished().count()), (1, 0));

    for number in 0..50 {
        open(&path).begin(run(&["livecopy", "a", "b", &number.to_string()])).await.unwrap();
    }
    let recorded = read(&path);
    assert_eq!(recorded.unfinished().count(), 16);
    assert_eq!(recorded.unfinished().last().unwrap().command[3], "49");

    let last = run(&["livecopy", "a", "b"]);
    let file = open(&path);
    let journal = file.begin(last.clone()).await.unwrap();
    journal.close(&image(1), Phase::Done, None, None).await;
    journal.close(&image(2), Phase::Dropped, None, None).await;
    file.end(&last.run, 0, true).await.unwrap();
    let recorded = read(&path);
    assert!(recorded.leftovers.is_empty());
    assert!(recorded.runs.iter().all(|run| run.command.len() == 4));
}

#[tokio::test]
async fn an_aborted_run_is_unfinished() {
    let (_directory, path) = place();
    let run = run(&["livecopy", "a", "b"]);
    let file = open(&path);
    file.begin(run.clone()).await.unwrap();
    file.end(&run.run, 143, false).await.unwrap();
    let recorded = read(&path);
    let ended = recorded.unfinished().next().unwrap().ended.clone().unwrap();
    assert_eq!((ended.exit, ended.whole), (143, false));
}

#[tokio::test]
async fn a_whole_run_finishes_the_runs_that_do_the_same_work() {
    let (_directory, path) = place();
    let with = |words: &[&str], work: &str| Run { work: vec![work.to_owned()], ..run(words) };
    let file = open(&path);
    let slow = with(&["dump", "a", "b", "--bwlimit", "1M"], "dump");
    let other = with(&["dump", "a", "b", "--tag", "x"], "dump --tag=x");
    // A journal of an earlier release does not say what its runs do.
    let (old, unknown) = (run(&["load", "a", "b"]), run(&["load", "a", "b", "-v"]));
    for earlier in [&slow, &other, &old] {
        let journal = file.begin(earlier.clone()).await.unwrap();
        journal.announce(Phase::Uploading, &image(1), &record(1)).await.unwrap();
    }
    let fast = with(&["dump", "a", "b"], "dump");
    for (run, whole, unfinished) in [
        (&fast, false, vec![&slow.run, &other.run, &old.run, &fast.run]),
        (&fast, true, vec![&other.run, &old.run]),
        (&unknown, true, vec![&other.run, &old.run]),
    ] {
        file.begin(run.clone()).await.unwrap();
        file.end(&run.run, 8, whole).await.unwrap();
        let recorded = read(&path);
        let found: Vec<&String> = recorded.unfinished().map(|run| &run.run).collect();
        assert_eq!(found, unfinished);
    }
}

#[tokio::test]
async fn a_dismissed_run_is_not_unfinished_and_its_leftovers_stay() {
    let (_directory, path) = place();
    let (first, second) = (run(&["livecopy", "a", "b"]), run(&["sync", "a", "b"]));
    let file = open(&path);
    let journal = file.begin(first.clone()).await.unwrap();
    journal.announce(Phase::Uploading, &image(1), &record(1)).await.unwrap();
    file.begin(second.clone()).await.unwrap();
    assert!(file.recorded().has_work_of(&first.run) && !file.recorded().has_work_of(&second.run));
    for run in [&first, &second] {
        file.dismiss(&run.run).await.unwrap();
    }
    let recorded = read(&path);
    assert_eq!(recorded.unfinished().count(), 0);
    assert_eq!(left(&recorded), ["01 uploading"]);
    assert!(recorded.run(&first.run).is_some() && recorded.run(&second.run).is_none());
}

#[tokio::test]
async fn a_run_has_the_work_of_the_runs_that_it_continues() {
    let (_directory, path) = place();
    let file = open(&path);
    let (first, again) = (run(&["livecopy", "a", "b"]), run(&["livecopy", "a", "b"]));
    let journal = file.begin(first).await.unwrap();
    journal.note(Phase::Done, &image(1), &record(1)).await;
    file.begin(again.clone()).await.unwrap();
    let recorded = file.recorded();
    assert_eq!((recorded.runs.len(), recorded.runs[0].done), (1, 1));
    assert!(recorded.has_work_of(&again.run));
}

#[tokio::test]
async fn with_an_unwritable_journal_no_image_is_started_and_earlier_entries_stay() {
    let (directory, path) = place();
    let file = open(&path);
    let elsewhere = directory.path().join("elsewhere");
    fs::write(&elsewhere, "as it was").unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    let journal = file.of("the run");
    for _ in 0..2 {
        let announced = journal.announce(Phase::Creating, &image(1), &record(1)).await;
        let error = announced.unwrap_err();
        assert_eq!(error.file_error().unwrap().kind(), io::ErrorKind::InvalidData);
        assert!(error.remedy().contains("--state-dir"), "{}", error.remedy());
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    assert_eq!(fs::read(&elsewhere).unwrap(), b"as it was", "a link is never followed");
    assert!(file.failure().is_some());
    assert!(file.recorded().leftovers.is_empty());
    journal.note(Phase::Created, &image(2), &record(2)).await;
    assert_eq!(left(&file.recorded()), ["02 created"]);
}

#[tokio::test]
async fn a_run_alone_excludes_every_other_one() {
    let (_directory, path) = place();
    let alone = claimed(&path, PairClaim::Alone).unwrap();
    for claim in [PairClaim::Alone, PairClaim::Shared] {
        let error = claimed(&path, claim).unwrap_err();
        let JournalError::Lock(LockError::Held(holder)) = error else { panic!("{error:?}") };
        assert_eq!(holder.command.as_deref(), Some("livecopy a b"));
    }
    // The claim is held while any clone lives.
    let journal = alone.of("the run");
    drop(alone);
    assert!(claimed(&path, PairClaim::Shared).is_err());
    drop(journal);
    let shared = open(&path);
    assert!(claimed(&path, PairClaim::Alone).is_err());
    drop(shared);
    claimed(&path, PairClaim::Alone).unwrap();
}

#[tokio::test]
async fn runs_at_the_same_time_have_a_journal_each_and_the_next_one_takes_over() {
    let (_directory, path) = place();
    let journals = || {
        let names = fs::read_dir(path.parent().unwrap()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".ndjson")).count()
    };
    let (one, other) = (open(&path), open(&path));
    assert_eq!(JournalFile::holders(&path).len(), 2);
    let first = one.begin(run(&["sync", "a", "b"])).await.unwrap();
    let second = other.begin(run(&["livecopy", "a", "b"])).await.unwrap();
    first.announce(Phase::Creating, &image(1), &record(1)).await.unwrap();
    second.announce(Phase::Uploading, &image(1), &record(1)).await.unwrap();
    second.announce(Phase::Creating, &image(2), &record(2)).await.unwrap();
    assert_eq!(journals(), 2);
    drop((one, first));
    // A living run keeps its journal.
    let third = open(&path);
    assert_eq!(left(&third.recorded()), ["01 creating"]);
    assert_eq!(journals(), 2);
    drop((third, other, second));
    let last = open(&path);
    // The later line about an image counts.
    assert_eq!(left(&last.recorded()), ["01 uploading", "02 creating"]);
    let commands: Vec<String> =
        last.recorded().unfinished().map(|run| run.command[0].clone()).collect();
    assert_eq!(commands, ["sync", "livecopy"]);
    assert_eq!((journals(), left(&read(&path)).len()), (1, 2));
    assert_eq!(JournalFile::holders(&path).len(), 1);
}

#[tokio::test]
async fn a_claim_is_the_first_if_no_other_run_has_claimed_an_image() {
    let (_directory, path) = place();
    let is_first = async |journal: &Journal, number| {
        let claim = journal.claim(&id(number)).await.unwrap();
        (claim.is_first(), claim)
    };
    let one = open(&path).of("one");
    let (first, claim) = is_first(&one, 1).await;
    assert!(first && is_first(&one, 2).await.0);
    // The other run begins while an image is in work, which it may list before the image is done.
    let other = open(&path).of("other");
    drop(claim);
    assert!(is_first(&one, 1).await.0, "the other run has not claimed anything yet");
    assert!(!is_first(&other, 1).await.0);
    assert!(!is_first(&one, 3).await.0, "the other run may have changed this image");
    // A run that begins when nothing is in work, and one that has come and gone.
    let third = open(&path).of("third");
    assert!(is_first(&third, 1).await.0);
    assert!(is_first(&open(&path).of("fourth"), 2).await.0);
    assert!(!is_first(&third, 2).await.0);
}

#[tokio::test]
async fn an_image_is_claimed_by_one_run_at_a_time() {
    let (directory, path) = place();
    let (one, other) = (open(&path).of("one"), open(&path).of("other"));
    let claim = one.claim(&id(1)).await.unwrap();
    let Err(LockError::Held(holder)) = other.claim(&id(1)).await else { panic!("claimed twice") };
    assert_eq!(holder.pid, Some(std::process::id()));
    let upper = id(1).as_str().to_uppercase().parse().unwrap();
    assert!(other.claim(&upper).await.is_err());
    let second = other.claim(&id(2)).await.unwrap();
    drop(claim);
    let claim = other.claim(&id(1)).await.unwrap();
    assert!(one.claim(&id(1)).await.is_err());
    drop((claim, second));
    // A killed process leaves a file without a lock. The next run removes the file.
    let claims = path.parent().unwrap().join("claims");
    let target = fs::read_dir(&claims).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::read_dir(&target).unwrap().count(), 1, "only the counter");
    fs::write(target.join(format!("{}.lock", id(1))), "{\"pid\":1}").unwrap();
    drop(one.claim(&id(1)).await.unwrap());
    fs::write(target.join(format!("{}.lock", id(2))), "{\"pid\":1}").unwrap();
    open(&path);
    assert_eq!(fs::read_dir(&target).unwrap().count(), 1, "only the counter");
    drop(directory);
}

/// The lines that one run writes; all of them are on disk before it ends.
#[tokio::test]
async fn an_image_in_place_is_not_recorded() {
    let (_directory, path) = place();
    let (a, b) = (Arc::new(MemoryStore::new("a")), Arc::new(MemoryStore::new("b")));
    for number in 1..=20 {
        for store in [&a, &b].iter().take(if number > 18 { 1 } else { 2 }) {
            store.create(&image(number)).await.unwrap();
            store.upload(&id(number), Body::from(Bytes::from_static(b"data"))).await.unwrap();
        }
    }
    let file = open(&path);
    let journal = file.begin(run(&["livecopy", "a", "b"])).await.unwrap();
    let policy = Policy { journal, ..Policy::default() };
    let replication = Replication { source: a, target: b.clone(), policy };
    let mut outcomes: Vec<Outcome> = Vec::new();
    replication.run(|outcome| outcomes.push(outcome)).await.unwrap();
    assert_eq!(outcomes.len(), 20);
    let text = fs::read_to_string(&path).unwrap();
    let phases = |number: u8| -> Vec<&str> {
        let about = |line: &&str| line.contains(id(number).as_str());
        let phase = |line| str::split(line, "\"phase\":\"").nth(1)?.split('"').next();
        text.lines().filter(about).filter_map(phase).collect()
    };
    assert_eq!(phases(20), ["creating", "created", "uploading", "stored", "done"]);
    assert_eq!(text.lines().count(), 2 + 2 * 5, "{text}");
    assert_eq!(b.get(&id(20)).await.unwrap().status, Status::Active);
    assert_eq!(left(&read(&path)), Vec::<String>::new());
    assert_eq!(read(&path).runs[0].done, 2);
}
