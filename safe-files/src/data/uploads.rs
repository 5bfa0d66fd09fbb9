//! The uploads in progress of a store.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use glance_core::image::ImageId;

/// The images whose data is being uploaded. Clones share the images.
#[derive(Debug, Clone, Default)]
pub struct Uploads(Arc<Mutex<BTreeSet<ImageId>>>);

impl Uploads {
    /// Marks an upload as in progress until the guard is dropped.
    #[must_use]
    pub fn begin(&self, id: &ImageId) -> UploadGuard {
        self.lock().insert(id.clone());
        UploadGuard { uploads: self.clone(), id: id.clone() }
    }

    /// Whether an upload to this image is in progress.
    pub fn contains(&self, id: &ImageId) -> bool {
        self.lock().contains(id)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<ImageId>> {
        // A panic cannot leave the set in an inconsistent state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Marks an upload in progress until dropped.
#[derive(Debug)]
pub struct UploadGuard {
    uploads: Uploads,
    id: ImageId,
}

impl Drop for UploadGuard {
    fn drop(&mut self) {
        self.uploads.lock().remove(&self.id);
    }
}
