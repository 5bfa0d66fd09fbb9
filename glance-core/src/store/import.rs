//! Server-side import: a store's own workers fetch the data from another Glance, from a web server,
//! or from another of the store's back ends, without passing it through the caller.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::{ImageStore, StoreError};
use crate::image::{Image, ImageId};

/// The source from which Glance's own workers fetch an image's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Import {
    /// A Glance registered in the same Keystone, read with the token of the request.
    Glance {
        /// The region of that Glance.
        region: String,
        /// The endpoint interface that the workers can reach: `public`, `internal` or `admin`.
        interface: String,
        /// The image's id there. The image must be active.
        image: ImageId,
    },
    /// A web server.
    Web {
        /// The URI of the data.
        uri: String,
    },
}

impl Import {
    /// The name of the import method in Glance's API.
    pub fn method(&self) -> &'static str {
        match self {
            Self::Glance { .. } => "glance-download",
            Self::Web { .. } => "web-download",
        }
    }
}

/// A store whose own workers can fetch the data of an image.
///
/// [`ImageStore`] moves all bytes through the caller; a store with this capability avoids the
/// detour. The store does not compare the data with a digest: the caller must verify it.
#[async_trait]
pub trait ServerSideImport: fmt::Debug + Send + Sync {
    /// The same store, with `place` as the back-end store for new data.
    fn placing(&self, place: &str) -> Arc<dyn ImageStore>;

    /// Makes the store fetch the data of a queued record, waits until the data is complete, and
    /// returns the record that the store then holds. `place` is the back-end store for the data;
    /// without it, the server chooses.
    ///
    /// The total time has no limit; the time without progress has one. When the future is dropped,
    /// the import continues on the server.
    ///
    /// # Errors
    /// When the import does not start, or fails. The record then accepts an upload, unless
    /// [`Image::is_importing`] is still true.
    async fn import(
        &self,
        id: &ImageId,
        import: &Import,
        place: Option<&str>,
    ) -> Result<Image, StoreError>;

    /// Makes the store copy the data of an active image to more of its back-end stores, waits until
    /// the copies are complete, and returns the record that the store then holds.
    ///
    /// # Errors
    /// When the copy does not start, or does not reach all of `places`. The image stays as usable
    /// as before.
    async fn copy_to_stores(&self, id: &ImageId, places: &[String]) -> Result<Image, StoreError>;
}
