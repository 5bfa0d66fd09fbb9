//! Dumps of this tool's predecessor.

#![expect(clippy::unwrap_used, reason = "a test may panic; helpers of tests are not seen as such")]

use std::fs;
use std::path::Path;

use bytes::Bytes;
use format_dump::DumpStore;
use futures_util::TryStreamExt;
use glance_core::image::{Attributes, Owner, Status, Visibility};
use glance_core::store::{Activation, ByteRange, StoreErrorKind};
use glance_core::{Body, Image, ImageId, ImageStore, Selection};
use serde_json::{Value, json};

const ID: &str = "6d55dd55-053a-4765-b7bc-b30df0ea3861";

fn id() -> ImageId {
    ID.parse().unwrap()
}

fn write(dir: &Path, record: &Value, data: Option<&str>) {
    fs::write(dir.join(ID), record.to_string()).unwrap();
    if let Some(data) = data {
        fs::write(dir.join(format!("{ID}.img")), data).unwrap();
    }
}

fn good() -> Value {
    json!({
        "id": ID, "name": "oneiric", "status": "active", "size": 3, "virtual_size": null,
        "disk_format": "aki", "container_format": null, "min_disk": 1, "min_ram": 64,
        "is_public": false, "checksum": "900150983cd24fb0d6963f7d28e17f72", "owner": "8aef",
        "protected": true, "deleted": false, "deleted_at": null, "location": "secret",
        "created_at": "2012-06-25T02:10:32.000000", "updated_at": "2012-06-25T02:10:33",
        "properties": {
            "architecture": "x86_64", "note": null, "empty": "", "kernel_id": "", "owner": "me",
            "os_glance_stage": "x", "count": 3,
        },
    })
}

#[tokio::test]
async fn a_good_image_is_read() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &good(), Some("abc"));
    let store = DumpStore::open(dir.path()).unwrap();
    let properties =
        [("architecture", "x86_64"), ("empty", ""), ("v1.owner", "me"), ("count", "3")];
    let text = |text: &str| Some(text.to_owned());
    let attributes = Attributes {
        name: text("oneiric"),
        owner: Owner::Project("8aef".to_owned()),
        visibility: Visibility::Private,
        protected: true,
        disk_format: text("aki"),
        container_format: text("aki"),
        min_disk: 1,
        min_ram: 64,
        properties: properties.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        ..Attributes::default()
    };
    let wanted = Image {
        status: Status::Active,
        size: Some(3),
        checksum: text("900150983cd24fb0d6963f7d28e17f72"),
        created_at: text("2012-06-25T02:10:32Z"),
        updated_at: text("2012-06-25T02:10:33Z"),
        ..Image::queued(id(), attributes)
    };
    assert_eq!(store.get(&id()).await.unwrap(), wanted);
    let listed: Vec<Image> =
        store.list(&Selection::everything()).await.unwrap().try_collect().await.unwrap();
    assert_eq!(listed, [wanted]);
    let range = ByteRange { offset: 1, length: None };
    let data = store.read(&id(), range).await.unwrap().collect(10).await.unwrap();
    assert_eq!(data, "bc");
}

#[tokio::test]
async fn text_is_read_as_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let record = json!({
        "id": ID, "name": "headers", "status": "active", "size": "3", "is_public": "True",
        "protected": "False", "min_disk": "10", "min_ram": "0", "owner": "", "deleted": "False",
        "deleted_at": "", "date": "today", "etag": "x", "content-type": "text/html",
        "property-kind": "old",
    });
    write(dir.path(), &record, Some("abc"));
    let image = DumpStore::open(dir.path()).unwrap().get(&id()).await.unwrap();
    assert_eq!((image.status, image.size), (Status::Active, Some(3)));
    let wanted = Attributes {
        name: Some("headers".to_owned()),
        visibility: Visibility::Public,
        min_disk: 10,
        properties: [("kind".to_owned(), "old".to_owned())].into(),
        ..Attributes::default()
    };
    assert_eq!(image.attributes, wanted);
}

#[tokio::test]
async fn a_truncated_or_missing_file_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &good(), Some("ab"));
    let store = DumpStore::open(dir.path()).unwrap();
    let error = store.read(&id(), ByteRange::ALL).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unreadable);
    assert_eq!(error.reason, format!("the dump is truncated: {ID}.img has 2 of 3 bytes"));
    assert_eq!(error.hint.as_deref(), Some("dump the image again"));

    fs::remove_file(dir.path().join(format!("{ID}.img"))).unwrap();
    let listed: Vec<Image> =
        store.list(&Selection::everything()).await.unwrap().try_collect().await.unwrap();
    assert_eq!(listed.len(), 1);
    let error = store.read(&id(), ByteRange::ALL).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unreadable);
    assert_eq!(error.reason, format!("there is no data file {ID}.img"));
}

#[tokio::test]
async fn a_deleted_image_is_missing_and_a_damaged_record_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut record = good();
    record["deleted"] = true.into();
    write(dir.path(), &record, None);
    let store = DumpStore::open(dir.path()).unwrap();
    let listed: Vec<Image> =
        store.list(&Selection::everything()).await.unwrap().try_collect().await.unwrap();
    assert!(listed.is_empty());
    assert_eq!(store.get(&id()).await.unwrap_err().kind, StoreErrorKind::NotFound);

    fs::write(dir.path().join(ID), "{").unwrap();
    assert_eq!(store.get(&id()).await.unwrap_err().kind, StoreErrorKind::Unreadable);
}

#[tokio::test]
async fn an_old_dump_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &good(), Some("abc"));
    let store = DumpStore::open(dir.path()).unwrap();
    let image = store.get(&id()).await.unwrap();
    let data = || Body::from(Bytes::from_static(b"abc"));
    let errors = [
        store.create(&image).await.unwrap_err(),
        store.upload(&image.id, data()).await.unwrap_err(),
        store.update(&image, &Attributes::default()).await.unwrap_err(),
        store.set_activation(&image.id, Activation::Active).await.unwrap_err(),
        store.delete(&image.id).await.unwrap_err(),
        store.set_members(&image.id, &[]).await.unwrap_err(),
        store.finish().await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind, StoreErrorKind::Forbidden);
        assert_eq!(error.reason, "a dump of the old tool is read-only");
    }
    assert_eq!(DumpStore::create(dir.path()).unwrap_err().kind, StoreErrorKind::Invalid);
}
