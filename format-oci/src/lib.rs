#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! In reading order: `names` has the names of files, tags, media types and annotations, and
//! `descriptor` the types of the OCI image specification; `artifact` turns a record into a config blob
//! and a manifest, and back; `blobs` reads and writes blobs by their digest; `index` is `index.json`;
//! `mark` tells a layout from other directories, and makes new ones; `layout` changes images, and
//! `store` is the [`ImageStore`](glance_core::ImageStore) on top of it.
//! `docs/oci.md` is the specification.

mod artifact;
mod blobs;
mod descriptor;
mod index;
mod layout;
mod mark;
mod names;
mod store;

pub use store::LayoutStore;
