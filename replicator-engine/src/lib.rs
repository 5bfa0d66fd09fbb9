//! Replicates the images of one store into others and verifies the copies.
//!
//! [`run_all`] is the whole run: it lists the source and the targets, pairs their images, plans a
//! step for each pair, copies data through a verifying body, compares the digests in the target's
//! record, and publishes the image. At the end of the run it can prune: remove images that only a
//! target holds. [`Replication::run`] does the same for a single target. [`Replication::plan`]
//! reports the planned steps without changing anything. [`Replication::verify`] reads the data
//! where records alone do not prove it. [`export`] writes images into a stream. [`events`] tell what a
//! run is doing.
//!
//! ```
//! use std::sync::Arc;
//!
//! use bytes::Bytes;
//! use glance_core::image::Attributes;
//! use glance_core::store::memory::MemoryStore;
//! use glance_core::{Body, Image, ImageId, ImageStore};
//! use replicator_engine::{Done, Policy, Replication};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let source = Arc::new(MemoryStore::new("source"));
//! let target = Arc::new(MemoryStore::new("target"));
//! let image = source.create(&Image::queued(ImageId::random(), Attributes::default())).await?;
//! source.upload(&image.id, Body::from(Bytes::from_static(b"data"))).await?;
//!
//! let policy = Policy::default();
//! let replication = Replication { source, target: target.clone(), policy };
//! let mut results = Vec::new();
//! replication.run(|outcome| results.push(outcome.result)).await?;
//! assert!(matches!(results[..], [Ok(Done::Copied)]));
//! assert_eq!(target.get(&image.id).await?.size, Some(4));
//! # Ok(())
//! # }
//! ```

mod cancel;
mod comparison;
mod controller;
mod copying;
mod error;
pub mod events;
mod export;
mod journal;
mod known_digests;
mod loss;
pub mod mapping;
pub mod metadefs;
mod outcome;
mod pairing;
mod planning;
mod policy;
pub mod provenance;
mod proving;
mod repair;
mod replication;
mod running;
mod spool;
mod state;
mod streaming;
#[cfg(test)]
mod testing;

pub use cancel::{CancelMode, CancelReason, CancelToken};
pub use comparison::Difference;
pub use controller::{Adjustment, Controller};
pub use error::{CopyError, NothingRemoved, RunError};
pub use events::{Event, Events};
pub use export::export;
pub use journal::{
    Claim, Journal, JournalContents, JournalEntry, JournalError, JournalFile, PairClaim, Phase, Run,
};
pub use known_digests::{CachedDigests, DigestCache, TargetDigests};
pub use loss::{Loss, LossKind};
pub use mapping::Mapping;
pub use outcome::{DataPath, Done, Outcome, Proven, TransferMethod};
pub use planning::Entry;
pub use policy::{
    Approval, ContentCheck, CopyScope, DeliveryOptions, ErrorLimit, Fallback, ImportSource,
    InvalidTemplate, MatchBy, Members, OnBurnedId, Order, Placement, Policy, Prune, Removal,
    Removals, Retries, Template,
};
pub use proving::verify::{Depth, Proof, Verdict, Verification, VerifyFault, verify_store};
pub use repair::{KnownBy, Leftover, LeftoverScan, LeftoverState};
pub use replication::Replication;
pub use running::run_all;
pub use spool::{Spool, SpoolWhen};
pub use state::State;
