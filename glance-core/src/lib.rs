#![doc = include_str!("../README.md")]

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
