//! One source, many targets.

use std::sync::atomic::Ordering;

use glance_core::store::ImageStore;
use http::Method;
use replicator_engine::{Done, RunError};

use super::{Sites, id, is_data_of, is_file};
use crate::support::fault::Fault;

const SIZE: usize = 3 << 20;

#[tokio::test]
async fn four_targets_get_the_data() {
    let mut sites = Sites::new(4);
    sites.policy.transfers = 3;
    for number in 1..=5 {
        sites.source.image(number, SIZE + usize::from(number)).await;
    }
    sites.run().await.is_good(5);
    for target in &sites.targets {
        for number in 1..=5 {
            target.holds(number, SIZE + usize::from(number)).await;
        }
    }
    let read = sites.source.counted.read.load(Ordering::Relaxed);
    // Each image is read once for all targets.
    assert_eq!(read, (1..=5).map(|number| (SIZE + number) as u64).sum::<u64>());
}

#[tokio::test]
async fn each_target_gets_what_it_lacks() {
    let sites = Sites::new(3);
    for number in 1..=4 {
        sites.source.image(number, 100).await;
    }
    // The second target lacks an image, and the third has a record without data.
    let mut some = Sites::new(0);
    (some.source, some.targets) = (sites.source, vec![]);
    let mut all = sites.targets.into_iter();
    let (one, two, three) = (all.next().unwrap(), all.next().unwrap(), all.next().unwrap());
    some.targets = vec![two];
    some.run().await.is_good(4);
    some.targets[0].kept.delete(&id(3)).await.unwrap();
    let image = some.source.kept.get(&id(2)).await.unwrap();
    three.kept.create(&image).await.unwrap();
    some.targets.insert(0, one);
    some.targets.push(three);
    some.source.image(5, 100).await;
    some.policy.on_burned_id = replicator_engine::OnBurnedId::Skip;
    let ran = some.run().await;
    ran.is_good(5);
    let of = |target: usize, number: u8| ran.outcomes[target][&number].as_ref().unwrap();
    assert_eq!(of(0, 1), &Done::Copied);
    assert_eq!(of(1, 1), &Done::InPlace);
    assert!(matches!(of(1, 3), Done::Skipped(_)));
    assert_eq!(of(1, 5), &Done::Copied);
    assert_eq!(of(2, 2), &Done::Completed);
}

#[tokio::test]
async fn a_failing_target_does_not_stop_the_others_and_is_tried_again() {
    let sites = Sites::new(4);
    for number in 1..=3 {
        sites.source.image(number, 1 << 20).await;
    }
    sites.targets[1].faulty.inject(Method::PUT, is_file, 4, Fault::Status(503));
    sites.targets[2].faulty.inject(Method::PUT, is_data_of(2), usize::MAX, Fault::Status(502));
    let ran = sites.run().await;
    for target in [0, 1, 3] {
        assert!(ran.ended[target].is_ok() && ran.failed(target).is_empty());
        for number in 1..=3 {
            sites.targets[target].holds(number, 1 << 20).await;
        }
    }
    assert_eq!(ran.failed(2), [2]);
    assert_eq!(sites.targets[0].uploads(), [1, 2, 3]);
    assert_eq!(sites.targets[1].uploads(), [1, 2, 3, 1, 2, 3, 1]);
}

#[tokio::test]
async fn a_target_that_cannot_be_listed_fails_alone() {
    let sites = Sites::new(3);
    for number in 1..=3 {
        sites.source.image(number, 100).await;
    }
    let is_listing = |path: &str| path == "/v2/images";
    sites.targets[1].faulty.inject(Method::GET, is_listing, usize::MAX, Fault::Status(503));
    let ran = sites.run().await;
    assert!(matches!(ran.ended[1], Err(RunError::Listing(_))), "{:?}", ran.ended[1]);
    assert!(ran.outcomes[1].is_empty());
    for target in [0, 2] {
        assert!(ran.ended[target].is_ok());
        assert_eq!(ran.outcomes[target].len(), 3);
    }
    // Without a source, no target receives anything.
    sites.source.faulty.inject(Method::GET, is_listing, usize::MAX, Fault::Status(503));
    let ran = sites.run().await;
    assert!(ran.ended.iter().all(|ended| matches!(ended, Err(RunError::Listing(_)))));
}
