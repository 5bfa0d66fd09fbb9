//! Claims on the images of a target: no two runs work on the same image at the same time.
//!
//! An image in work has a lock file, which exists only meanwhile: files and descriptors are bounded
//! by the images in work, not by the images of a run. The kernel releases the lock of a killed
//! process, whose lock files do not block anything.
//!
//! Every claim raises a counter that all runs of the target share. A run that was the only one to
//! raise it since it began knows that no other run has changed an image, and need not read the records
//! again.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

use glance_core::digest::hex;
use glance_core::image::ImageId;
use safe_files::dir::Dir;
use safe_files::file_lock::{Holder, Lock, LockError};
use safe_files::shared_counter::SharedCounter;

/// The claims of a run on images of one target, whatever their source. By default there are none.
#[derive(Debug, Clone, Default)]
pub(super) struct Claims(Option<Arc<Place>>);

#[derive(Debug)]
struct Place {
    directory: Dir,
    holder: Holder,
    others: Others,
}

/// Whether other runs claim images of the target.
#[derive(Debug)]
struct Others {
    counter: SharedCounter,
    /// The number of claims on images of the target when no other run was at work, and those of this
    /// run since. `None` if another run was at work at the beginning.
    claims: Option<Mutex<u64>>,
}

/// A claim on an image or on the metadata definitions. It ends when the value is dropped, or with
/// the process.
#[derive(Debug, Default)]
pub struct Claim {
    _lock: Option<Lock>,
    is_first: bool,
}

impl Claims {
    /// Opens the directory of claims on the images of `target`, below the directory of the
    /// journals, and removes lock files of killed processes.
    pub(super) fn open(journals: &Dir, target: &str, holder: &Holder) -> Result<Self, io::Error> {
        let target = hex(&Sha256::digest(target));
        let directory = journals.make_subdirectory(CLAIMS)?.make_subdirectory(&target[..32])?;
        // A claim of another run either raises the counter later, or its file is found next, or the
        // other run has finished the image before this run lists it.
        let counter = SharedCounter::open(&directory, COUNTER)?;
        let claims = counter.value()?;
        let mut is_alone = true;
        for name in directory.names()? {
            let name = name?;
            if name != COUNTER {
                Lock::sweep(&directory, Path::new(&name));
                is_alone &= directory.find(&name)?.is_none();
            }
        }
        let others = Others { counter, claims: is_alone.then(|| Mutex::new(claims)) };
        Ok(Self(Some(Arc::new(Place { directory, holder: holder.clone(), others }))))
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
        Ok(Claim { _lock: Some(lock), is_first: false })
    }

    async fn try_take(&self, image: &ImageId) -> Result<Claim, LockError> {
        let Some(place) = self.0.clone() else { return Ok(Claim::default()) };
        let name = format!("{}.lock", image.as_str().to_ascii_lowercase());
        let path = place.directory.path().join(&name);
        let take = move || {
            let lock = Lock::take_in(&place.directory, Path::new(&name), &place.holder)?;
            let is_first = place.others.are_absent().map_err(|error| LockError::File {
                path: place.directory.path().join(COUNTER),
                error,
            })?;
            Ok(Claim { _lock: Some(lock), is_first })
        };
        let taken = tokio::task::spawn_blocking(take).await;
        taken.map_err(|error| LockError::File { path, error: error.into() })?
    }
}

impl Claim {
    /// Whether no other run has claimed an image of the target since this run opened its journal.
    pub(crate) fn is_first(&self) -> bool {
        self.is_first
    }
}

impl Others {
    /// Counts a claim of this run. Returns whether all claims since the beginning are of this run.
    fn are_absent(&self) -> io::Result<bool> {
        let Some(claims) = &self.claims else { return self.counter.raise().map(|_| false) };
        let mut claims = claims.lock().unwrap_or_else(PoisonError::into_inner);
        *claims += 1;
        Ok(self.counter.raise()? == *claims)
    }
}

/// The directory of all claims.
const CLAIMS: &str = "claims";

/// The counter of the claims on images.
const COUNTER: &str = "count";

/// The lock file of the metadata definitions.
const METADEFS: &str = "metadefs.lock";

/// The time after which a lock that is taken only to remove its file is free again.
const MOMENT: Duration = Duration::from_millis(50);
