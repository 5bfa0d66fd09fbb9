//! The two traits that glance-replicator is built on, and the types that both sides of a copy
//! share.
//!
//! - [`Transport`] sends HTTP requests over verified TLS; [`tls`] describes certificate trust.
//! - [`ImageStore`] holds images. [`image`] is the image model; a [`Selection`] describes a set of
//!   images.
//! - [`verified_body`] counts and hashes the bytes of an image while they stream ([`digest`]).
//! - [`conformance`] (a Cargo feature) tests any implementation of the two traits.
//!
//! This crate opens no socket and links no TLS library: the transport crates do.
//!
//! # Example
//! Copies one image from a store into another one, and verifies the data in transit against the
//! record of the source:
//! ```
//! use std::sync::Arc;
//!
//! use bytes::Bytes;
//! use glance_core::digest::Hashers;
//! use glance_core::image::{Attributes, Image, Status};
//! use glance_core::store::{ByteRange, memory::MemoryStore};
//! use glance_core::verified_body::{Expected, checked};
//! use glance_core::{Body, ImageId, ImageStore};
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let source: Arc<dyn ImageStore> = Arc::new(MemoryStore::new("source"));
//! let target: Arc<dyn ImageStore> = Arc::new(MemoryStore::new("target"));
//! let image = source.create(&Image::queued(ImageId::random(), Attributes::default())).await?;
//! let image = source.upload(&image.id, Body::from(Bytes::from_static(b"some data"))).await?;
//!
//! let data = source.read(&image.id, ByteRange::ALL).await?;
//! let (data, verdict) = checked(data, Expected::of(&image), Hashers::default());
//! target.create(&image).await?;
//! let replica = target.upload(&image.id, data).await?;
//!
//! assert_eq!(verdict.fault(), None);
//! assert_eq!((replica.status, &replica.os_hash_value), (Status::Active, &image.os_hash_value));
//! # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(()) })?;
//! # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//! [`ImageStore`] and [`Transport`] have an example of each method.

pub mod body;
#[cfg(feature = "clock")]
pub mod clock;
pub mod content_format;
pub mod digest;
pub mod error;
pub mod image;
#[cfg(feature = "json")]
pub mod metadefs;
#[cfg(feature = "json")]
pub mod project;
#[cfg(feature = "clock")]
pub mod rate_limit;
#[cfg(feature = "schema")]
pub mod record_schema;
#[cfg(feature = "selection")]
pub mod sampling;
pub mod selection;
pub mod store;
#[cfg(feature = "tls")]
pub mod tls;
pub mod transport;
pub mod units;
pub mod verified_body;
pub mod wait_time;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "testing")]
pub mod testing;

/// The log target of messages for the operator at the terminal. The terminal shows these messages
/// even when the log goes to a file.
pub const TERMINAL: &str = "glance_core::terminal";

pub use body::Body;
pub use image::{Image, ImageId};
pub use selection::Selection;
pub use store::{ImageStore, StoreError};
pub use transport::{Transport, TransportError};
