//! What every part of glance-replicator agrees on, and the work it does.
//!
//! In reading order: an [`image`] is what moves, a [`select`]ion says
//! which of them; a [`body`] carries its bytes, a [`lane`] works on
//! them aside, [`digest`]s prove them, and [`format`](mod@format) says what they are; a [`store`] holds images, and
//! [`ImageStore`] is its contract; a [`transport`] carries HTTP requests, and [`Transport`] is its
//! contract; [`tls`] says whom to trust, and [`plain_http`] what goes without it; [`identity`] signs in to a cloud; [`glance`] is the store
//! that speaks the Glance v2 API; a [`dir`]ectory holds files of the tool itself; a [`lock`] is had by one process at a
//! time; [`replicate`] makes one store hold what another holds, and
//! proves it; [`metadefs`] does so with definitions of metadata. [`conformance`] lets any
//! implementation of the two traits test itself.
//!
//! This crate opens no socket and links no TLS library: the transport crates do.

pub mod image;

pub mod body;

pub mod select;

pub mod format;

pub mod lane;

pub mod digest;

pub mod store;

pub mod transport;

pub mod pauses;

pub mod plain_http;

mod redirect;

pub mod tls;

pub mod identity;

pub mod glance;

pub mod dir;

pub mod lock;

pub mod replicate;

pub mod metadefs;

#[cfg(feature = "conformance")]
pub mod conformance;

/// The target of messages for whoever is at the terminal: they are shown there even when messages go
/// to a file.
pub const TERMINAL: &str = "glance_core::terminal";

pub use body::Body;
pub use image::{Image, ImageId};
pub use select::Selection;
pub use store::{ImageStore, StoreError};
pub use transport::{Transport, TransportError};
