//! The check of an image's first bytes: a table of images, and a store's verdicts on them.
#![allow(clippy::cast_possible_truncation, reason = "small images")]

pub(crate) mod disks;
pub(crate) mod table;

use std::time::SystemTime;

use glance_core::Body;
use glance_core::content_format::{self, HEAD, Unfit};
use glance_core::image::{Attributes, Image, ImageId, Status};
use glance_core::store::{ImageStore, StoreErrorKind};

use disks::Random;
use table::{Case, Verdict, cases};

pub(crate) fn judge((disk, container): (&str, &str), data: &[u8]) -> Result<(), Unfit> {
    content_format::check(disk, container, &data[..data.len().min(HEAD)], data.len() as u64)
}

/// Uploads the images of the table that a store refuses for their content. A refused upload makes
/// the record unusable, which is why the check exists.
pub(crate) async fn all_refused(store: &dyn ImageStore) -> Vec<&'static str> {
    let mut refused = Vec::new();
    for (number, case) in cases().into_iter().enumerate() {
        let image = record(number, &case);
        store.create(&image).await.unwrap();
        let data = bytes::Bytes::from(case.data);
        match store.upload(&image.id, Body::from(data)).await {
            Ok(stored) => assert_eq!(stored.status, Status::Active, "{}", case.name),
            Err(error) => {
                assert_eq!(error.kind, StoreErrorKind::Rejected, "{}: {error}", case.name);
                let again = store.upload(&image.id, Body::empty()).await.unwrap_err();
                assert_eq!(again.kind, StoreErrorKind::Server, "{}: {again}", case.name);
                refused.push(case.name);
            }
        }
        store.delete(&image.id).await.unwrap();
    }
    refused
}

#[track_caller]
pub(crate) fn agree(refused: &[&str], who: &str) {
    let mut wrong = Vec::new();
    for case in cases() {
        let expected = !matches!(case.verdict, Verdict::Accepted);
        if refused.contains(&case.name) != expected {
            wrong.push(format!("{who} refused {:?}: {}", case.name, !expected));
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// A record with a new id on each run, because Glance never accepts an id twice.
pub(crate) fn record(number: usize, case: &Case) -> Image {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let id: ImageId =
        format!("{:08x}-0000-4000-8000-{number:012}", Random(now).next() >> 32).parse().unwrap();
    let attributes = Attributes {
        name: Some(case.name.to_owned()),
        disk_format: Some(case.formats.0.to_owned()),
        container_format: Some(case.formats.1.to_owned()),
        ..Attributes::default()
    };
    Image::queued(id, attributes)
}
