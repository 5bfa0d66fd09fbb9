//! Records the steps of a copy in the journal, and claims images.

use std::error::Error;

use glance_core::image::{Image, ImageId};
use safe_files::file_lock::LockError;

use crate::cancel::{CancelMode, CancelReason};
use crate::error::CopyError;
use crate::journal::{Claim, Phase};
use crate::outcome::Done;
use crate::replication::Replication;

impl Replication {
    /// Claims an image before it is changed at the target. If the claim can't be written, no more
    /// images are started.
    pub(crate) async fn claim(&self, image: &ImageId) -> Result<Claim, CopyError> {
        self.policy.journal.claim(image).await.map_err(|error| match error {
            LockError::Held(holder) => CopyError::InUse(holder),
            error => {
                self.policy.stop.stop(CancelMode::Drain, CancelReason::Unwritten);
                CopyError::Journal(error.into())
            }
        })
    }

    /// Records the next step for a record of the target in the journal. If this fails, no more
    /// images are started.
    pub(super) async fn announce(
        &self,
        phase: Phase,
        image: &Image,
        record: &Image,
    ) -> Result<(), CopyError> {
        self.policy.journal.announce(phase, image, record).await.map_err(|error| {
            self.policy.stop.stop(CancelMode::Drain, CancelReason::Unwritten);
            CopyError::Journal(error)
        })
    }

    /// Records the result for an image in the journal, if a step for it was announced.
    pub(super) async fn close(&self, image: &Image, result: &Result<Done, CopyError>) {
        let Some(phase) = last_phase(result) else { return };
        let error = result.as_ref().err();
        let why = error.map(because);
        let request_id = error.and_then(request_id).map(str::to_owned);
        self.policy.journal.close(image, phase, why, request_id).await;
    }
}

/// The phase that a result leads to. `None` if the last recorded step describes the state at the
/// target.
fn last_phase(result: &Result<Done, CopyError>) -> Option<Phase> {
    match result {
        Ok(Done::Skipped(_)) | Err(CopyError::IdUnavailable(_)) => Some(Phase::Dropped),
        Ok(_) => Some(Phase::Done),
        Err(CopyError::BrokenOff | CopyError::InUse(_)) => None,
        Err(_) => Some(Phase::Failed),
    }
}

fn because(error: &CopyError) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn request_id(error: &CopyError) -> Option<&str> {
    match error {
        CopyError::Source(error)
        | CopyError::Target(error)
        | CopyError::NotInStores { error, .. } => error,
        _ => return None,
    }
    .request_id
    .as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use glance_core::store::{StoreError, StoreErrorKind};

    #[test]
    fn an_image_without_a_record_at_the_target_is_dropped_from_the_journal() {
        let taken = StoreError::new(StoreErrorKind::IdTaken, &"b", "", "");
        let dropped = Some(Phase::Dropped);
        assert_eq!(last_phase(&Err(CopyError::IdUnavailable(taken))), dropped);
        assert_eq!(last_phase(&Ok(Done::Skipped(String::new()))), dropped);
        assert_eq!(last_phase(&Ok(Done::InPlace)), Some(Phase::Done));
        assert_eq!(last_phase(&Err(CopyError::Unproven)), Some(Phase::Failed));
        assert_eq!(last_phase(&Err(CopyError::BrokenOff)), None);
    }
}
