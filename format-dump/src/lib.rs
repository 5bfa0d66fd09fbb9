#![doc = include_str!("../README.md")]
//!
//! # Modules
//! In reading order: `files` accesses the dump's files, and `limits` bounds how much of them is
//! held in memory; `dump` and `directory` implement a dump as a store; `record` and `manifest` are
//! the dump's JSON files, `blob` is image data, `extras` holds projects and metadata definitions,
//! and `sums` writes `SHA512SUMS`; `verify` checks a dump against its own digests; `stream` reads and writes a
//! dump as a stream through a pipe; `v1` reads dumps of the predecessor. `docs/dump-format.md` is the
//! specification.

mod blob;
mod directory;
mod dump;
mod extras;
mod files;
mod limits;
mod manifest;
mod record;
mod stream;
mod sums;
mod v1;
mod verify;

pub use dump::DumpStore;
pub use glance_core::selection::{InvalidSubset, Subset};
pub use record::Encoding;
pub use stream::{Extras, Listed, StreamStore, TarWriter};
pub use verify::{DumpFinding, DumpProof, DumpVerification, FileState};
