//! `verify` finds bad data wherever it is, reports good data only when it was proven, and remembers
//! computed digests.

mod command;
mod stores;

use bytes::Bytes;
use glance_core::image::{Attributes, Image, ImageId};
use glance_core::{Body, ImageStore};

fn id(number: u8) -> ImageId {
    format!("00000000-0000-4000-8000-0000000000{number:02}").parse().unwrap()
}

async fn put(store: &dyn ImageStore, number: u8, data: &'static [u8]) {
    let attributes = Attributes {
        name: Some(format!("image {number}")),
        disk_format: Some("raw".to_owned()),
        container_format: Some("bare".to_owned()),
        ..Attributes::default()
    };
    let created_at = Some(format!("2026-01-{number:02}T00:00:00Z"));
    let image = Image { created_at, ..Image::queued(id(number), attributes) };
    store.create(&image).await.unwrap();
    store.upload(&image.id, Body::from(Bytes::from_static(data))).await.unwrap();
}
