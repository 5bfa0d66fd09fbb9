use std::time::Duration;

use glance_core::image::provenance::SOURCE;
use glance_core::image::{Attributes, Image, ImageId};
use glance_core::store::ImageStore;
use glance_core::store::memory::MemoryStore;

use super::{LeftoverScan, LeftoverState};
use crate::journal::JournalContents;
use crate::provenance;

/// The replica of a record without data has no data either: nothing is left to do. Only a record
/// whose original has data is unfinished.
#[tokio::test]
async fn the_replica_of_a_record_without_data_is_not_a_leftover() {
    let (source, target) = (MemoryStore::new("source"), MemoryStore::new("target"));
    let stamp = provenance::Source::new("https://source:9292");
    let marks = [(SOURCE.to_owned(), stamp.as_str().to_owned())];
    let stamped = Attributes { properties: marks.into(), ..Attributes::default() };
    let [record, unfinished] = [(); 2].map(|()| ImageId::random());
    for id in [&record, &unfinished] {
        source.create(&Image::queued(id.clone(), Attributes::default())).await.unwrap();
        target.create(&Image::queued(id.clone(), stamped.clone())).await.unwrap();
    }
    source.upload(&unfinished, bytes::Bytes::from_static(b"data").into()).await.unwrap();
    let recorded = JournalContents::default();
    let (source, target): (&dyn ImageStore, &dyn ImageStore) = (&source, &target);
    let patience = Duration::ZERO;
    let scan = LeftoverScan { source, target, recorded: &recorded, stamp: &stamp, patience };
    let found = scan.run().await.unwrap();
    let found: Vec<_> = found.iter().map(|one| (&one.image, &one.standing)).collect();
    assert_eq!(found, [(&unfinished, &LeftoverState::Mendable)]);
}
