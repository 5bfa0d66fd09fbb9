//! Retries of failed images at the end of a run.

use futures_util::TryStreamExt;
use glance_core::Selection;
use glance_core::image::{Status, Visibility};
use glance_core::store::ImageStore;
use http::Method;
use replicator_engine::{CopyError, Done, OnBurnedId, Retries};

use super::{Sites, id, is_data_of, is_file};
use crate::support::fault::Fault;

#[tokio::test]
async fn an_image_that_fails_twice_and_then_is_good_has_one_outcome() {
    let sites = Sites::new(1);
    for number in 1..=3 {
        sites.source.image(number, 100).await;
    }
    sites.targets[0].faulty.inject(Method::PUT, is_data_of(1), 2, Fault::Status(503));
    let ran = sites.run().await;
    ran.is_good(3);
    assert_eq!(ran.outcomes[0][&1].as_ref().unwrap(), &Done::Completed);
    // Retries come after all other images.
    assert_eq!(sites.targets[0].uploads(), [1, 2, 3, 1, 1]);
    for number in 1..=3 {
        sites.targets[0].holds(number, 100).await;
    }
}

#[tokio::test]
async fn an_image_that_goes_on_failing_fails_once_and_nothing_else_is_tried_again() {
    let sites = Sites::new(1);
    for number in 1..=3 {
        sites.source.image(number, 100).await;
    }
    let target = &sites.targets[0];
    target.faulty.inject(Method::PUT, is_data_of(2), usize::MAX, Fault::Status(503));
    // This failure is permanent.
    target.faulty.inject(Method::PUT, is_data_of(3), 1, Fault::Status(403));
    let ran = sites.run().await;
    assert_eq!(ran.failed(0), [2, 3]);
    assert!(ran.ended[0].is_ok(), "{:?}", ran.ended);
    assert_eq!(target.uploads(), [1, 2, 3, 2, 2]);
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_looked_at_again() {
    let sites = Sites::new(1);
    let image = sites.source.kept.get(&sites.source.image(1, 10).await).await.unwrap();
    let mut shared = image.attributes.clone();
    shared.visibility = Visibility::Shared;
    sites.source.kept.update(&image, &shared).await.unwrap();
    let is_members = |path: &str| path.ends_with("/members");
    sites.source.faulty.inject(Method::GET, is_members, 1, Fault::Status(500));
    sites.run().await.is_good(1);
    assert_eq!(sites.source.faulty.pending(), 0);
}

#[tokio::test]
async fn without_retries_a_failure_is_said_at_once() {
    let mut sites = Sites::new(1);
    sites.policy.retries = Retries::NONE;
    sites.source.image(1, 10).await;
    sites.source.image(2, 10).await;
    sites.targets[0].faulty.inject(Method::PUT, is_data_of(1), 1, Fault::Status(503));
    let mut order = Vec::new();
    let replications = sites.replications();
    let observe = |_, outcome: replicator_engine::Outcome| {
        order.push((super::number(outcome.image.id.as_str()), outcome.result.is_ok()));
    };
    replicator_engine::run_all(&replications, observe).await;
    assert_eq!(order, [(1, false), (2, true)]);
}

#[tokio::test]
async fn a_replica_with_another_id_is_filled_and_not_made_twice() {
    let mut sites = Sites::new(1);
    sites.policy.on_burned_id = OnBurnedId::New;
    let image = sites.source.kept.get(&sites.source.image(1, 10).await).await.unwrap();
    // Another image refers to the failed one.
    sites.source.image_with(2, 10, &[("kernel_id", id(1).as_str())]).await;
    let target = &sites.targets[0];
    target.kept.create(&image).await.unwrap();
    target.kept.delete(&image.id).await.unwrap();
    target.faulty.inject(Method::PUT, is_file, 2, Fault::Status(503));
    let ran = sites.run().await;
    ran.is_good(2);
    let everything = Selection::everything();
    let all: Vec<_> = target.kept.list(&everything).await.unwrap().try_collect().await.unwrap();
    assert_eq!(all.len(), 2, "{all:?}");
    let replica = all.iter().find(|image| image.id != id(2)).unwrap();
    let user = target.kept.get(&id(2)).await.unwrap();
    assert_eq!(user.attributes.properties["kernel_id"], replica.id.as_str());
}

#[tokio::test]
async fn a_source_that_lost_an_image_meanwhile_is_a_failure() {
    let sites = Sites::new(1);
    sites.source.image(1, 10).await;
    sites.targets[0].faulty.inject(Method::PUT, is_file, 1, Fault::Status(503));
    let is_record = |path: &str| path == format!("/v2/images/{}", id(1));
    sites.source.faulty.inject(Method::GET, is_record, usize::MAX, Fault::Status(404));
    let ran = sites.run().await;
    let error = ran.outcomes[0][&1].as_ref().unwrap_err();
    assert!(matches!(error, CopyError::Source(_)), "{error}");
}

#[tokio::test]
async fn the_page_of_a_proxy_stores_nothing_and_the_data_is_sent_again() {
    let sites = Sites::new(1);
    sites.source.image(1, 100).await;
    sites.targets[0].faulty.inject(Method::PUT, is_file, 1, Fault::NotGlance);
    sites.run().await.is_good(1);
    assert_eq!(sites.targets[0].uploads(), [1, 1]);
    sites.targets[0].holds(1, 100).await;
}

#[tokio::test]
async fn a_proxy_that_answers_uploads_itself_is_no_glance() {
    let sites = Sites::new(1);
    sites.source.image(1, 100).await;
    sites.targets[0].faulty.inject(Method::PUT, is_file, usize::MAX, Fault::NotGlance);
    let ran = sites.run().await;
    let error = ran.outcomes[0][&1].as_ref().unwrap_err();
    let CopyError::Target(cause) = error else { panic!("{error}") };
    assert!(error.is_retryable());
    assert!(cause.reason.contains("the response 200 OK is not from a Glance"), "{cause}");
    assert_eq!(sites.targets[0].status(1).await, Status::Queued);
}
