//! Reads and writes machine images in an OCI image layout, so that registries and their tools carry
//! them.
//!
//! ```text
//! oci-layout           marks the directory as an image layout
//! index.json           the descriptors of the manifests, with their tags
//! blobs/sha256/<hex>   manifests, records (config blobs) and image data (layers), by their SHA-256
//! ```
//!
//! `docs/oci.md` is the specification. Each image is one artifact: a manifest, a config blob that is
//! the record, and one layer that is the data. Data is stored once, however many images have it. A
//! change of a record makes a new config blob and a new manifest, never a new layer.
//!
//! Files appear atomically, and every blob is in place before `index.json` leads to it. A process
//! killed at any moment leaves a valid layout, in which each image is either complete or without
//! data; the next run adds the missing data and resumes from the bytes received so far. Only one
//! process of this tool writes to a layout at a time; other tools do not know its lock.
//!
//! ```
//! use bytes::Bytes;
//! use format_oci::LayoutStore;
//! use glance_core::image::Attributes;
//! use glance_core::{Body, Image, ImageId, ImageStore};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let directory = tempfile::tempdir()?;
//! let layout = LayoutStore::create(directory.path())?;
//! let image = layout.create(&Image::queued(ImageId::random(), Attributes::default())).await?;
//! layout.upload(&image.id, Body::from(Bytes::from_static(b"data"))).await?;
//! layout.finish().await?;
//!
//! let layout = LayoutStore::open(directory.path())?;
//! assert!(layout.is_complete().await?);
//! assert_eq!(layout.get(&image.id).await?.size, Some(4));
//! # Ok(())
//! # }
//! ```
//!
//! In reading order: `names` has the names of files, tags, media types and annotations, and
//! `descriptor` the types of the OCI image specification; `artifact` turns a record into a config blob and a manifest, and back; `blobs` reads and writes blobs by
//! their digest; `index` is `index.json`; `layout` changes images, and `store` is the
//! [`ImageStore`](glance_core::ImageStore) on top of it.

mod artifact;
mod blobs;
mod descriptor;
mod index;
mod layout;
mod names;
mod store;

pub use store::LayoutStore;
