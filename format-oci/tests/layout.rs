//! What is in a layout, and how it changes.

#![expect(clippy::unwrap_used, reason = "a test may panic; helpers of tests are not seen as such")]

mod support;

use std::fs;

use format_oci::LayoutStore;
use futures_util::TryStreamExt;
use glance_core::digest::Algorithm;
use glance_core::image::{Attributes, Member, MemberStatus, Owner, Status, Visibility};
use glance_core::project::Project;
use glance_core::store::{ByteRange, StoreErrorKind};
use glance_core::{Image, ImageStore, Selection};
use serde_json::json;

use support::{REF_NAME, Scratch, body, digest, id, sha256};

#[tokio::test]
async fn an_image_is_an_artifact_with_a_record_and_a_layer() {
    let scratch = Scratch::new();
    let image = scratch.image(1, "Debian 12 (amd64)", b"the data").await;
    assert_eq!(image.os_hash_value, Some(digest(Algorithm::Sha512, b"the data")));
    scratch.is_valid();
    assert_eq!(scratch.tags(), [id(1).as_str(), "Debian-12-amd64"]);
    let manifest = scratch.manifest("Debian-12-amd64");
    assert_eq!(manifest, scratch.manifest(id(1).as_str()));
    let (data, config) = (sha256(b"the data"), manifest["config"].clone());
    assert_eq!(
        manifest,
        json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": "application/vnd.glance-replicator.image.v1",
            "config": config,
            "layers": [{
                "mediaType": "application/vnd.glance-replicator.image.data.v1",
                "digest": format!("sha256:{data}"),
                "size": 8,
                "annotations": {"org.opencontainers.image.title": "Debian-12-amd64.qcow2"},
            }],
            "annotations": {
                "org.opencontainers.image.title": "Debian 12 (amd64)",
                "vnd.glance-replicator.image.id": id(1).as_str(),
                "vnd.glance-replicator.image.size": "8",
                "vnd.glance-replicator.image.disk_format": "qcow2",
                "vnd.glance-replicator.image.container_format": "bare",
            },
        })
    );
    assert_eq!(config["mediaType"], "application/vnd.glance-replicator.image.config.v1+json");
    let record = support::json(&scratch.named(&config["digest"]));
    assert_eq!(record["image"]["os_hash_value"], image.os_hash_value.unwrap());
    assert_eq!(record["data"], json!({"sha256": data, "size": 8}));
    assert_eq!(fs::read(scratch.blob(b"the data")).unwrap(), b"the data");
}

#[tokio::test]
async fn a_change_makes_a_small_manifest_and_never_a_layer() {
    let scratch = Scratch::new();
    let image = scratch.image(1, "one", b"the data").await;
    let (blobs, layer) = (scratch.blobs(), sha256(b"the data"));
    let wanted = Attributes { name: Some("two".to_owned()), ..image.attributes.clone() };
    scratch.store.update(&image, &wanted).await.unwrap();
    scratch.is_valid();
    assert_eq!(scratch.tags(), [id(1).as_str(), "two"]);
    let kept: Vec<String> = scratch.blobs().intersection(&blobs).cloned().collect();
    assert_eq!(kept, [layer], "config and manifest are new, and the old ones are gone");
    let mark = fs::metadata(scratch.path("index.json")).unwrap().modified().unwrap();
    let image = scratch.store.get(&id(1)).await.unwrap();
    scratch.store.update(&image, &wanted).await.unwrap();
    assert_eq!(fs::metadata(scratch.path("index.json")).unwrap().modified().unwrap(), mark);
}

#[tokio::test]
async fn equal_data_is_stored_once_and_removed_with_its_last_image() {
    let scratch = Scratch::new();
    scratch.image(1, "one", b"the data").await;
    scratch.image(2, "two", b"the data").await;
    assert_eq!(scratch.blobs().len(), 5, "one layer, two records, two manifests");
    scratch.store.delete(&id(1)).await.unwrap();
    scratch.is_valid();
    assert_eq!(scratch.data(2).await, "the data");
    scratch.store.delete(&id(2)).await.unwrap();
    assert!(scratch.blobs().is_empty() && scratch.tags().is_empty());
    scratch.store.finish().await.unwrap();
    let mut left: Vec<_> =
        fs::read_dir(scratch.dir.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["blobs", "index.json", "oci-layout"]);
}

#[tokio::test]
async fn a_tag_never_moves_to_another_image() {
    let scratch = Scratch::new();
    scratch.image(1, "debian", b"one").await;
    scratch.image(2, "debian", b"two").await;
    // A name that is the id of another image would hide that image.
    scratch.image(3, id(1).as_str(), b"three").await;
    assert_eq!(scratch.tags(), [id(1).as_str(), id(2).as_str(), id(3).as_str(), "debian"]);
    assert_eq!(
        scratch.manifest("debian")["layers"][0]["digest"],
        format!("sha256:{}", sha256(b"one"))
    );
    scratch.store.delete(&id(1)).await.unwrap();
    assert_eq!(scratch.tags(), [id(2).as_str(), id(3).as_str()]);
}

/// A tag that an operator gave stays with the manifest that it was given to.
#[tokio::test]
async fn tags_of_others_and_unknown_fields_stay() {
    let scratch = Scratch::new();
    let image = scratch.image(1, "one", b"the data").await;
    scratch.edit_index(|index| {
        index["x"] = json!("y");
        let mut entry = index["manifests"][0].clone();
        entry["annotations"][REF_NAME] = json!("production");
        entry["z"] = json!([1]);
        index["manifests"].as_array_mut().unwrap().push(entry);
    });
    let before = scratch.manifest("production");
    let wanted = Attributes { protected: true, ..image.attributes.clone() };
    scratch.store.update(&image, &wanted).await.unwrap();
    scratch.is_valid();
    assert_eq!(scratch.tags(), [id(1).as_str(), "one", "production"]);
    assert_eq!(scratch.manifest("production"), before);
    assert!(scratch.store.get(&id(1)).await.unwrap().attributes.protected, "the id counts");
    let index = scratch.index();
    assert_eq!(index["x"], "y");
    assert!(index["manifests"].as_array().unwrap().iter().any(|entry| entry["z"] == json!([1])));
    let image = scratch.store.get(&id(1)).await.unwrap();
    let unprotected = Attributes { protected: false, ..image.attributes.clone() };
    scratch.store.update(&image, &unprotected).await.unwrap();
    scratch.store.delete(&id(1)).await.unwrap();
    assert!(scratch.tags().is_empty(), "an image is deleted with all its tags");
}

/// As `skopeo copy` writes it: only some tags, or none.
#[tokio::test]
async fn an_image_is_found_by_its_manifest_whatever_its_tag() {
    let scratch = Scratch::new();
    scratch.image(1, "one", b"the data").await;
    scratch.edit_index(|index| {
        let mut entry = index["manifests"][0].clone();
        entry["annotations"][REF_NAME] = json!("latest");
        *index = json!({"schemaVersion": 2, "manifests": [entry]});
    });
    let all: Vec<Image> =
        scratch.store.list(&Selection::everything()).await.unwrap().try_collect().await.unwrap();
    assert_eq!((all.len(), &all[0].id), (1, &id(1)));
    scratch.edit_index(|index| {
        drop(index["manifests"][0].as_object_mut().unwrap().remove("annotations"));
    });
    let image = scratch.store.get(&id(1)).await.unwrap();
    let wanted = Attributes { os_hidden: true, ..image.attributes.clone() };
    scratch.store.update(&image, &wanted).await.unwrap();
    assert_eq!(scratch.tags(), [id(1).as_str(), "one"]);
    scratch.is_valid();
}

#[tokio::test]
async fn what_is_not_an_image_is_left_alone() {
    let scratch = Scratch::new();
    scratch.image(1, "one", b"the data").await;
    let layer = b"the data";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2,
            "digest": format!("sha256:{}", sha256(b"{}"))},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "size": layer.len(),
            "digest": format!("sha256:{}", sha256(layer))}],
    })
    .to_string();
    for blob in [manifest.as_bytes(), b"{}"] {
        fs::write(scratch.blob(blob), blob).unwrap();
    }
    scratch.edit_index(|index| {
        let container = json!({"mediaType": "application/vnd.oci.image.manifest.v1+json",
            "size": manifest.len(), "digest": format!("sha256:{}", sha256(manifest.as_bytes())),
            "annotations": {REF_NAME: "container"}});
        index["manifests"].as_array_mut().unwrap().push(container);
    });
    scratch.store.delete(&id(1)).await.unwrap();
    assert_eq!(scratch.tags(), ["container"]);
    scratch.is_valid();
    let all: Vec<Image> =
        scratch.store.list(&Selection::everything()).await.unwrap().try_collect().await.unwrap();
    assert_eq!(all, []);
}

#[tokio::test]
async fn a_layout_is_unfinished_while_a_run_writes_it() {
    let scratch = Scratch::new();
    assert!(scratch.store.is_complete().await.unwrap());
    scratch.image(1, "one", b"the data").await;
    let reader = LayoutStore::open(scratch.dir.path()).unwrap();
    assert!(!reader.is_complete().await.unwrap());
    scratch.store.finish().await.unwrap();
    assert!(reader.is_complete().await.unwrap(), "the reader sees what another process wrote");
    // What an interrupted run lacked, a run that only adds something does not complete.
    scratch.queued(2, "two").await;
    let next = LayoutStore::create(scratch.dir.path()).unwrap();
    next.finish_as_found().await.unwrap();
    assert!(!reader.is_complete().await.unwrap());
    next.finish().await.unwrap();
    assert!(reader.is_complete().await.unwrap());
}

#[tokio::test]
async fn projects_travel_with_their_images() {
    let scratch = Scratch::new();
    let image = scratch.image(1, "one", b"the data").await;
    let owned = Attributes {
        owner: Owner::Project("p1".to_owned()),
        visibility: Visibility::Shared,
        ..image.attributes.clone()
    };
    scratch.store.update(&image, &owned).await.unwrap();
    let member = Member { project: "p2".to_owned(), status: MemberStatus::Accepted };
    scratch.store.set_members(&id(1), std::slice::from_ref(&member)).await.unwrap();
    scratch.image(2, "two", b"other data").await;
    let project = |id: &str| Project {
        id: id.to_owned(),
        name: format!("name of {id}"),
        domain: "Default".to_owned(),
    };
    let all = ["p1", "p2", "p3"].map(project);
    scratch.store.write_projects(&all).await.unwrap();
    scratch.is_valid();
    assert_eq!(scratch.store.projects().await.unwrap(), all[..2]);
    assert_eq!(scratch.store.members(&id(1)).await.unwrap(), [member]);
    let index = fs::read(scratch.path("index.json")).unwrap();
    scratch.store.write_projects(&all).await.unwrap();
    assert_eq!(fs::read(scratch.path("index.json")).unwrap(), index);
}

#[tokio::test]
async fn ranges_and_lost_data() {
    let scratch = Scratch::new();
    scratch.image(1, "one", b"the data").await;
    let range = ByteRange { offset: 4, length: Some(2) };
    let part = scratch.store.read(&id(1), range).await.unwrap();
    assert_eq!(part.collect(8).await.unwrap(), "da");
    fs::remove_file(scratch.blob(b"the data")).unwrap();
    // A target receives the data again, and a source reports the damage.
    assert_eq!(scratch.store.get(&id(1)).await.unwrap().status, Status::Queued);
    let source = LayoutStore::open(scratch.dir.path()).unwrap().expecting_data();
    assert_eq!(source.get(&id(1)).await.unwrap().status, Status::Active);
    let error = source.read(&id(1), ByteRange::ALL).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unreadable);
    scratch.store.upload(&id(1), body(b"the data")).await.unwrap();
    scratch.is_valid();
}
