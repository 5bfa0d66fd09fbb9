//! Serves the Glance v2 API for any [`ImageStore`](glance_core::ImageStore).
//!
//! [`GlanceApi`] answers requests and is itself a [`Transport`](glance_core::Transport): a client
//! can use it in-process, without a socket, and any wrapper around a transport can wrap it.
//! [`serve`] answers the connections of a listener.
//!
//! # Example
//! ```
//! use std::sync::Arc;
//!
//! use glance_core::store::memory::MemoryStore;
//! use glance_core::{Body, Transport};
//! use glance_server::{Access, GlanceApi};
//! use http::Request;
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let images = Arc::new(MemoryStore::new("images"));
//! let api = GlanceApi::new(images).with_access(Access::ReadOnly);
//! let request = Request::get("http://localhost/v2/images").body(Body::empty())?;
//! assert_eq!(api.send(request).await?.status(), 200);
//! # Ok::<_, Box<dyn std::error::Error>>(()) })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod api;
mod lingering;
mod serve;
mod watched;

pub use api::{Access, GlanceApi};
pub use serve::{ServerLimits, serve, serve_within};
