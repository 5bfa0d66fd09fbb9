//! Two runs side by side, killed at random instants. A third run always completes the copy, and
//! nothing blocks it.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use glance_core::image::{Image, provenance};
use glance_core::store::ImageStore;
use tokio::time::sleep;

use super::{Running, World, attributes, id};
use crate::support::common::Run;
use crate::support::extent::{Chance, extent};
use crate::support::site::Site;

/// The sizes of the images. Most of the time of a run is data transfer.
const SIZES: [usize; 8] = [1 << 20, 3, 700_001, 0, 1 << 19, 65_536, 900_000, 12_345];

const ONE: &[&str] = &["livecopy", "--bwlimit", "4M", "--transfers", "2"];
const OTHER: &[&str] = &["sync", "--bwlimit", "4M", "--transfers", "2", "--order-by", "size,desc"];
const THIRD: &[&str] = &["sync", "--delete", "delete"];

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_that_are_killed_at_any_instant_are_completed_by_a_third() {
    let mut world = World::with([]).await;
    let mut images = Vec::new();
    for (number, size) in (1..).zip(SIZES) {
        world.a.kept.create(&Image::queued(id(number), attributes(number))).await.unwrap();
        let data = Bytes::from(vec![number; size]);
        images.push(world.a.kept.upload(&id(number), data.into()).await.unwrap());
    }
    let mut chance = Chance::new();
    let mut table = format!("seed {}\n", chance.seed);
    let mut complaints = Vec::new();
    let begin = Instant::now();
    let undisturbed = round(&mut world, &images, [None, None]).await;
    assert_eq!(undisturbed, [""; 0]);
    for image in 1..=u8::try_from(SIZES.len()).unwrap() {
        assert_eq!(world.b.uploads(image), 1, "image {image} was uploaded by one run");
    }
    let span = begin.elapsed();
    for number in 0..extent("CLAIMS_KILLS", 6) {
        let instants = [chance.fraction(), chance.fraction()].map(|part| span.mul_f64(part * 0.7));
        let found = round(&mut world, &images, instants.map(Some)).await;
        let _ = writeln!(table, "{number}: killed after {instants:?}: {found:?}");
        complaints.extend(found);
    }
    assert!(complaints.is_empty(), "{table}");
}

/// Starts two runs, kills each at its instant unless it has ended, and completes the copy with a
/// third run. Returns what is wrong then.
async fn round(world: &mut World, images: &[Image], at: [Option<Duration>; 2]) -> Vec<String> {
    world.b = Site::open(&world.stack, images).await;
    let _ = std::fs::remove_dir_all(world.path("state"));
    let (one, other) = (world.start(ONE), world.start(OTHER));
    let (one, other) = tokio::join!(killed_at(one, at[0]), killed_at(other, at[1]));
    let mut found = Vec::new();
    for run in [one, other].into_iter().flatten() {
        // An upload of the killed run may be in progress at the server, or a claim may be waited
        // for too long.
        if !matches!(run.code, Some(0 | 3 | 7)) {
            found.push(format!("exit {:?}: {}", run.code, run.stderr));
        }
    }
    let mut third = world.run(THIRD).await;
    // The server notices a broken upload with a delay.
    for _ in 0..50 {
        if third.code != Some(3) || !third.stderr.contains(" saving") {
            break;
        }
        sleep(Duration::from_millis(200)).await;
        third = world.run(THIRD).await;
    }
    if third.code != Some(0) {
        found.push(format!("then exit {:?}: {}", third.code, third.stderr));
    }
    found.extend(judged(world, images).await);
    found
}

async fn judged(world: &World, images: &[Image]) -> Vec<String> {
    let mut found = world.b.watch.violations();
    for image in images {
        let mut differences = world.b.differences(&world.a, &image.id).await;
        differences.retain(|field| !provenance::ALL.contains(&field.as_str()));
        found.extend((!differences.is_empty()).then(|| format!("{}: {differences:?}", image.id)));
    }
    let resumed = world.other(&["resume"]).await;
    if resumed.code != Some(0) {
        found.push(format!("resume: {:?}: {}", resumed.code, resumed.stderr));
    }
    found.extend(world.files("journal", ".lock"));
    if world.files("journal", ".ndjson").len() != 1 {
        found.push("there is more than one journal".to_owned());
    }
    found
}

/// How a run ended that was not killed before.
async fn killed_at(mut run: Running, at: Option<Duration>) -> Option<Run> {
    if let Some(at) = at {
        sleep(at).await;
        if run.0.try_wait().unwrap().is_none() {
            run.kill();
            return None;
        }
    }
    Some(run.ends().await)
}
