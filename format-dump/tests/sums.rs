//! The digests of a finished dump, and its projects and metadata definitions.

#![expect(clippy::unwrap_used, reason = "a test may panic; helpers of tests are not seen as such")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use format_dump::{DumpStore, Encoding};
use glance_core::image::Attributes;
use glance_core::project::Project;
use glance_core::store::StoreErrorKind;
use glance_core::{Image, ImageId, ImageStore};
use serde_json::json;

fn id(number: u8) -> ImageId {
    format!("00000000-0000-4000-8000-0000000000{number:02}").parse().unwrap()
}

async fn put(store: &DumpStore, number: u8, algorithm: &str) {
    let image = Image {
        os_hash_algo: Some(algorithm.to_owned()),
        ..Image::queued(id(number), Attributes::default())
    };
    store.create(&image).await.unwrap();
    store.upload(&id(number), Bytes::from(vec![number; 70_000]).into()).await.unwrap();
}

/// Whether `sha512sum -c` confirms every file.
fn coreutils_agree(dir: &Path) -> bool {
    let arguments = ["-c", "--strict", "SHA512SUMS"];
    let check = Command::new("sha512sum").args(arguments).current_dir(dir).output().unwrap();
    check.status.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn coreutils_check_a_finished_dump() {
    let dir = tempfile::tempdir().unwrap();
    let store = DumpStore::create(dir.path()).unwrap();
    put(&store, 1, "sha512").await;
    put(&store, 2, "sha256").await;
    store.create(&Image::queued(id(3), Attributes::default())).await.unwrap();
    let store = store.encoding_as(Encoding::Zstd);
    put(&store, 4, "sha512").await;
    let project = |id: &str| Project { id: id.into(), name: "p".into(), domain: "d".into() };
    store.write_projects(&[project("1")]).await.unwrap();
    store.write_projects(&[project("2"), project("3")]).await.unwrap();
    let odd = json!({ "namespace": "OS::Odd/../name", "properties": {} });
    let plain = json!({ "namespace": "plain", "objects": [] });
    for namespace in [&plain, &odd, &odd] {
        store.write_metadef(namespace).await.unwrap();
    }
    let error = store.write_metadef(&json!({})).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Invalid);
    store.finish().await.unwrap();
    assert!(coreutils_agree(dir.path()));

    let text = fs::read_to_string(dir.path().join("SHA512SUMS")).unwrap();
    let names: Vec<&str> = text.lines().map(|line| &line[130..]).collect();
    let blob = |number, suffix: &str| format!("{}{suffix}", id(number));
    let wanted = [
        &blob(1, ".img"),
        &blob(1, ".json"),
        &blob(2, ".img"),
        &blob(2, ".json"),
        &blob(3, ".json"),
        &blob(4, ".img.zst"),
        &blob(4, ".json"),
        "metadefs/OS%3A%3AOdd%2F..%2Fname.json",
        "metadefs/plain.json",
        "projects.json",
    ];
    assert_eq!(names, wanted);
    let manifest = fs::read(dir.path().join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let digest = Command::new("sha512sum").arg(dir.path().join("SHA512SUMS")).output().unwrap();
    assert_eq!(manifest["sha512sums"], String::from_utf8(digest.stdout).unwrap()[..128]);

    let again = DumpStore::open(dir.path()).unwrap();
    assert_eq!(again.projects().await.unwrap(), [project("2"), project("3")]);
    assert_eq!(again.metadefs().await.unwrap(), [odd, plain]);
    let mode =
        |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("metadefs"), mode("metadefs/plain.json")), (0o700, 0o600));
    assert_eq!((mode("projects.json"), mode("SHA512SUMS")), (0o600, 0o600));

    // Damage to any file is detected.
    for name in wanted {
        let path = dir.path().join(name);
        let good = fs::read(&path).unwrap();
        let mut damaged = good.clone();
        damaged[good.len() / 2] ^= 1;
        fs::write(&path, damaged).unwrap();
        assert!(!coreutils_agree(dir.path()), "{name}");
        fs::write(&path, good).unwrap();
    }
    assert!(coreutils_agree(dir.path()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_changes_has_no_digests() {
    let dir = tempfile::tempdir().unwrap();
    let store = DumpStore::create(dir.path()).unwrap();
    put(&store, 1, "sha512").await;
    store.finish().await.unwrap();
    let store = DumpStore::create(dir.path()).unwrap();
    assert!(coreutils_agree(dir.path()) && store.is_complete().unwrap());
    store.delete(&id(1)).await.unwrap();
    assert!(!dir.path().join("SHA512SUMS").exists());
    assert!(!fs::read_to_string(dir.path().join("manifest.json")).unwrap().contains("sha512sums"));
    store.finish().await.unwrap();
    assert_eq!(fs::read(dir.path().join("SHA512SUMS")).unwrap(), b"");
}

/// Reads, and writes that would change nothing, leave a finished dump unchanged.
#[tokio::test(flavor = "multi_thread")]
async fn a_dump_is_unfinished_from_the_first_write_on() {
    use glance_core::image::{Member, MemberStatus, Visibility};
    use glance_core::store::{Activation, ByteRange};
    let dir = tempfile::tempdir().unwrap();
    let store = DumpStore::create(dir.path()).unwrap();
    let shared = Attributes { visibility: Visibility::Shared, ..Attributes::default() };
    store.create(&Image::queued(id(1), shared.clone())).await.unwrap();
    store.upload(&id(1), Bytes::from_static(b"data").into()).await.unwrap();
    store.create(&Image::queued(id(2), Attributes::default())).await.unwrap();
    let member = Member { project: "p".into(), status: MemberStatus::Accepted };
    let project = Project { id: "1".into(), name: "p".into(), domain: "d".into() };
    let namespace = json!({ "namespace": "n" });
    store.set_members(&id(1), std::slice::from_ref(&member)).await.unwrap();
    store.write_projects(std::slice::from_ref(&project)).await.unwrap();
    store.write_metadef(&namespace).await.unwrap();
    store.finish().await.unwrap();
    let all = || {
        let facts = |name: &str| {
            let found = fs::metadata(dir.path().join(name)).ok()?;
            Some((found.ino(), found.mtime_nsec()))
        };
        ["manifest.json", "SHA512SUMS"].map(facts)
    };
    let before = all();
    let store = DumpStore::create(dir.path()).unwrap();
    let image = store.get(&id(1)).await.unwrap();
    store.read(&id(1), ByteRange::ALL).await.unwrap();
    store.partial_data(&id(2)).await.unwrap();
    store.update(&image, &shared).await.unwrap();
    store.set_members(&id(1), &[member]).await.unwrap();
    store.set_activation(&id(1), Activation::Active).await.unwrap();
    store.write_projects(&[project]).await.unwrap();
    store.write_metadef(&namespace).await.unwrap();
    store.finish().await.unwrap();
    assert_eq!(all(), before, "nothing was written");

    let renamed = Attributes { name: Some("new".into()), ..shared };
    let other = json!({ "namespace": "n", "visibility": "public" });
    for write in 0..8 {
        assert!(store.is_complete().unwrap() && coreutils_agree(dir.path()), "{write}");
        match write {
            0 => store.update(&image, &renamed).await.map(drop),
            1 => store.set_members(&id(1), &[]).await,
            2 => store.set_activation(&id(1), Activation::Deactivated).await,
            3 => store.write_projects(&[]).await,
            4 => store.write_metadef(&other).await,
            5 => store.create(&Image::queued(id(3), Attributes::default())).await.map(drop),
            6 => store.upload(&id(2), Bytes::from_static(b"more").into()).await.map(drop),
            _ => store.delete(&id(3)).await,
        }
        .unwrap();
        assert!(!store.is_complete().unwrap() && all()[1].is_none(), "{write}");
        store.finish().await.unwrap();
    }
}

/// Earlier releases did not record the digest of the data file, so the file is read.
#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_an_earlier_release_gets_its_digests() {
    let dir = tempfile::tempdir().unwrap();
    let store = DumpStore::create(dir.path()).unwrap();
    put(&store, 1, "sha256").await;
    put(&store, 2, "sha512").await;
    for number in [1, 2] {
        let path = dir.path().join(format!("{}.json", id(number)));
        let record: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let mut record = record;
        record.as_object_mut().unwrap().remove("data").unwrap();
        fs::write(&path, record.to_string()).unwrap();
    }
    store.finish().await.unwrap();
    assert!(coreutils_agree(dir.path()));
}
