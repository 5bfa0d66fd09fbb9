//! `--store`, `--store-map` and `--also-store`: the stores in which the target puts data.

use glance_core::ImageStore;
use glance_core::image::Visibility;
use glance_core::store::Activation;

use crate::suites::cloud::via::{Scene, attributes, mebibytes};

/// Copies an image of A with these options. Returns the stores of B that have it.
async fn placed(scene: &Scene, seed: u64, options: &[&str]) -> Vec<String> {
    let image = scene.image(attributes("placed"), mebibytes(1, seed)).await;
    let line = ["livecopy", "a", "b", "--id", image.id.as_str()];
    scene.cloud.replicator(&[&line[..], options].concat()).exits(0);
    let mut there = scene.b.get(&image.id).await.unwrap();
    assert_eq!(there.os_hash_value, image.os_hash_value);
    there.stores.sort();
    there.stores
}

#[tokio::test(flavor = "multi_thread")]
async fn data_is_put_where_it_should_be() {
    let scene = Scene::new().await;
    for (options, expected) in [
        (&[][..], &["fast"][..]),
        (&["--store", "archive"], &["archive"]),
        (&["--store-map", "main=archive"], &["archive"]),
        (&["--store-map", "other=fast", "--store", "archive"], &["archive"]),
        (&["--store-map", "main=fast", "--store", "archive"], &["fast"]),
        (&["--store", "archive", "--via", "glance-download"], &["archive"]),
        (&["--also-store", "archive"], &["archive", "fast"]),
        (&["--also-store", "archive", "--also-store", "fast"], &["archive", "fast"]),
        (&["--store", "archive", "--also-store", "fast", "--via", "auto"], &["archive", "fast"]),
    ] {
        assert_eq!(placed(&scene, 10, options).await, expected, "{options:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_not_reached_is_reached_by_the_next_run() {
    let scene = Scene::new().await;
    let image = scene.image(attributes("of alice"), mebibytes(1, 11)).await;
    let more = ["--also-store", "archive", "--owner", "caller", "--id", image.id.as_str()];
    // Only administrators may copy between the stores of a Glance.
    let line = [&["sync", "a", "alice-b"], &more[..]].concat();
    for words in ["403 Forbidden", "the image is complete and verified, but not in store archive"] {
        let run = scene.cloud.replicator(&line).exits(3);
        assert!(run.stderr.contains(words), "{}", run.stderr);
        let hint = "hint: ask for the role admin in project ";
        assert!(run.stderr.contains(hint), "{}", run.stderr);
    }
    let line = [&["plan", "a", "b"], &more[..]].concat();
    let run = scene.cloud.replicator(&line).exits(1);
    assert!(run.stdout.contains("metadata (update)"), "{}", run.stdout);
    let line = [&["sync", "a", "b"], &more[..]].concat();
    let run = scene.cloud.replicator(&line).exits(0);
    assert!(run.stdout.contains("1 updated"), "{}", run.stdout);
    assert_eq!(scene.b.get(&image.id).await.unwrap().stores.len(), 2);
    let mark = scene.cloud.mark("b");
    let run = scene.cloud.replicator(&line).exits(0);
    assert!(run.stdout.contains("1 in place"), "{}", run.stdout);
    assert_eq!(scene.writes_since(mark, &image.id), Vec::<String>::new());
}

/// Glance copies only active images between stores, so the copy precedes the deactivation.
#[tokio::test(flavor = "multi_thread")]
async fn a_deactivated_image_is_in_all_its_stores_too() {
    let scene = Scene::new().await;
    let image = scene.image(attributes("deactivated"), mebibytes(1, 12)).await;
    scene.a.set_activation(&image.id, Activation::Deactivated).await.unwrap();
    let line = ["sync", "a", "b", "--also-store", "archive", "--id", image.id.as_str()];
    scene.cloud.replicator(&line).exits(0);
    scene.assert_same(&image.id);
    let there = scene.b.get(&image.id).await.unwrap();
    assert_eq!((there.stores.len(), there.attributes.visibility), (2, Visibility::Private));
    scene.cloud.replicator(&line).exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_not_there_is_refused_at_the_start() {
    let scene = Scene::new().await;
    let cloud = &scene.cloud;
    for options in [["--store", "nix"], ["--store-map", "main=nix"], ["--also-store", "nix"]] {
        let run = cloud.replicator(&[&["livecopy", "a", "b"], &options[..]].concat()).exits(2);
        assert!(run.stderr.contains("has no store \"nix\""), "{}", run.stderr);
        assert!(
            run.stderr.contains("hint: choose one of its stores: archive, fast"),
            "{}",
            run.stderr
        );
    }
    let run = cloud.replicator(&["livecopy", "a", "c", "--also-store", "main"]).exits(2);
    assert!(run.stderr.contains("does not offer the import method copy-image"), "{}", run.stderr);
    let dump = tempfile::tempdir().unwrap();
    let path = dump.path().join("dump");
    let path = path.to_str().unwrap();
    cloud.replicator(&["dump", "a", path, "--store", "fast"]).exits(2);
}
