//! Reads and writes dumps: images stored in a directory.
//!
//! ```text
//! manifest.json        marks the directory as a dump and says whether the dump is complete
//! <id>.json            {"image": record, "members": [{"member_id", "status"}], "data": how the
//!                      data is stored}; the first two as the Images v2 API shows them
//! <id>.img             the data, or <id>.img.zst if compressed; with the suffix .partial until the
//!                      data is complete
//! projects.json        the names of the projects that occur
//! metadefs/<name>.json a namespace of metadata definitions
//! SHA512SUMS           the digests of all files, written when the dump is complete
//! ```
//!
//! `docs/dump-format.md` is the specification. Files appear atomically: each is written under a
//! temporary name, synced and renamed, and the data is in place before the record that declares the
//! data complete. A process killed at any moment leaves every image either complete or without
//! data; the next run adds the missing data and resumes from the bytes received so far. Only one
//! process writes to a dump at a time: the lock file `.glance-replicator.lock` keeps other
//! processes out.
//!
//! The predecessor of this tool wrote `<id>` (a record of the v1 API) and `<id>.img`. Such dumps
//! can be read, but not written.
//!
//! ```
//! use bytes::Bytes;
//! use format_dump::DumpStore;
//! use glance_core::image::Attributes;
//! use glance_core::{Body, Image, ImageId, ImageStore};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let directory = tempfile::tempdir()?;
//! let dump = DumpStore::create(directory.path())?;
//! let image = dump.create(&Image::queued(ImageId::random(), Attributes::default())).await?;
//! dump.upload(&image.id, Body::from(Bytes::from_static(b"data"))).await?;
//! dump.finish().await?;
//!
//! let dump = DumpStore::open(directory.path())?;
//! assert!(dump.is_complete()?);
//! assert_eq!(dump.get(&image.id).await?.size, Some(4));
//! # Ok(())
//! # }
//! ```
//!
//! In reading order: `files` accesses the dump's files, and `limits` bounds how much of them is
//! held in memory; `dump` and `directory` implement a dump as a store; `record` and `manifest` are
//! the dump's JSON files, `blob` is image data, `extras` holds projects and metadata definitions,
//! and `sums` writes `SHA512SUMS`; `verify` checks a dump against its own digests; `stream` reads and writes a
//! dump as a stream through a pipe; `v1` reads dumps of the predecessor.

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
