//! Runs that share their stores: each image is the work of one run.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::TryStreamExt;
use glance_core::image::{Image, Status};
use glance_core::selection::Selection;
use glance_core::store::ImageStore;
use http::Method;
use serde_json::Value;

use super::{World, attributes, has, id};
use crate::support::common::start_heard;
use crate::support::fault::Fault;

#[tokio::test(flavor = "multi_thread")]
async fn an_urgent_copy_of_another_image_succeeds_during_a_slow_sync() {
    let world = World::with(1..=3).await;
    world.gate.close([1]);
    let slow = world.start(&["sync", "--transfers", "1"]);
    world.gate.is_reached(1).await;
    let urgent = world.run(&["livecopy", "--id", id(3).as_str()]).await.exits(0);
    has(&urgent, &["1 copied and verified"]);
    world.b.holds(&world.a, 3).await;
    // Each has a journal, and nothing is left of the ended run's.
    let listed = world.other(&["resume", "-n"]).await.exits(0);
    has(&listed, &["in progress: ", &slow.named(), "(sync https://", "no unfinished runs"]);
    // The listing of the slow run is older than the urgent copy.
    world.gate.open();
    let slow = slow.ends().await.exits(0);
    has(&slow, &["2 copied and verified", "1 in place"]);
    assert!(!slow.stderr.contains("retried"), "{}", slow.stderr);
    for number in 1..=3 {
        world.b.holds(&world.a, number).await;
        assert_eq!(world.b.uploads(number), 1);
    }
    assert_eq!(world.files("journal", ".lock"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_in_work_is_reported_with_the_process_its_start_and_its_command() {
    let world = World::with(1..=2).await;
    world.gate.close([1]);
    let slow = world.start(&["sync", "--transfers", "1"]);
    world.gate.is_reached(1).await;
    let first = id(1);
    let line = ["livecopy", "--id", first.as_str(), "--retries", "0"];
    let urgent = world.run(&line).await.exits(7);
    let command = format!("(sync {} {} --transfers 1", world.a.url, world.b.url);
    has(&urgent, &[&format!("error: image {}", id(1)), "another run works on this image"]);
    has(&urgent, &[&slow.named(), &command, "--wait", "1 in use by other runs"]);
    let json = world.run(&[&line[..], &["--output", "json"]].concat()).await.exits(7);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    let (image, summary) = (&json["images"][0], &json["summary"]);
    assert_eq!((&image["id"], &image["result"]), (&id(1).as_str().into(), &"in_use".into()));
    assert_eq!((&summary["in_use"], &summary["failed"]), (&1.into(), &0.into()));
    // The run copies its other images.
    let both = world.run(&["livecopy", "--retries", "0"]).await.exits(7);
    has(&both, &["1 copied and verified", "0 failed, 1 in use by other runs"]);
    // The run is unfinished, so `resume` completes it.
    world.gate.open();
    slow.ends().await.exits(0);
    let resumed = world.other(&["resume"]).await.exits(0);
    has(&resumed, &["1 in place"]);
    assert_eq!(world.b.uploads(1), 1);
}

/// The target's record shows the upload of the other run.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_whose_upload_is_in_progress_is_in_use() {
    let world = World::with([]).await;
    // More than the buffers between the processes hold.
    let data = Bytes::from(vec![1; 3 << 20]);
    world.a.kept.create(&Image::queued(id(1), attributes(1))).await.unwrap();
    world.a.kept.upload(&id(1), data.into()).await.unwrap();
    let is_data = |path: &str| path.ends_with("/file");
    world.a.faulty.inject(Method::GET, is_data, 1, Fault::StallDownload { after: 2 << 20 });
    let slow = world.start(&["sync"]);
    let status = async || world.b.kept.get(&id(1)).await.map(|image| image.status).ok();
    while status().await != Some(Status::Saving) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let run = world.run(&["livecopy", "--retries", "0"]).await.exits(7);
    has(&run, &[&slow.named(), "1 in use by other runs"]);
    slow.kill();
    while status().await != Some(Status::Queued) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.run(&["livecopy"]).await.exits(0);
    world.b.holds(&world.a, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_in_work_is_waited_for() {
    let world = World::with(1..=2).await;
    world.gate.close([1]);
    let slow = world.start(&["sync", "--transfers", "1"]);
    world.gate.is_reached(1).await;
    let begin = Instant::now();
    let line = ["livecopy", "--retries", "0", "--wait"];
    let urgent = world.run(&[&line[..], &["2s"]].concat()).await.exits(7);
    assert!(begin.elapsed() >= Duration::from_secs(2));
    has(&urgent, &["1 copied and verified", "1 in use by other runs"]);
    let said = urgent.stderr.matches("the image will be retried").count();
    assert_eq!(said, 1, "{}", urgent.stderr);

    let waiting = world.start(&[&line[..], &["2m"]].concat());
    tokio::time::sleep(Duration::from_millis(1500)).await;
    world.gate.open();
    slow.ends().await.exits(0);
    has(&waiting.ends().await.exits(0), &["2 in place"]);
    for number in 1..=2 {
        world.b.holds(&world.a, number).await;
        assert_eq!(world.b.uploads(number), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_goes_on_when_the_other_is_killed() {
    let world = World::with(1..=1).await;
    world.gate.close([1]);
    let slow = world.start(&["sync"]);
    world.gate.is_reached(1).await;
    let waiting = world.start(&["livecopy", "--wait", "2m"]);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    slow.kill();
    world.gate.open();
    has(&waiting.ends().await.exits(0), &["1 copied and verified"]);
    world.b.holds(&world.a, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_claim_on_an_image_is_on_one_target() {
    let world = World::with(1..=1).await;
    world.gate.close([1]);
    let slow = world.start(&["sync"]);
    world.gate.is_reached(1).await;
    let line = ["livecopy", &world.a.url, &world.b.url, &world.c.url, "--retries", "0"];
    let both = super::Running(start_heard(&world.line(&line), &[]));
    // The copy to the other target needs the data, too.
    world.gate.is_reached_by(1, 2).await;
    world.gate.open();
    has(&both.ends().await.exits(7), &["1 copied and verified", "1 in use by other runs"]);
    slow.ends().await.exits(0);
    world.b.holds(&world.a, 1).await;
    world.c.holds(&world.a, 1).await;
    assert_eq!((world.b.uploads(1), world.c.uploads(1)), (1, 1));
}

/// Another source's run to the same target, with the same image id: the record is the same.
#[tokio::test(flavor = "multi_thread")]
async fn the_claim_on_an_image_is_for_every_source() {
    let world = World::with(1..=1).await;
    let image = Image::queued(id(1), attributes(1));
    world.c.kept.create(&image).await.unwrap();
    world.c.kept.upload(&id(1), super::data(1).into()).await.unwrap();
    world.gate.close([1]);
    let slow = world.start(&["sync"]);
    world.gate.is_reached(1).await;
    let line = ["livecopy", &world.c.url, &world.b.url, "--retries", "0"];
    has(&world.other(&line).await.exits(7), &[&slow.named()]);
    world.gate.open();
    slow.ends().await.exits(0);
}

/// A run whose listing is older than a replica under a new id makes no second one.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_with_a_new_id_is_made_once() {
    let world = World::with(1..=2).await;
    let image = world.a.kept.get(&id(2)).await.unwrap();
    world.b.kept.create(&image).await.unwrap();
    world.b.kept.delete(&id(2)).await.unwrap();
    world.gate.close([1]);
    let new = ["--on-burned-id", "new"];
    let slow = world.start(&[&["sync", "--transfers", "1"], &new[..]].concat());
    world.gate.is_reached(1).await;
    let second = id(2);
    let line = [&["livecopy", "--id", second.as_str()], &new[..]].concat();
    has(&world.run(&line).await.exits(0), &[" → "]);
    world.gate.open();
    slow.ends().await.exits(0);
    let everything = Selection::everything();
    let replicas = world.b.kept.list(&everything).await.unwrap();
    let replicas: Vec<_> = replicas.try_collect().await.unwrap();
    assert_eq!(replicas.len(), 2, "{replicas:?}");
}

/// The claims of many images take no space once their copies have ended.
#[tokio::test(flavor = "multi_thread")]
async fn claims_leave_no_files() {
    let world = World::with(1..=60).await;
    world.run(&["livecopy", "--transfers", "8"]).await.exits(0);
    assert_eq!(world.files("journal", ".lock"), [""; 0]);
    // Nothing is claimed for an image that is in place.
    world.gate.close(1..=60);
    world.run(&["livecopy"]).await.exits(0);
}
