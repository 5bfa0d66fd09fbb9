//! Layouts that lie. Every refusal names the file and the fault.

#![expect(clippy::unwrap_used, reason = "a test may panic; helpers of tests are not seen as such")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;

use format_oci::LayoutStore;
use futures_util::StreamExt;
use glance_core::image::ImageId;
use glance_core::store::{ByteRange, StoreErrorKind};
use glance_core::{ImageStore, Selection, StoreError, conformance};
use serde_json::{Value, json};

use support::{Scratch, id, sha256};

/// The error for the image 1 of a layout with the images 1 and 2.
async fn refused(scratch: &Scratch) -> StoreError {
    let store = LayoutStore::open(scratch.dir.path()).unwrap().expecting_data();
    let error = store.get(&id(1)).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unreadable, "{error}");
    assert!(error.store.starts_with("oci:"), "{error}");
    error
}

/// Fails the test unless the other image can still be listed and read.
async fn others_are_read(scratch: &Scratch) {
    let store = LayoutStore::open(scratch.dir.path()).unwrap().expecting_data();
    let listing: Vec<_> = store.list(&Selection::everything()).await.unwrap().collect().await;
    let [Err(error), Ok(image)] = &listing[..] else { panic!("{listing:?}") };
    assert_eq!((error.record.as_ref().unwrap().id.clone(), &image.id), (id(1), &id(2)));
    let data = store.read(&id(2), ByteRange::ALL).await.unwrap();
    assert_eq!(data.collect(100).await.unwrap(), "other data");
}

async fn two() -> Scratch {
    let scratch = Scratch::new();
    scratch.image(1, "one", b"the data").await;
    scratch.image(2, "two", b"other data").await;
    scratch
}

/// Replaces the manifest of the image 1, with a digest that fits unless `lie` gives another one.
fn edit_manifest(scratch: &Scratch, change: impl FnOnce(&mut Value)) {
    let mut manifest = scratch.manifest(id(1).as_str());
    change(&mut manifest);
    let text = manifest.to_string();
    fs::write(scratch.blob(text.as_bytes()), &text).unwrap();
    scratch.edit_index(|index| {
        let entries = index["manifests"].as_array_mut().unwrap();
        entries.retain(|entry| entry["annotations"][support::REF_NAME] != "one");
        let is_first =
            |entry: &&mut Value| entry["annotations"][support::REF_NAME] == id(1).as_str();
        let entry = entries.iter_mut().find(is_first).unwrap();
        entry["digest"] = json!(format!("sha256:{}", sha256(text.as_bytes())));
        entry["size"] = json!(text.len());
    });
}

#[tokio::test]
async fn a_blob_with_another_digest_is_refused() {
    for what in ["config", "manifest"] {
        let scratch = two().await;
        let manifest = scratch.manifest(id(1).as_str());
        let path = match what {
            "config" => scratch.named(&manifest["config"]["digest"]),
            _ => scratch.blob(&fs::read(path_of_manifest(&scratch)).unwrap()),
        };
        let mut text = fs::read(&path).unwrap();
        let at = text.iter().position(|byte| *byte == b'o').unwrap();
        text[at] = b'0';
        fs::write(&path, &text).unwrap();
        let error = refused(&scratch).await;
        let name = path.file_name().unwrap().to_str().unwrap();
        let said = format!("blobs/sha256/{name} has the sha256 {}", sha256(&text));
        assert_eq!(error.reason, said, "{what}");
        others_are_read(&scratch).await;
    }
}

fn path_of_manifest(scratch: &Scratch) -> std::path::PathBuf {
    let index = scratch.index();
    let mut entries = index["manifests"].as_array().unwrap().iter();
    let is_first = |entry: &&Value| entry["annotations"][support::REF_NAME] == id(1).as_str();
    scratch.named(&entries.find(is_first).unwrap()["digest"])
}

#[tokio::test]
async fn data_with_another_digest_fails_before_its_last_bytes() {
    let scratch = two().await;
    fs::write(scratch.blob(b"the data"), b"the dat4").unwrap();
    let store = LayoutStore::open(scratch.dir.path()).unwrap().expecting_data();
    conformance::damaged_data(&store, &id(1)).await.unwrap();
    let mut data = store.read(&id(1), ByteRange::ALL).await.unwrap();
    let error = data.next().await.unwrap().unwrap_err();
    assert!(error.to_string().contains(&sha256(b"the dat4")), "{error}");
    for length in [3, 100] {
        fs::write(scratch.blob(b"the data"), vec![b'x'; length]).unwrap();
        let error = store.read(&id(1), ByteRange::ALL).await.unwrap_err();
        let said = format!(" has {length} bytes, the record says 8");
        assert!(error.reason.ends_with(&said), "{error}");
    }
    conformance::damaged_data(&store, &id(1)).await.unwrap();
}

#[tokio::test]
async fn giant_manifests_and_records_are_not_read() {
    let scratch = two().await;
    let path = path_of_manifest(&scratch);
    // As the descriptor says, and as the file is.
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    let error = refused(&scratch).await;
    assert!(error.reason.contains("more than the limit of 4 MiB"), "{error}");
    scratch.edit_index(|index| {
        for entry in index["manifests"].as_array_mut().unwrap() {
            entry["size"] = json!(1_u64 << 40);
        }
    });
    let error = refused(&scratch).await;
    assert!(error.reason.contains("is said to have 1099511627776 bytes"), "{error}");
    let scratch = two().await;
    edit_manifest(&scratch, |manifest| manifest["config"]["size"] = json!(u64::MAX));
    let error = refused(&scratch).await;
    assert!(error.reason.contains("is said to have 18446744073709551615 bytes"), "{error}");
    others_are_read(&scratch).await;
    let file = fs::File::create(scratch.path("index.json")).unwrap();
    file.set_len(1 << 40).unwrap();
    let error = refused(&scratch).await;
    assert!(error.reason.starts_with("index.json has 1099511627776 bytes"), "{error}");
}

#[tokio::test]
async fn an_index_in_the_index_is_refused_so_that_no_loop_is_followed() {
    let scratch = two().await;
    let index = fs::read(scratch.path("index.json")).unwrap();
    fs::write(scratch.blob(&index), &index).unwrap();
    let digest = format!("sha256:{}", sha256(&index));
    scratch.edit_index(|document| {
        let nested = json!({"mediaType": "application/vnd.oci.image.index.v1+json",
            "digest": digest, "size": index.len()});
        document["manifests"].as_array_mut().unwrap().push(nested);
    });
    let store = LayoutStore::open(scratch.dir.path()).unwrap();
    let listing = store.list(&Selection::everything()).await;
    let Err(error) = listing else { panic!("an image may be hidden in the index") };
    assert_eq!(error.reason, format!("index.json lists another index, {digest}"));
    assert_eq!(store.get(&id(2)).await.unwrap().id, id(2), "what is clear can be read");
    assert_eq!(store.get(&id(3)).await.unwrap_err().reason, error.reason);
}

#[tokio::test]
async fn a_digest_is_never_a_path() {
    for digest in ["sha256:../../../../etc/passwd", "sha512:00", "../../index.json", "", "sha256:"]
    {
        let scratch = two().await;
        edit_manifest(&scratch, |manifest| manifest["config"]["digest"] = json!(digest));
        let error = refused(&scratch).await;
        let said = format!("the digest {digest:?} is not sha256: and 64 hexadecimal digits");
        assert_eq!(error.reason, said);
        others_are_read(&scratch).await;
        let scratch = two().await;
        scratch.edit_index(|index| {
            for entry in index["manifests"].as_array_mut().unwrap() {
                if entry["annotations"][support::REF_NAME] == id(1).as_str() {
                    entry["digest"] = json!(digest);
                }
            }
            let entries = index["manifests"].as_array_mut().unwrap();
            entries.retain(|entry| entry["annotations"][support::REF_NAME] != "one");
        });
        assert_eq!(refused(&scratch).await.reason, said);
        others_are_read(&scratch).await;
    }
}

#[tokio::test]
async fn tags_and_names_are_never_paths() {
    let scratch = two().await;
    let outside = scratch.dir.path().parent().unwrap().join("outside");
    scratch.edit_index(|index| {
        for entry in index["manifests"].as_array_mut().unwrap() {
            let tag = entry["annotations"][support::REF_NAME].as_str().unwrap();
            entry["annotations"][support::REF_NAME] = json!(format!("../outside/{tag}"));
        }
    });
    let image = scratch.store.get(&id(1)).await.unwrap();
    let name = Some("../../outside".to_owned());
    let wanted = glance_core::image::Attributes { name, ..image.attributes.clone() };
    scratch.store.update(&image, &wanted).await.unwrap();
    assert!(!outside.exists());
    let manifest = scratch.manifest(id(1).as_str());
    let title = &manifest["layers"][0]["annotations"]["org.opencontainers.image.title"];
    assert_eq!(title, "outside.qcow2");
}

#[tokio::test]
async fn links_are_not_followed() {
    let scratch = two().await;
    let path = scratch.blob(b"the data");
    fs::rename(&path, scratch.path("elsewhere")).unwrap();
    symlink(scratch.path("elsewhere"), &path).unwrap();
    let store = LayoutStore::open(scratch.dir.path()).unwrap().expecting_data();
    let error = store.read(&id(1), ByteRange::ALL).await.unwrap_err();
    let said = "is a symbolic link, not a regular file";
    assert!(error.reason.starts_with("blobs/sha256/") && error.reason.ends_with(said), "{error}");
    for name in ["index.json", "blobs", "blobs/sha256"] {
        let scratch = two().await;
        fs::rename(scratch.path(name), scratch.path("elsewhere")).unwrap();
        symlink(scratch.path("elsewhere"), scratch.path(name)).unwrap();
        let error = refused(&scratch).await;
        assert!(error.reason.contains("is a symbolic link"), "{name}: {error}");
    }
    let scratch = two().await;
    fs::rename(scratch.path("oci-layout"), scratch.path("elsewhere")).unwrap();
    symlink(scratch.path("elsewhere"), scratch.path("oci-layout")).unwrap();
    let error = LayoutStore::open(scratch.dir.path()).unwrap_err();
    assert_eq!(error.reason, "oci-layout is a symbolic link, not a regular file");
}

#[tokio::test]
async fn a_manifest_and_its_record_must_agree() {
    type Change = fn(&mut Value);
    let rows: [(Change, &str); 6] = [
        (|it| it["layers"] = json!([]), "the manifest has 0 layers, not one"),
        (
            |it| it["layers"] = json!([it["layers"][0], it["layers"][0]]),
            "the manifest has 2 layers, not one",
        ),
        (|it| it["layers"][0]["size"] = json!(9), "with 9 bytes, the record says"),
        (
            |it| it["layers"][0]["digest"] = json!(format!("sha256:{}", "0".repeat(64))),
            "the record says sha256:",
        ),
        (
            |it| {
                it["config"]["mediaType"] =
                    json!("application/vnd.glance-replicator.image.config.v2+json");
            },
            "this release reads application/vnd.glance-replicator.image.config.v1+json",
        ),
        (|it| drop(it.as_object_mut().unwrap().remove("annotations")), "has no annotation"),
    ];
    for (change, said) in rows {
        let scratch = two().await;
        edit_manifest(&scratch, change);
        let error = refused(&scratch).await;
        let all = glance_core::error::one_line(&error);
        assert!(all.contains(said), "{said}: {all}");
        others_are_read(&scratch).await;
    }
    // The record of another image.
    let scratch = two().await;
    let config = scratch.manifest(id(2).as_str())["config"].clone();
    edit_manifest(&scratch, |manifest| manifest["config"] = config);
    let all = glance_core::error::one_line(&refused(&scratch).await);
    assert!(all.contains(&format!("the config blob is the record of {}", id(2))), "{all}");
}

#[tokio::test]
async fn two_manifests_of_one_image_are_ambiguous() {
    let scratch = two().await;
    let digests = ["1", "2"].map(|_| scratch.manifest(id(1).as_str()));
    let mut other = digests[0].clone();
    other["annotations"]["x"] = json!("y");
    let text = other.to_string();
    fs::write(scratch.blob(text.as_bytes()), &text).unwrap();
    scratch.edit_index(|index| {
        let entries = index["manifests"].as_array_mut().unwrap();
        let is_first = |entry: &&Value| entry["annotations"][support::REF_NAME] == id(1).as_str();
        let mut entry = entries.iter().find(is_first).unwrap().clone();
        entry["digest"] = json!(format!("sha256:{}", sha256(text.as_bytes())));
        entry["size"] = json!(text.len());
        entries.push(entry);
    });
    let error = refused(&scratch).await;
    assert!(error.reason.starts_with("index.json has several manifests of the image"), "{error}");
    others_are_read(&scratch).await;
}

#[tokio::test]
async fn what_is_no_layout_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new");
    let error = LayoutStore::open(&path).unwrap_err();
    assert_eq!(error.reason, "there is no such directory");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("file"), "").unwrap();
    let error = LayoutStore::open(&path).unwrap_err();
    assert_eq!(error.reason, "the directory holds no OCI image layout");
    let error = LayoutStore::create(&path).unwrap_err();
    assert_eq!(error.reason, "the directory is not empty and holds no OCI image layout");
    for (mark, said) in [
        ("{\"imageLayoutVersion\": \"2.0.0\"}", "oci-layout has the version 2.0.0"),
        ("{}", "oci-layout has no version"),
        ("[", "oci-layout has no version"),
    ] {
        fs::write(path.join("oci-layout"), mark).unwrap();
        for error in
            [LayoutStore::open(&path).unwrap_err(), LayoutStore::create(&path).unwrap_err()]
        {
            assert_eq!((error.kind, error.reason.as_str()), (StoreErrorKind::Unreadable, said));
        }
    }
    fs::write(path.join("oci-layout"), "{\"imageLayoutVersion\": \"1.0.0\"}").unwrap();
    for (index, said) in [
        ("", "index.json is not an image index"),
        ("{}", "index.json has no list of manifests"),
        ("{\"manifests\": [{}]}", "entry 1 of index.json is not a descriptor"),
    ] {
        fs::write(path.join("index.json"), index).unwrap();
        let store = LayoutStore::open(&path).unwrap();
        let any: ImageId = id(1);
        let error = store.get(&any).await.unwrap_err();
        assert_eq!((error.kind, error.reason.as_str()), (StoreErrorKind::Unreadable, said));
    }
}
