//! Runs that claim their stores alone, and killed runs.

use std::collections::BTreeSet;
use std::time::Duration;

use glance_core::store::ImageStore;

use super::{World, has, id};

#[tokio::test(flavor = "multi_thread")]
async fn what_deletes_does_not_run_next_to_a_copy() {
    let world = World::with(1..=2).await;
    world.gate.close([1]);
    let copy = world.start(&["livecopy", "--transfers", "1"]);
    world.gate.is_reached(1).await;
    let command = format!("(livecopy {} {}", world.a.url, world.b.url);
    for line in [&["sync", "--delete", "delete"][..], &["sync", "--delete", "hide"], &["repair"]] {
        let refused = world.run(line).await.exits(7);
        has(&refused, &["another run from", &copy.named(), &command, "works alone", "--wait"]);
    }
    // A run that waits begins when the copy has ended.
    let waiting = world.start(&["sync", "--delete", "delete", "--wait", "2m"]);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    world.gate.open();
    copy.ends().await.exits(0);
    has(&waiting.ends().await.exits(0), &["2 in place", "waiting up to 120s"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_does_not_run_next_to_what_deletes() {
    let world = World::with(1..=2).await;
    world.gate.close([1]);
    let sync = world.start(&["sync", "--delete", "delete", "--transfers", "1"]);
    world.gate.is_reached(1).await;
    let refused = world.run(&["livecopy", "--id", id(2).as_str()]).await.exits(7);
    has(&refused, &[&sync.named(), "--delete delete", "that run works alone", "--wait"]);
    let waiting = world.start(&["livecopy", "--wait", "2m"]);
    tokio::time::sleep(Duration::from_millis(500)).await;
    sync.kill();
    world.gate.open();
    has(&waiting.ends().await.exits(0), &["2 copied and verified"]);
}

/// A shard that deletes excludes runs of the same shard only, and a run of all images.
#[tokio::test(flavor = "multi_thread")]
async fn shards_exclude_only_the_same_shard() {
    let world = World::with(1..=6).await;
    world.gate.close(1..=6);
    let first = world.start(&["sync", "--delete", "delete", "--shard", "1/2"]);
    while world.gate.waiting.borrow().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let same = world.run(&["livecopy", "--shard", "1/2"]).await.exits(7);
    has(&same, &[&first.named(), "that run works alone"]);
    for line in [&["sync", "--delete", "delete"][..], &["repair"]] {
        has(&world.run(line).await.exits(7), &[&first.named(), "--shard 1/2"]);
    }
    let second = world.start(&["sync", "--delete", "delete", "--shard", "2/2"]);
    world.gate.open();
    first.ends().await.exits(0);
    second.ends().await.exits(0);
    for number in 1..=6 {
        world.b.kept.get(&id(number)).await.unwrap();
        assert_eq!(world.b.uploads(number), 1);
    }
}

/// A dry run takes no claim and waits for none. `repair -n` says that it cannot judge a run that is
/// in progress.
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_neither_claims_nor_waits() {
    let world = World::with(1..=2).await;
    world.gate.close([1]);
    let sync = world.start(&["sync", "--delete", "delete", "--transfers", "1"]);
    world.gate.is_reached(1).await;
    let locks = || BTreeSet::from_iter(world.files("journal", ".lock"));
    let before = locks();
    for line in [&["livecopy"][..], &["sync"], &["sync", "--delete", "delete"]] {
        let line = [line, &["-n", "--wait", "1h"]].concat();
        has(&world.run(&line).await.exits(1), &["to do: "]);
    }
    let refused = world.run(&["repair", "-n", "--wait", "1h"]).await.exits(7);
    has(&refused, &["another run from", &sync.named()]);
    assert_eq!(locks(), before);
    sync.kill();
    // The killed run had made no record at the target yet.
    world.run(&["repair", "-n", "--wait", "1h"]).await.exits(0);
    assert_eq!(locks(), before, "the files of the killed run stay until a run begins");
    world.gate.open();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_killed_runs_leave_nothing_that_blocks_a_third() {
    let world = World::with(1..=3).await;
    world.gate.close([1, 2]);
    let one = world.start(&["livecopy", "--id", id(1).as_str()]);
    let other = world.start(&["sync", "--id", id(2).as_str()]);
    world.gate.is_reached(1).await;
    world.gate.is_reached(2).await;
    one.kill();
    other.kill();
    assert_eq!(world.files("journal", ".ndjson").len(), 2);
    let killed = world.other(&["resume", "-n"]).await.exits(1);
    has(&killed, &["unfinished: livecopy", "unfinished: sync"]);
    world.gate.open();
    has(&world.run(&["sync", "--delete", "delete"]).await.exits(0), &["3 copied and verified"]);
    for number in 1..=3 {
        world.b.kept.get(&id(number)).await.unwrap();
    }
    // The third run took over the journals of the killed ones, and `resume` still knows these.
    assert_eq!(world.files("journal", ".ndjson").len(), 1);
    has(&world.other(&["resume"]).await.exits(0), &["resuming: livecopy", "resuming: sync"]);
    has(&world.other(&["resume", "-n"]).await.exits(0), &["there are no unfinished runs"]);
    assert_eq!(world.files("journal", ".lock"), [""; 0]);
}
