//! Claims on the images of a target: no two runs work on the same image at the same time.
//!
//! An image in work has a lock file, which exists only meanwhile: files and descriptors are bounded
//! by the images in work, not by the images of a run. The kernel releases the lock of a killed
//! process, whose lock files do not block anything.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use glance_core::digest::hex;
use glance_core::image::ImageId;
use safe_files::dir::Dir;
use safe_files::file_lock::{Holder, Lock, LockError};

/// The claims of a run on images of one target, whatever their source. By default there are none.
#[derive(Debug, Clone, Default)]
pub(super) struct Claims(Option<Arc<Place>>);

#[derive(Debug)]
struct Place {
    directory: Dir,
    holder: Holder,
}

/// A claim on an image or on the metadata definitions. It ends when the value is dropped, or with
/// the process.
#[derive(Debug, Default)]
pub struct Claim {
    _lock: Option<Lock>,
}

impl Claims {
    /// Opens the directory of claims on the images of `target`, below the directory of the
    /// journals, and removes lock files of killed processes.
    pub(super) fn open(
        journals: &Dir,
        target: &str,
        holder: &Holder,
    ) -> Result<Self, std::io::Error> {
        let target = hex(&Sha256::digest(target));
        let directory = journals.make_subdirectory(CLAIMS)?.make_subdirectory(&target[..32])?;
        for name in directory.names()? {
            Lock::sweep(&directory, Path::new(&name?));
        }
        Ok(Self(Some(Arc::new(Place { directory, holder: holder.clone() }))))
    }

    /// Whether images have to be claimed.
    pub(super) fn are_needed(&self) -> bool {
        self.0.is_some()
    }

    /// Claims an image by its id at the source, without waiting.
    ///
    /// # Errors
    /// When another run has the image in work, or the lock file can't be made.
    pub(super) async fn take(&self, image: &ImageId) -> Result<Claim, LockError> {
        match self.try_take(image).await {
            // A run that begins locks the files of killed processes for a moment.
            Err(LockError::Held(_)) => {
                tokio::time::sleep(MOMENT).await;
                self.try_take(image).await
            }
            taken => taken,
        }
    }

    /// Claims the metadata definitions of the target, without waiting.
    ///
    /// # Errors
    /// When another run copies metadata definitions, or the lock file can't be made.
    pub(super) fn take_metadefs(&self) -> Result<Claim, LockError> {
        let Some(place) = &self.0 else { return Ok(Claim::default()) };
        let lock = Lock::take_in(&place.directory, Path::new(METADEFS), &place.holder)?;
        Ok(Claim { _lock: Some(lock) })
    }

    async fn try_take(&self, image: &ImageId) -> Result<Claim, LockError> {
        let Some(place) = self.0.clone() else { return Ok(Claim::default()) };
        let name = format!("{}.lock", image.as_str().to_ascii_lowercase());
        let path = place.directory.path().join(&name);
        let take = move || Lock::take_in(&place.directory, Path::new(&name), &place.holder);
        let taken = tokio::task::spawn_blocking(take).await;
        let lock = taken.map_err(|error| LockError::File { path, error: error.into() })??;
        Ok(Claim { _lock: Some(lock) })
    }
}

/// The directory of all claims.
const CLAIMS: &str = "claims";

/// The lock file of the metadata definitions.
const METADEFS: &str = "metadefs.lock";

/// The time after which a lock that is taken only to remove its file is free again.
const MOMENT: Duration = Duration::from_millis(50);
