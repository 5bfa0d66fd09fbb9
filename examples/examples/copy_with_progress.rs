//! The engine: from a store of one's own to a Glance, with progress, and stopped in the middle.
//!
//! `cargo run -p examples --example copy_with_progress`

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::TryStreamExt;
use glance_client::GlanceStore;
use glance_core::digest::{Algorithm, Hashers};
use glance_core::image::{Attributes, Image, Status};
use glance_core::rate_limit::{BandwidthLimits, ByteRateLimiter};
use glance_core::store::{ImageSource, ReadOnly, memory::MemoryStore};
use glance_core::{Body, ImageId, ImageStore, Selection, Transport};
use glance_server::GlanceApi;
use keystone_auth::{Session, auth::NoAuth};
use replicator_engine::{
    CancelMode, CancelReason, CancelToken, Event, Events, Policy, Replication,
};

/// Images whose bytes are zeros.
#[derive(Debug)]
struct Zeros(Vec<Image>);

fn zeros(size: u64) -> Body {
    Body::from_reader(io::repeat(0).take(size), Some(size))
}

#[async_trait]
impl ImageSource for Zeros {
    async fn list(&self) -> io::Result<Vec<ImageId>> {
        Ok(self.0.iter().map(|image| image.id.clone()).collect())
    }

    async fn get(&self, id: &ImageId) -> io::Result<Option<Image>> {
        Ok(self.0.iter().find(|image| image.id == *id).cloned())
    }

    async fn read(&self, _: &Image, range: Range<u64>) -> io::Result<Body> {
        Ok(zeros(range.end - range.start))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let glance: Arc<dyn Transport> = Arc::new(GlanceApi::new(Arc::new(MemoryStore::new("images"))));
    let session = Arc::new(Session::new(Arc::clone(&glance), Arc::new(NoAuth::default())));
    let target = Arc::new(GlanceStore::new("target", glance, "https://glance.example", session));
    let mut images = Vec::new();
    for size in (1..=8).map(|number| number * 500_000) {
        let digest = zeros(size).digest(Hashers::default(), Algorithm::Sha512).await?;
        let id = ImageId::derived_from(&format!("zeros:{size}"));
        let (disk_format, container_format) = (Some("raw".to_owned()), Some("bare".to_owned()));
        let attributes = Attributes { disk_format, container_format, ..Attributes::default() };
        let record = Image::queued(id, attributes);
        images.push(record.with_data(size, Some((Algorithm::Sha512, digest))));
    }
    let source = Arc::new(ReadOnly::new("zeros", Zeros(images)));

    // The number of bytes of each image that the target has.
    let sent = Arc::new(Mutex::new(BTreeMap::<ImageId, u64>::new()));
    let stop = CancelToken::default();
    let (counts, told) = (Arc::clone(&sent), stop.clone());
    let events = Events::to(move |event| {
        let (image, now) = match event {
            Event::Progress { image, progress } => (*image, progress.targets[0].sent.position),
            Event::Verified { image, stored, .. } => (*image, stored.size.unwrap_or_default()),
            _ => return,
        };
        let before = counts.lock().unwrap().insert(image.id.clone(), now).unwrap_or_default();
        assert!(now >= before, "the count went back");
        println!("{}: {now} of {} bytes", image.id, image.size.unwrap_or_default());
        if now > 0 {
            told.stop(CancelMode::Abort, CancelReason::Requested);
        }
    });

    // The first run is slow, and stops when the first bytes have arrived.
    let bandwidth = BandwidthLimits { source: None, target: Some(ByteRateLimiter::new(1_000_000)) };
    let policy = Policy { events: events.clone(), stop, bandwidth, ..Policy::default() };
    let first = Replication { source: source.clone(), target: target.clone(), policy };
    println!("{}", first.run(|_| ()).await.unwrap_err());
    let left: Vec<Image> = target.list(&Selection::everything()).await?.try_collect().await?;
    assert!(!left.is_empty() && left.iter().all(|image| image.status == Status::Queued));

    // The second run completes these records and copies the rest.
    sent.lock().unwrap().clear();
    let policy = Policy { events, ..Policy::default() };
    Replication { source, target: target.clone(), policy }
        .run(|one| assert!(one.result.is_ok()))
        .await?;
    let copied: Vec<Image> = target.list(&Selection::everything()).await?.try_collect().await?;
    let sizes = copied.into_iter().filter_map(|image| Some((image.id, image.size?)));
    assert_eq!(*sent.lock().unwrap(), sizes.collect());
    Ok(())
}
