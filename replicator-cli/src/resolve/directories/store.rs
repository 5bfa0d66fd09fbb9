//! An open store in a directory, a dump or an OCI image layout.

use std::sync::Arc;

use format_dump::DumpStore;
use format_oci::LayoutStore;
use glance_core::image::ImageId;
use glance_core::project::Project;
use glance_core::store::{ImageStore, StoreError};
use serde_json::Value;

/// An open store in a directory.
#[derive(Debug, Clone)]
pub(crate) enum DirectoryStore {
    Dump(Arc<DumpStore>),
    Layout(Arc<LayoutStore>),
}

impl DirectoryStore {
    /// The images.
    pub(crate) fn images(&self) -> Arc<dyn ImageStore> {
        match self {
            Self::Dump(dump) => Arc::<DumpStore>::clone(dump),
            Self::Layout(layout) => Arc::<LayoutStore>::clone(layout),
        }
    }

    /// Whether the run that wrote the store finished.
    pub(crate) async fn is_complete(&self) -> Result<bool, StoreError> {
        match self {
            Self::Dump(dump) => dump.is_complete(),
            Self::Layout(layout) => layout.is_complete().await,
        }
    }

    /// Marks the store as finished.
    pub(crate) async fn finish(&self) -> Result<(), StoreError> {
        match self {
            Self::Dump(dump) => dump.finish().await,
            Self::Layout(layout) => layout.finish().await,
        }
    }

    /// Marks the store as finished, unless it was unfinished when it was opened for writing.
    pub(crate) async fn finish_as_found(&self) -> Result<(), StoreError> {
        match self {
            Self::Dump(dump) => dump.finish_as_found().await,
            Self::Layout(layout) => layout.finish_as_found().await,
        }
    }

    /// The free space of the filesystem in bytes; `None` if unknown.
    pub(crate) fn free_space(&self) -> Option<u64> {
        match self {
            Self::Dump(dump) => dump.free_space(),
            Self::Layout(layout) => layout.free_space(),
        }
    }

    /// The number of bytes that an interrupted upload of this image left.
    pub(crate) fn begun_bytes(&self, id: &ImageId) -> u64 {
        match self {
            Self::Dump(dump) => dump.begun_bytes(id),
            Self::Layout(layout) => layout.begun_bytes(id),
        }
    }

    /// The projects that the store describes.
    pub(crate) async fn projects(&self) -> Result<Vec<Project>, StoreError> {
        match self {
            Self::Dump(dump) => dump.projects().await,
            Self::Layout(layout) => layout.projects().await,
        }
    }

    /// Replaces the descriptions of projects.
    pub(crate) async fn write_projects(&self, projects: &[Project]) -> Result<(), StoreError> {
        match self {
            Self::Dump(dump) => dump.write_projects(projects).await,
            Self::Layout(layout) => layout.write_projects(projects).await,
        }
    }

    /// The namespaces of metadata definitions. A layout has none.
    pub(crate) async fn metadefs(&self) -> Result<Vec<Value>, StoreError> {
        match self {
            Self::Dump(dump) => dump.metadefs().await,
            Self::Layout(_) => Ok(Vec::new()),
        }
    }
}
