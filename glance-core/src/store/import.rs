//! Data that a store gets without the caller: its own workers read it from another Glance, from a web
//! server, or from another of its stores.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::{ImageStore, StoreError};
use crate::image::{Image, ImageId};

/// Where a Glance's own workers get the data of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Import {
    /// From a Glance of the same Keystone, with the token that asks for it.
    Glance {
        /// Its region.
        region: String,
        /// The interface of it that the workers reach: `public`, `internal` or `admin`.
        interface: String,
        /// The image there. It must be active.
        image: ImageId,
    },
    /// From a web server.
    Web {
        /// The address of the data.
        uri: String,
    },
}

impl Import {
    /// The import method, as Glance calls it.
    pub fn method(&self) -> &'static str {
        match self {
            Self::Glance { .. } => "glance-download",
            Self::Web { .. } => "web-download",
        }
    }
}

/// A store whose own workers can get the data of an image.
///
/// [`ImageStore`] moves bytes through the caller. A store with this capability saves that detour. The
/// data is not compared with anything: the caller proves it.
#[async_trait]
pub trait ServerSideImport: fmt::Debug + Send + Sync {
    /// The same store, with new data put into `place`, one of the stores behind it.
    fn placing(&self, place: &str) -> Arc<dyn ImageStore>;

    /// Has the store get the data of a queued record, waits until the data is there, and returns what
    /// the store then holds. `place` is the store behind it that the data is put into; without it, the
    /// store chooses.
    ///
    /// The total time has no limit; the time without progress has one. When the future is dropped, the
    /// import goes on.
    ///
    /// # Errors
    /// When the import does not begin, or fails. The record then takes an upload, unless
    /// [`Image::is_importing`] is still true.
    async fn import(
        &self,
        id: &ImageId,
        import: &Import,
        place: Option<&str>,
    ) -> Result<Image, StoreError>;

    /// Has the store copy the data of an active image to more of the stores behind it, waits until it
    /// is there, and returns what the store then holds.
    ///
    /// # Errors
    /// When the copy does not begin, or does not reach all of `places`. The image is as usable as
    /// before.
    async fn copy_to_stores(&self, id: &ImageId, places: &[String]) -> Result<Image, StoreError>;
}
