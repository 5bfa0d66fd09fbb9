//! Dumps of the current format.

#![expect(clippy::unwrap_used, reason = "a test may panic; helpers of tests are not seen as such")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use format_dump::DumpStore;
use futures_util::{StreamExt, TryStreamExt, stream};
use glance_core::digest::{Algorithm, Hashers};
use glance_core::image::{Attributes, Status};
use glance_core::store::{ByteRange, StoreErrorKind};
use glance_core::{Body, Image, ImageStore, Selection, conformance};

const ID: &str = "6d55dd55-053a-4765-b7bc-b30df0ea3861";
const OTHER_ID: &str = "7d55dd55-053a-4765-b7bc-b30df0ea3862";

fn image() -> Image {
    Image::queued(ID.parse().unwrap(), Attributes::default())
}

fn body(text: &'static str) -> Body {
    Body::from(Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn a_dump_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(DumpStore::create(dir.path().join("dump")).unwrap());
    let report = conformance::image_store(&|| store.clone() as Arc<dyn ImageStore>).await;
    assert!(report.passed(), "{report}");
}

#[tokio::test]
async fn a_dump_keeps_what_it_was_given_and_only_its_owner_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/dump");
    let store = DumpStore::create(&path).unwrap();
    assert_eq!(store.to_string(), format!("dir:{}", path.display()));
    let advice = Image {
        os_hash_algo: Some("sha256".to_owned()),
        created_at: Some("2020-01-01T00:00:00Z".to_owned()),
        updated_at: Some("2021-01-01T00:00:00Z".to_owned()),
        ..image()
    };
    store.create(&advice).await.unwrap();
    store.upload(&advice.id, body("abc")).await.unwrap();
    assert!(!store.is_complete().unwrap());
    store.finish().await.unwrap();

    let again = DumpStore::open(&path).unwrap();
    assert!(again.is_complete().unwrap());
    let images: Vec<Image> =
        again.list(&Selection::everything()).await.unwrap().try_collect().await.unwrap();
    let wanted = Image {
        status: Status::Active,
        size: Some(3),
        checksum: Some("900150983cd24fb0d6963f7d28e17f72".to_owned()),
        os_hash_value: Some(
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned(),
        ),
        ..advice
    };
    assert_eq!(images, [wanted]);

    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    let mut names = Vec::new();
    for entry in fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(mode(&entry.path()), 0o600, "{entry:?}");
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    let data = [format!("{ID}.img"), format!("{ID}.json")];
    let heads = ["SHA512SUMS".to_owned(), "manifest.json".to_owned()];
    assert_eq!(names, [data, heads].concat());
}

#[tokio::test]
async fn data_of_a_killed_run_is_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let store = DumpStore::create(dir.path()).unwrap();
    let image = store.create(&image()).await.unwrap();
    // As left by a kill during an upload, and by one before the record was updated.
    fs::write(dir.path().join(format!("{ID}.img.partial")), "a longer leftover").unwrap();
    fs::write(dir.path().join(format!("{ID}.img")), "old").unwrap();
    assert_eq!(store.get(&image.id).await.unwrap().status, Status::Queued);
    store.upload(&image.id, body("abc")).await.unwrap();
    let read = store.read(&image.id, ByteRange::ALL).await.unwrap();
    assert_eq!(read.collect(10).await.unwrap(), "abc");
    // The data was deleted by hand.
    fs::remove_file(dir.path().join(format!("{ID}.img"))).unwrap();
    let image = store.get(&image.id).await.unwrap();
    assert_eq!((image.status, image.size), (Status::Queued, None));
    // A cancelled upload keeps the data received so far.
    let (came, more_is_wanted) = tokio::sync::oneshot::channel();
    let mut came = Some(came);
    let never = stream::poll_fn(move |_| {
        came.take().into_iter().for_each(|came| came.send(()).unwrap());
        Poll::Pending
    });
    let stuck = stream::iter([Ok(Bytes::from_static(b"abc"))]).chain(never);
    tokio::select! {
        _ = store.upload(&image.id, Body::from_stream(stuck, None)) => panic!("it has no end"),
        said = more_is_wanted => said.unwrap(),
    }
    while store.get(&image.id).await.unwrap().status != Status::Queued {
        tokio::task::yield_now().await;
    }
    let begun = store.partial_data(&image.id).await.unwrap();
    assert_eq!(begun.collect(10).await.unwrap(), "abc");
    let partial = dir.path().join(format!("{ID}.img.partial"));
    assert_eq!(fs::read(partial).unwrap(), b"abc");
}

#[tokio::test]
async fn without_md5_a_record_has_no_checksum() {
    let dir = tempfile::tempdir().unwrap();
    let without_md5 = Hashers::new(|algorithm| match algorithm {
        Algorithm::Md5 => None,
        other => Hashers::default().begin(other),
    });
    let store = DumpStore::create(dir.path()).unwrap().hashing_with(without_md5);
    for (id, advised) in [(ID, "sha256"), (OTHER_ID, "md5")] {
        let image =
            Image { id: id.parse().unwrap(), os_hash_algo: Some(advised.into()), ..image() };
        store.create(&image).await.unwrap();
        let image = store.upload(&image.id, body("abc")).await.unwrap();
        let algorithm = image.os_hash_algo.as_deref().unwrap();
        assert_eq!(algorithm, if advised == "md5" { "sha512" } else { advised });
        assert_eq!((image.checksum, image.os_hash_value.is_some()), (None, true));
    }
}

#[tokio::test]
async fn a_truncated_file_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = DumpStore::create(dir.path()).unwrap();
    let image = store.create(&image()).await.unwrap();
    store.upload(&image.id, body("abc")).await.unwrap();
    fs::write(dir.path().join(format!("{ID}.img")), "ab").unwrap();
    let error = store.read(&image.id, ByteRange::ALL).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unreadable);
    assert_eq!(error.reason, format!("the dump is truncated: {ID}.img has 2 of 3 bytes"));
}

#[tokio::test]
async fn a_directory_without_a_dump_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("letter.txt"), "dear").unwrap();
    let error = DumpStore::create(dir.path()).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Invalid);
    let reason = "the directory is not empty and holds no dump: manifest.json is missing";
    assert_eq!(error.reason, reason);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    DumpStore::open(dir.path()).unwrap_err();
    DumpStore::open(dir.path().join("missing")).unwrap_err();
}

#[tokio::test]
async fn an_unknown_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = r#"{"format":"glance-dump","version":3,"tool":"","complete":true}"#;
    fs::write(dir.path().join("manifest.json"), manifest).unwrap();
    for error in [DumpStore::open(dir.path()), DumpStore::create(dir.path())] {
        assert_eq!(error.unwrap_err().kind, StoreErrorKind::Unreadable);
    }
}
