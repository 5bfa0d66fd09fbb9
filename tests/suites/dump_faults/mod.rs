//! Dumps whose process is killed, whose disk is full, or whose directory vanishes. Complete data
//! survives, and the next run downloads only the missing bytes.

mod disk;
mod filesystems;
mod finished;
mod hostile;
mod small_disk;
mod source;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use disk::Disk;
use format_dump::DumpStore;
use glance_core::ImageStore;
use glance_core::image::{ImageId, Status};
use glance_core::store::ByteRange;
use http::Method;
use safe_files::dir::Dir;
use source::{Site, Then, id, put};

use crate::support::common::start;
use crate::support::fault::Fault;

/// The TLS stack of tests that do not depend on it.
const STACK: &str = if cfg!(feature = "rustls") { "rustls" } else { "native" };

/// Bytes that may be buffered in the check and the writer, beyond those in the file.
const SLACK: u64 = 2 << 20;

fn file(dump: &Path, id: &ImageId, suffix: &str) -> PathBuf {
    dump.join(format!("{id}{suffix}"))
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

/// Starts a dump, and kills it when the source has stalled after `after` bytes of an answer.
async fn killed(site: &Site, dump: &Path, image: &ImageId, after: u64) {
    let before = length(&file(dump, image, ".img.partial"));
    site.watch.at(image, after, || Then::Stall);
    let mut child = start(&site.line(&["dump", &site.url, dump.to_str().unwrap()]));
    while length(&file(dump, image, ".img.partial")) + SLACK < before + after {
        assert!(child.try_wait().unwrap().is_none(), "the command ended early");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

async fn a_killed_dump_asks_for_the_rest_alone(stack: &'static str) {
    const SIZE: usize = 24 << 20;
    let site = Site::open(stack).await;
    let image = site.image(1, SIZE).await;
    let dump = site.directory.path().join("dump");
    for _ in 0..3 {
        killed(&site, &dump, &image, 6 << 20).await;
    }
    let partial = fs::metadata(file(&dump, &image, ".img.partial")).unwrap();
    assert!(partial.len() > 10 << 20, "{}", partial.len());
    site.watch.given();
    let run = site.dump(&dump).await.exits(0);
    assert!(run.stdout.contains(&format!("completed: {image}")), "{}", run.stdout);
    assert_eq!(site.watch.given(), SIZE as u64 - partial.len());
    assert_eq!(fs::metadata(file(&dump, &image, ".img")).unwrap().ino(), partial.ino());
    site.is_dumped(&dump).await;
}

/// The process is killed after the last byte and before the rename, and then after the rename and
/// before the record is written.
async fn nothing_is_read_where_nothing_is_missing(stack: &'static str) {
    const SIZE: usize = 4 << 20;
    let site = Site::open(stack).await;
    let image = site.image(1, SIZE).await;
    let dump = site.directory.path().join("dump");
    let record = file(&dump, &image, ".json");
    killed(&site, &dump, &image, 3 << 20).await;
    let queued = fs::read(&record).unwrap();
    for suffix in [".img.partial", ".img"] {
        site.dump(&dump).await.exits(0);
        site.watch.given();
        fs::write(&record, &queued).unwrap();
        fs::rename(file(&dump, &image, ".img"), file(&dump, &image, suffix)).unwrap();
        site.dump(&dump).await.exits(0);
        assert_eq!(site.watch.given(), 0, "{suffix}");
        site.is_dumped(&dump).await;
    }
}

async fn what_is_not_the_images_is_read_anew_in_the_same_run(stack: &'static str) {
    const SIZE: u64 = 8 << 20;
    let site = Site::open(stack).await;
    let image = site.image(1, 8 << 20).await;
    let dump = site.directory.path().join("dump");
    let partial = file(&dump, &image, ".img.partial");
    killed(&site, &dump, &image, 4 << 20).await;
    let good = fs::read(&partial).unwrap();
    // The partial file has a changed byte, is longer than the image, or belongs to another image.
    let mut damaged = good.clone();
    damaged[100] ^= 1;
    let missing = SIZE - good.len() as u64;
    let rows = [(damaged, missing + SIZE), (vec![3; 9 << 20], SIZE), (vec![7; 8 << 20], SIZE)];
    let record = fs::read(file(&dump, &image, ".json")).unwrap();
    for (bytes, read) in rows {
        fs::write(&partial, bytes).unwrap();
        fs::write(file(&dump, &image, ".json"), &record).unwrap();
        site.watch.given();
        site.dump(&dump).await.exits(0);
        assert_eq!(site.watch.given(), read);
        site.is_dumped(&dump).await;
    }
}

/// Without a digest, resumed data could not be verified at the end.
async fn what_nothing_proves_is_read_from_its_beginning(stack: &'static str) {
    const SIZE: usize = 8 << 20;
    let site = Site::open(stack).await;
    let image = site.image(1, SIZE).await;
    let dump = site.directory.path().join("dump");
    site.faulty.inject(Method::GET, |path| !path.ends_with("/file"), 1000, Fault::NoDigest);
    killed(&site, &dump, &image, 6 << 20).await;
    let partial = file(&dump, &image, ".img.partial");
    let mut damaged = fs::read(&partial).unwrap();
    damaged[100] ^= 1;
    fs::write(&partial, damaged).unwrap();
    site.watch.given();
    site.dump(&dump).await.exits(0);
    assert_eq!(site.watch.given(), SIZE as u64);
    site.faulty.mend();
    site.is_dumped(&dump).await;
}

async fn a_full_disk_is_exit_8_and_goes_on_when_there_is_room(stack: &'static str) {
    const SIZE: usize = 20 << 20;
    let disk = Disk::of(32);
    let site = Site::open(stack).await;
    let (small, image) = (site.image(1, 4 << 20).await, site.image(2, SIZE).await);
    let dump = disk.path().join("dump");
    let ballast = disk.ballast(2 << 20);
    let filling = ballast.clone();
    // On a busy machine, several MiB are still in the sockets when the disk becomes full.
    site.watch.at(&image, 14 << 20, move || {
        filling.fill();
        Then::GoOn
    });
    let run = site.dump(&dump).await.exits(8);
    let said = format!("the file {image}.img.partial failed");
    for words in
        [&*said, "No space left on device", "free space, then run the command again: it resumes"]
    {
        assert!(run.stderr.contains(words), "no {words:?} in {}", run.stderr);
    }
    let partial = length(&file(&dump, &image, ".img.partial"));
    assert!(partial > 7 << 20, "{partial}");
    let stored = DumpStore::open(&dump).unwrap();
    assert_eq!(stored.get(&small).await.unwrap().status, Status::Active);
    assert_eq!(stored.get(&image).await.unwrap().status, Status::Queued);
    assert!(!stored.is_complete().unwrap());
    // The disk is still full: no data is lost, and none is requested.
    let run = site.dump(&dump).await.exits(8);
    assert!(run.stderr.contains("hint: free space"), "{}", run.stderr);
    assert_eq!(length(&file(&dump, &image, ".img.partial")), partial);

    ballast.remove();
    // The free space suffices for the missing data, but not for the whole image.
    assert!(Dir::open(&dump).unwrap().free_space().unwrap() < SIZE as u64);
    site.watch.given();
    site.dump(&dump).await.exits(0);
    assert_eq!(site.watch.given(), SIZE as u64 - partial);
    site.is_dumped(&dump).await;
}

/// The last byte still fits on the disk, but the record that completes the image does not.
async fn no_room_for_a_record_loses_nothing(stack: &'static str) {
    const SIZE: usize = (4 << 20) - 1000;
    let disk = Disk::of(16);
    let site = Site::open(stack).await;
    let image = site.image(1, SIZE).await;
    let dump = disk.path().join("dump");
    killed(&site, &dump, &image, 3 << 20).await;
    let data = site.kept.read(&image, ByteRange::ALL).await.unwrap().collect(SIZE).await.unwrap();
    fs::write(file(&dump, &image, ".img.partial"), &data[..SIZE - 1]).unwrap();
    let ballast = disk.ballast(0);
    let filling = ballast.clone();
    site.watch.at(&image, 0, move || {
        filling.fill();
        Then::GoOn
    });
    let run = site.dump(&dump).await.exits(8);
    let said = format!("the file {image}.json failed");
    for words in [&*said, "No space left on device", "hint: free space, then run the command again"]
    {
        assert!(run.stderr.contains(words), "no {words:?} in {}", run.stderr);
    }
    let names =
        fs::read_dir(&dump).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.contains(".new")).count(), 0, "half files take room, too");
    ballast.remove();
    site.watch.given();
    site.dump(&dump).await.exits(0);
    assert_eq!(site.watch.given(), 0);
    site.is_dumped(&dump).await;
}

async fn a_read_only_directory_is_named_and_still_read(stack: &'static str) {
    let disk = Disk::of(16);
    let site = Site::open(stack).await;
    let image = site.image(1, 4 << 20).await;
    let dump = disk.path().join("dump");
    killed(&site, &dump, &image, 3 << 20).await;
    let partial = length(&file(&dump, &image, ".img.partial"));
    disk.read_only();
    let run = site.dump(&dump).await;
    assert_ne!(run.code, Some(0));
    assert!(run.stderr.contains("Read-only file system"), "{}", run.stderr);
    assert!(run.stderr.contains(dump.to_str().unwrap()), "{}", run.stderr);
    disk.writable();
    site.watch.given();
    site.dump(&dump).await.exits(0);
    assert_eq!(site.watch.given(), (4 << 20) - partial);
    // A complete dump can be read on a read-only filesystem.
    disk.read_only();
    site.is_dumped(&dump).await;
    let copy = site.directory.path().join("copy");
    let line = ["load", dump.to_str().unwrap(), copy.to_str().unwrap()];
    site.run(&line).await.exits(0);
    site.is_dumped(&dump).await;
    disk.writable();
}

async fn a_directory_that_vanishes_is_named(stack: &'static str) {
    let site = Site::open(stack).await;
    let (_, image) = (site.image(1, 1 << 20).await, site.image(2, 8 << 20).await);
    site.image(3, 1 << 20).await;
    let dump = site.directory.path().join("dump");
    // The rename is immediate, whatever is being written.
    let (from, to) = (dump.clone(), site.directory.path().join("elsewhere"));
    site.watch.at(&image, 4 << 20, move || {
        fs::rename(from, to).unwrap();
        Then::GoOn
    });
    let run = site.dump(&dump).await;
    assert!(run.code.is_some_and(|code| code > 0), "{run:?}");
    let said = format!("of image {image}: the directory is gone");
    assert!(run.stderr.contains(&said), "{}", run.stderr);
    assert!(run.stdout.contains("1 copied and verified"), "{}", run.stdout);
    site.dump(&dump).await.exits(0);
    site.is_dumped(&dump).await;
}

/// An image whose data file vanished, before or during a load, is not treated as an image without
/// data.
async fn a_dump_that_loses_a_file_is_not_loaded_as_if_it_were_whole(stack: &'static str) {
    let site = Site::open(stack).await;
    let dump = site.directory.path().join("dump");
    let store = DumpStore::create(&dump).unwrap();
    for number in [1, 2, 3] {
        put(&store, number, 4 << 20).await;
    }
    store.finish().await.unwrap();
    let [first, second, third] = [1, 2, 3].map(id);
    fs::remove_file(file(&dump, &third, ".img")).unwrap();
    let removed = file(&dump, &second, ".img");
    site.watch.at(&first, 1 << 20, move || {
        fs::remove_file(removed).unwrap();
        Then::GoOn
    });
    let line = ["load", dump.to_str().unwrap(), &site.url, "--transfers", "1"];
    let run = site.run(&line).await;
    assert!(run.code.is_some_and(|code| code > 0), "{run:?}");
    for lost in [&second, &third] {
        assert!(run.stderr.contains(&format!("{lost}.img")), "{run:?}");
        let replica = site.kept.get(lost).await;
        assert!(replica.is_err() || replica.is_ok_and(|it| it.status == Status::Queued));
    }
    assert_eq!(site.kept.get(&first).await.unwrap().status, Status::Active);
}

use filesystems::{
    a_directory_that_others_may_write_to_is_named_once,
    a_dump_needs_no_more_of_a_filesystem_than_files,
};
use finished::{
    a_dump_that_cannot_be_written_is_read_by_every_command, commands_that_end_well_finish_a_dump,
    serve_finishes_what_was_written_when_it_is_stopped,
    what_repair_mends_is_finished_unless_a_run_is_not_at_its_end,
    whatever_only_reads_leaves_a_dump_as_it_is,
};

/// Runs every case once for each TLS stack of this build.
macro_rules! for_each_stack {
    ($($case:ident)*) => {
        #[cfg(feature = "rustls")]
        mod rustls { $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $case() { super::$case("rustls").await; }
        )* }
        #[cfg(feature = "native-tls")]
        mod native { $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $case() { super::$case("native").await; }
        )* }
    };
}

for_each_stack! {
    a_killed_dump_asks_for_the_rest_alone
    nothing_is_read_where_nothing_is_missing
    what_is_not_the_images_is_read_anew_in_the_same_run
    what_nothing_proves_is_read_from_its_beginning
    a_full_disk_is_exit_8_and_goes_on_when_there_is_room
    no_room_for_a_record_loses_nothing
    a_read_only_directory_is_named_and_still_read
    a_directory_that_vanishes_is_named
    a_dump_that_loses_a_file_is_not_loaded_as_if_it_were_whole
    commands_that_end_well_finish_a_dump
    whatever_only_reads_leaves_a_dump_as_it_is
    what_repair_mends_is_finished_unless_a_run_is_not_at_its_end
    serve_finishes_what_was_written_when_it_is_stopped
    a_dump_that_cannot_be_written_is_read_by_every_command
    a_dump_needs_no_more_of_a_filesystem_than_files
    a_directory_that_others_may_write_to_is_named_once
}
