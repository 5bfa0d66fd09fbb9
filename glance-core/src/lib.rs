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

pub mod body;
pub mod clock;
pub mod content_format;
pub mod digest;
pub mod dir;
pub mod error;
pub mod file_lock;
pub mod image;
pub mod metadefs;
pub mod project;
pub mod rate_limit;
pub mod record_schema;
pub mod sampling;
pub mod selection;
pub mod store;
pub mod tls;
pub mod transport;
pub mod units;
pub mod verified_body;

#[cfg(feature = "conformance")]
pub mod conformance;

/// The log target of messages for the operator at the terminal. The terminal shows these messages
/// even when the log goes to a file.
pub const TERMINAL: &str = "glance_core::terminal";

pub use body::Body;
pub use image::{Image, ImageId};
pub use selection::Selection;
pub use store::{ImageStore, StoreError};
pub use transport::{Transport, TransportError};
