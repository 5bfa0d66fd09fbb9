#![doc = include_str!("../README.md")]

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
