#![doc = include_str!("../README.md")]

mod api;
mod lingering;
mod serve;
mod watched;

pub use api::{Access, GlanceApi};
pub use serve::{ServerLimits, serve, serve_within};
