//! Uploads data into a record until the target has stored or rejected it.
//!
//! A failed upload request is not final. The connection may break after the last byte, or a proxy
//! may time out while Glance is still storing the data. If data was lost, Glance sets the record
//! back to `queued`, and the same record accepts another upload. The status of the record shows the
//! result of an upload.

use tokio::time::Instant;

use glance_core::body::Body;
use glance_core::image::{Image, Status};
use glance_core::store::{StoreError, StoreErrorKind};
use glance_core::transport::backoff::Backoff;
use glance_core::verified_body::{DataFault, DataVerdict};

use super::ImageCopy;
use crate::comparison::content_difference;
use crate::error::CopyError;
use crate::events::{Phase, Retry, Side, reason};
use crate::streaming::fan_out::Opened;

/// The result of one upload that may be followed by another one.
enum Attempt {
    /// The target has the data.
    Stored(Image, DataVerdict),
    /// The bytes that the target kept of an earlier upload may be wrong. All data is sent again.
    Restart(CopyError),
    /// The record accepts another upload, which can succeed.
    Retry(CopyError),
}

impl ImageCopy<'_> {
    /// Uploads the data, and uploads it again if the target lost it.
    pub(super) async fn transfer(
        &mut self,
        record: &Image,
        mut opened: Opened,
    ) -> Result<(Image, DataVerdict), CopyError> {
        let (replication, id) = (self.replication, &self.image.id);
        let retries = &replication.policy.retries;
        let (mut failures, mut renewed) = (0, false);
        loop {
            let failure = match self.try_once(record, opened).await? {
                Attempt::Stored(stored, verdict) => return Ok((stored, verdict)),
                Attempt::Restart(failure) => {
                    self.meter.enter(Phase::Preparing);
                    tracing::info!(image = %id, "{}; sending all data again", failure.chain());
                    opened = replication.unless_broken_off(self.share.open(Body::empty())).await?;
                    continue;
                }
                Attempt::Retry(failure) => failure,
            };
            let pause = match is_renewed(&failure) {
                // A renewed token helps with the next attempt or not at all.
                true if !std::mem::replace(&mut renewed, true) => Backoff::NONE,
                false if failures < retries.per_image => retries.pauses,
                _ => return Err(failure),
            };
            tracing::info!(image = %id, "{}; sending the data again", failure.chain());
            let pause = pause.pause(failures);
            let retry = Retry::after(failures, retries.per_image, pause, reason(&failure));
            self.meter.retrying(Side::of(&failure), &retry);
            let again = async {
                tokio::time::sleep(pause).await;
                let begun = self.partial_data(record).await?;
                self.share.open(begun).await
            };
            opened = replication.unless_broken_off(again).await?;
            failures += 1;
        }
    }

    /// Uploads the data once.
    ///
    /// # Errors
    /// When another upload to this record can't succeed.
    async fn try_once(&self, record: &Image, opened: Opened) -> Result<Attempt, CopyError> {
        let (replication, policy) = (self.replication, &self.replication.policy);
        let Opened { data, verdict, begun } = opened;
        let data = policy.bandwidth.timed(&self.meter.bandwidth()).sent(begun, data);
        let data = self.meter.sending(begun, data);
        let target = self.placed_target();
        let send = |data| target.upload(&record.id, data);
        let sent = policy.stop.unless_broken_off_within(data, send).await;
        self.meter.answered();
        let failure = match sent {
            None => return Err(CopyError::BrokenOff),
            Some(Ok(stored)) => {
                policy.target_digests.note(&replication.target, &stored);
                return Ok(Attempt::Stored(stored, verdict));
            }
            Some(Err(error)) => self.blame(&verdict, error),
        };
        if is_of_no_use(begun, &failure) {
            return Ok(Attempt::Restart(failure));
        }
        replication.unless_broken_off(self.after_failure(record, failure, verdict)).await
    }

    /// The data at the target of an earlier, incomplete upload to this record.
    pub(super) async fn partial_data(&self, record: &Image) -> Result<Body, CopyError> {
        self.replication.target.partial_data(&record.id).await.map_err(CopyError::Target)
    }

    /// Finds out what a failed upload left at the target. Data that the target rejected is not sent
    /// again: after status 415 Glance keeps the data, and the record accepts no other.
    async fn after_failure(
        &self,
        record: &Image,
        failure: CopyError,
        verdict: DataVerdict,
    ) -> Result<Attempt, CopyError> {
        let conflict = match &failure {
            CopyError::Target(error) if error.kind == StoreErrorKind::Conflict => true,
            CopyError::Target(error) if error.kind.is_retryable() => false,
            CopyError::LeftBehind { .. } => false,
            _ => return Err(failure),
        };
        let image = self.image;
        let now = match self.settled(record).await {
            Err(CopyError::Target(error)) => {
                tracing::info!(image = %image.id, "the result of the upload is unknown: {error}");
                return Err(failure);
            }
            now => now?,
        };
        match (now.status, content_difference(image, &now)) {
            (Status::Queued, _) => Ok(Attempt::Retry(failure)),
            // Another client's upload to the same record completed first.
            (_, Some(difference)) if conflict => Err(CopyError::content_differs(difference)),
            // Only the response was lost.
            (status, _) if status.has_data() => Ok(Attempt::Stored(now, verdict)),
            _ => Err(failure),
        }
    }

    /// Polls the record until the target has finished or given up an upload to it.
    async fn settled(&self, record: &Image) -> Result<Image, CopyError> {
        let retries = &self.replication.policy.retries;
        let begin = Instant::now();
        let (mut polls, mut failures) = (0, 0);
        loop {
            match self.replication.target.get(&record.id).await {
                Ok(now) if !is_in_transit(now.status) => return Ok(now),
                Ok(now) if begin.elapsed() >= retries.settling => {
                    return Err(CopyError::busy(now.status));
                }
                Ok(_) => failures = 0,
                Err(error) if error.kind == StoreErrorKind::NotFound => {
                    return Err(CopyError::IdUnavailable(error));
                }
                Err(error) if error.kind.is_retryable() && failures < retries.low_level => {
                    failures += 1;
                }
                Err(error) => return Err(CopyError::Target(error)),
            }
            retries.pauses.after(polls).await;
            polls += 1;
        }
    }

    /// Bad source data makes the upload fail, so the verdict on the data is checked first.
    fn blame(&self, verdict: &DataVerdict, error: StoreError) -> CopyError {
        match verdict.fault() {
            Some(DataFault::LeftBehind { got }) => {
                CopyError::LeftBehind { target_store: self.replication.target.to_string(), got }
            }
            Some(fault @ DataFault::Spool { .. }) => CopyError::Spool(fault),
            Some(fault) => {
                CopyError::Data { source_store: self.replication.source.to_string(), fault }
            }
            None => CopyError::Target(error),
        }
    }
}

/// Whether data with `begun` bytes of an earlier upload in front failed in a way that those bytes
/// may have caused.
fn is_of_no_use(begun: u64, failure: &CopyError) -> bool {
    match failure {
        CopyError::Data { fault: DataFault::Digest { .. }, .. } => begun > 0,
        CopyError::Data {
            fault: DataFault::Interrupted { got, .. } | DataFault::Damaged { got, .. },
            ..
        } => *got < begun,
        _ => false,
    }
}

fn is_renewed(failure: &CopyError) -> bool {
    matches!(failure, CopyError::Target(error) if error.kind == StoreErrorKind::CredentialsRenewed)
}

fn is_in_transit(status: Status) -> bool {
    matches!(status, Status::Saving | Status::Uploading | Status::Importing)
}
