//! Serves the Glance v2 API for any [`ImageStore`](glance_core::ImageStore).
//!
//! [`GlanceApi`] answers requests and is itself a [`Transport`](glance_core::Transport): a client
//! can use it in-process, without a socket, and any wrapper around a transport can wrap it.
//! [`serve`] answers the connections of a listener.

mod api;
mod lingering;
mod serve;
mod watched;

pub use api::{Access, GlanceApi};
pub use serve::{ServerLimits, serve, serve_within};
