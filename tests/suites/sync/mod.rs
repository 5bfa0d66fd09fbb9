//! `sync`: its decisions, its removals, and its state after a kill at any request.

mod decisions;
mod kill;
mod removal;

use std::sync::Arc;

use bytes::Bytes;
use glance_core::Body;
use glance_core::image::provenance;
use glance_core::image::{Attributes, Image, ImageId, Status, Visibility};
use glance_core::store::memory::MemoryStore;
use glance_core::store::{Activation, ImageStore};
use replicator_engine::{Entry, Outcome, Policy, Replication};

/// The source's URL in the stamps of replicas.
const ORIGIN: &str = "https://a";

fn id(number: usize) -> ImageId {
    format!("00000000-0000-4000-8000-{number:012}").parse().unwrap()
}

fn attributes(name: &str) -> Attributes {
    Attributes {
        name: Some(name.to_owned()),
        visibility: Visibility::Public,
        disk_format: Some("raw".into()),
        container_format: Some("bare".into()),
        ..Attributes::default()
    }
}

async fn put(store: &MemoryStore, id: &ImageId, attributes: Attributes, data: &'static [u8]) {
    store.create(&Image::queued(id.clone(), attributes)).await.unwrap();
    store.upload(id, Body::from(Bytes::from_static(data))).await.unwrap();
}

async fn deactivate(store: &MemoryStore, id: &ImageId) {
    store.set_activation(id, Activation::Deactivated).await.unwrap();
}

/// The default policy of `sync`.
fn policy() -> Policy {
    Policy { stamp: Some(ORIGIN.into()), transfers: 2, ..Policy::default() }
}

fn replication(
    source: &Arc<MemoryStore>,
    target: &Arc<MemoryStore>,
    policy: Policy,
) -> Replication {
    Replication { source: source.clone(), target: target.clone(), policy }
}

async fn outcomes(replication: &Replication) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    replication.run(|outcome| outcomes.push(outcome)).await.unwrap();
    outcomes
}

async fn entries(replication: &Replication) -> Vec<Entry> {
    let mut entries = Vec::new();
    replication.plan(|entry| entries.push(entry)).await.unwrap();
    entries
}

/// A record without the replica's own fields: its stamp and its timestamps.
fn essence(mut image: Image) -> Image {
    image.attributes.properties.retain(|key, _| !provenance::ALL.contains(&key.as_str()));
    Image { created_at: None, updated_at: None, ..image }
}

/// Whether users other than the owner can use an image. A shared image without members is as hidden
/// as a private one: see `shared_without_members` in the suite `cloud_smoke`.
async fn is_visible(store: &MemoryStore, image: &Image) -> bool {
    let is_shown = match image.attributes.visibility {
        Visibility::Private => false,
        Visibility::Shared => !store.members(&image.id).await.unwrap().is_empty(),
        _ => true,
    };
    is_shown && image.status == Status::Active
}
