//! The order in which images begin, and the conditions that end a run early.

use std::time::Duration;

use glance_core::image::Status;
use http::Method;
use replicator_engine::{
    CancelMode, CancelReason, CancelToken, CopyError, ErrorLimit, Order, Prune, Removal, RunError,
};

use super::{Site, Sites, id, is_data_of, is_file};
use crate::support::fault::Fault;

/// A source of six images with these sizes, and this number of targets.
async fn six(targets: usize) -> Sites {
    let sites = Sites::new(targets);
    for (number, size) in (1..).zip([300, 100, 600, 200, 500, 400]) {
        sites.source.image(number, size).await;
    }
    sites
}

#[tokio::test]
async fn images_are_copied_in_the_order_that_was_asked_for() {
    for (order, expected) in [
        (Order::Id, [1, 2, 3, 4, 5, 6]),
        (Order::SmallestFirst, [2, 4, 1, 6, 5, 3]),
        (Order::LargestFirst, [3, 5, 6, 1, 4, 2]),
    ] {
        let mut sites = six(2).await;
        sites.policy.order = order;
        sites.run().await.is_good(6);
        for target in &sites.targets {
            assert_eq!(target.uploads(), expected, "{order:?}");
        }
    }
}

#[tokio::test]
async fn what_others_refer_to_comes_before_them_in_any_order() {
    let mut sites = Sites::new(1);
    sites.policy.order = Order::LargestFirst;
    sites.source.image_with(1, 900, &[("kernel_id", id(3).as_str())]).await;
    sites.source.image_with(2, 950, &[("ramdisk_id", id(4).as_str())]).await;
    sites.source.image(3, 10).await;
    sites.source.image(4, 20).await;
    sites.run().await.is_good(4);
    assert_eq!(sites.targets[0].uploads(), [4, 3, 2, 1]);
}

fn stopped(ended: &Result<(), RunError>) -> (CancelReason, u64, bool) {
    match ended {
        Err(RunError::Stopped { why, left, unseen }) => (*why, *left, *unseen),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn no_image_is_begun_that_would_be_too_many_bytes() {
    let mut sites = six(2).await;
    // Only the first two images fit, at both targets.
    sites.policy.max_bytes = Some(999);
    let ran = sites.run().await;
    for (target, ended) in sites.targets.iter().zip(&ran.ended) {
        assert_eq!(target.uploads(), [1, 2]);
        assert_eq!(stopped(ended), (CancelReason::OutOfBytes, 4, false));
    }
    (sites.policy.stop, sites.policy.max_bytes) = (CancelToken::default(), Some(600));
    let ran = sites.run().await;
    assert_eq!(stopped(&ran.ended[0]), (CancelReason::OutOfBytes, 3, false));
    // The limit just suffices for the remaining images.
    (sites.policy.stop, sites.policy.max_bytes) = (CancelToken::default(), Some(1100));
    sites.run().await.is_good(6);
}

#[tokio::test]
async fn a_target_where_too_many_images_failed_is_given_up_and_the_others_are_not() {
    for (most, tried) in [
        (ErrorLimit::Images(2), vec![1, 2]),
        (ErrorLimit::Images(1), vec![1]),
        (ErrorLimit::Percent(50), vec![1, 2, 3]),
        (ErrorLimit::Percent(1), vec![1]),
    ] {
        let mut sites = six(2).await;
        sites.policy.max_errors = Some(most);
        let bad = &sites.targets[0];
        bad.faulty.inject(Method::PUT, is_file, usize::MAX, Fault::Status(503));
        let ran = sites.run().await;
        // The run does not retry either.
        assert_eq!(bad.uploads(), tried, "{most:?}");
        assert_eq!(ran.failed(0), tried, "{most:?}");
        let Err(RunError::TooManyFailures { failures, left }) = &ran.ended[0] else {
            panic!("{:?}", ran.ended[0])
        };
        assert_eq!((*failures, *left), (tried.len() as u64, 6 - tried.len() as u64));
        assert!(ran.ended[1].is_ok() && ran.outcomes[1].len() == 6);
    }
}

#[tokio::test]
async fn fewer_failures_than_the_limit_end_nothing_and_good_retries_are_none() {
    let mut sites = six(1).await;
    sites.policy.max_errors = Some(ErrorLimit::Images(2));
    sites.targets[0].faulty.inject(Method::PUT, is_data_of(1), 1, Fault::Status(503));
    sites.run().await.is_good(6);
}

/// Waits until the upload of this image has begun.
async fn begun(target: &Site, number: u8) {
    while !target.uploads().contains(&number) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn uploads_are_broken_off_and_another_run_completes_them() {
    let mut sites = six(2).await;
    let stop = sites.policy.stop.clone();
    // The first upload would never end.
    sites.targets[0].faulty.inject(Method::PUT, is_data_of(2), 1, Fault::Stall);
    let break_off = async {
        begun(&sites.targets[0], 2).await;
        begun(&sites.targets[1], 2).await;
        stop.stop(CancelMode::Abort, CancelReason::Interrupted);
    };
    let (ran, ()) = tokio::join!(sites.run(), break_off);
    let error = ran.outcomes[0][&2].as_ref().unwrap_err();
    assert!(matches!(error, CopyError::BrokenOff), "{error}");
    assert!(ran.outcomes[0][&1].is_ok() && !ran.outcomes[0].contains_key(&3));
    assert_eq!(sites.targets[0].status(2).await, Status::Queued);
    for ended in &ran.ended {
        let (why, _, unseen) = stopped(ended);
        assert_eq!((why, unseen), (CancelReason::Interrupted, true));
    }
    sites.policy.stop = CancelToken::default();
    sites.run().await.is_good(6);
    for target in &sites.targets {
        target.holds(2, 100).await;
    }
}

#[tokio::test]
async fn a_run_whose_images_were_all_begun_is_unfinished_when_it_is_stopped() {
    for images in [1, 3] {
        let mut sites = Sites::new(1);
        sites.policy.transfers = 3;
        for number in 1..=images {
            sites.source.image(number, 100).await;
            let stall = Fault::Stall;
            sites.targets[0].faulty.inject(Method::PUT, is_data_of(number), 1, stall);
        }
        let stop = sites.policy.stop.clone();
        let break_off = async {
            for number in 1..=images {
                begun(&sites.targets[0], number).await;
            }
            stop.stop(CancelMode::Abort, CancelReason::Interrupted);
        };
        let (ran, ()) = tokio::join!(sites.run(), break_off);
        assert_eq!(stopped(&ran.ended[0]).0, CancelReason::Interrupted);
        assert_eq!(ran.failed(0).len(), usize::from(images));
        sites.policy.stop = CancelToken::default();
        sites.run().await.is_good(images.into());
    }
}

/// Stops a run just before this request to the target. Returns whether the run was stopped, and the
/// number of the request that removed the image lost at the source, if there was one.
async fn stopped_at(request: usize) -> (bool, Option<usize>) {
    let mut sites = six(1).await;
    sites.policy.stamp = Some("source".into());
    sites.run().await.is_good(6);
    sites.source.image(7, 50).await;
    glance_core::ImageStore::delete(&*sites.source.kept, &id(1)).await.unwrap();
    let how = Removal::Delete;
    sites.policy.prune = Some(Prune { how, most: ErrorLimit::Percent(100), unprotect: false });
    let target = &sites.targets[0];
    let before = target.faulty.requests().len();
    target.counted.stop_at(request, &sites.policy.stop);
    let ran = sites.run().await;
    let why = sites.policy.stop.why();
    match why {
        None => assert!(ran.ended[0].is_ok(), "{:?}", ran.ended),
        Some(why) => assert_eq!(stopped(&ran.ended[0]).0, why, "request {request}"),
    }
    let requests = &target.faulty.requests()[before..];
    let removal = requests.iter().position(|(method, _)| *method == Method::DELETE);
    let is_there = glance_core::ImageStore::get(&*target.kept, &id(1)).await.is_ok();
    assert_eq!(is_there, removal.is_none());
    (why.is_some(), removal)
}

#[tokio::test]
async fn nothing_is_removed_after_a_stop_at_any_request() {
    let mut request = 0;
    loop {
        let (is_stopped, removal) = stopped_at(request).await;
        if !is_stopped {
            assert!(removal.is_some(), "nothing disturbed the run");
            break;
        }
        // A request that is under way when the run stops is not undone.
        assert!(removal.is_none_or(|removal| removal == request), "{request}: {removal:?}");
        request += 1;
    }
    assert!(request >= 8, "{request}");
}

#[tokio::test]
async fn what_is_stored_when_a_run_is_broken_off_is_proven_and_published() {
    let sites = six(1).await;
    let stop = sites.policy.stop.clone();
    // All data has arrived, but the answer is lost, so the result is unknown.
    let target = &sites.targets[0];
    let (told, path) = (stop.clone(), format!("/v2/images/{}", id(1)));
    let is_publishing = move |asked: &str| {
        if asked == path {
            told.stop(CancelMode::Abort, CancelReason::Terminated);
        }
        false
    };
    target.faulty.inject(Method::PATCH, is_publishing, 1, Fault::Lost);
    let ran = sites.run().await;
    assert_eq!(stopped(&ran.ended[0]).0, CancelReason::Terminated);
    assert_eq!(target.uploads(), [1]);
    target.holds(1, 300).await;
}

#[tokio::test(start_paused = true)]
async fn a_pause_before_images_are_tried_again_is_cut_short() {
    let mut sites = six(1).await;
    sites.policy.retries.pauses.first = Duration::from_secs(3600);
    sites.policy.retries.pauses.most = Duration::from_secs(3600);
    let target = &sites.targets[0];
    target.faulty.inject(Method::PUT, is_data_of(6), usize::MAX, Fault::Status(503));
    let stop = sites.policy.stop.clone();
    let end = async {
        begun(target, 6).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        stop.stop(CancelMode::Drain, CancelReason::OutOfTime);
    };
    let begin = tokio::time::Instant::now();
    let (ran, ()) = tokio::join!(sites.run(), end);
    assert!(begin.elapsed() < Duration::from_secs(1));
    // All images have begun and one has failed, so the run is unfinished.
    assert_eq!(stopped(&ran.ended[0]), (CancelReason::OutOfTime, 0, false));
    assert_eq!(ran.failed(0), [6]);
}

#[tokio::test]
async fn a_run_that_ends_early_removes_nothing() {
    let mut sites = six(1).await;
    sites.policy.stamp = Some("source".into());
    sites.run().await.is_good(6);
    sites.source.image(7, 50).await;
    glance_core::ImageStore::delete(&*sites.source.kept, &id(1)).await.unwrap();
    let how = Removal::Delete;
    sites.policy.prune = Some(Prune { how, most: ErrorLimit::Percent(100), unprotect: false });
    sites.policy.max_bytes = Some(10);
    let ran = sites.run().await;
    assert_eq!(stopped(&ran.ended[0]), (CancelReason::OutOfBytes, 1, false));
    sites.targets[0].holds(1, 300).await;
    (sites.policy.stop, sites.policy.max_bytes) = (CancelToken::default(), None);
    assert!(sites.run().await.ended[0].is_ok());
    assert!(glance_core::ImageStore::get(&*sites.targets[0].kept, &id(1)).await.is_err());
}
