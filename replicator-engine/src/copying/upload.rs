//! Uploads data into a record until the target has stored or rejected it.
//!
//! A failed upload request is not final. The connection may break after the last byte, or a proxy
//! may time out while Glance is still storing the data. If data was lost, Glance sets the record
//! back to `queued`, and the same record accepts another upload. The status of the record shows the
//! result of an upload.

use tokio::time::Instant;

use glance_core::body::Body;
use glance_core::error::one_line;
use glance_core::image::{Image, Status};
use glance_core::store::{StoreError, StoreErrorKind};
use glance_core::transport::backoff::Backoff;

use crate::planning::content_difference;
use crate::streaming::fan_out::{Opened, Subscription};
use crate::{CopyError, Replication};
use glance_core::verified_body::{DataFault, DataVerdict};

impl Replication {
    /// Uploads the data, and uploads it again if the target lost it.
    pub(crate) async fn transfer(
        &self,
        image: &Image,
        record: &Image,
        share: &mut Subscription,
        mut opened: Opened,
    ) -> Result<(Image, DataVerdict), CopyError> {
        let (retries, stop) = (&self.policy.retries, &self.policy.stop);
        let (mut failures, mut renewed) = (0, false);
        loop {
            let Opened { data, verdict, begun } = opened;
            let data = self.policy.pacing.sent(begun, data);
            let target = self.target_of(image);
            let send = |data| target.upload(&record.id, data);
            let failure = match stop.unless_broken_off_within(data, send).await {
                None => return Err(CopyError::BrokenOff),
                Some(Ok(stored)) => {
                    self.policy.target_digests.note(&self.target, &stored);
                    return Ok((stored, verdict));
                }
                Some(Err(error)) => self.blame(&verdict, error),
            };
            if is_of_no_use(begun, &failure) {
                let id = &image.id;
                tracing::info!(image = %id, "{}; getting all of it again", chain(&failure));
                opened = self.unless_broken_off(share.open(Body::empty())).await?;
                continue;
            }
            let outcome = self.outcome(image, record, failure);
            let failure = match self.unless_broken_off(outcome).await? {
                Left::Stored(stored) => return Ok((stored, verdict)),
                Left::Queued(failure) => failure,
            };
            // A renewed token helps with the next attempt or not at all.
            let (may_go_on, pause) = match is_renewed(&failure) {
                true => (!std::mem::replace(&mut renewed, true), Backoff::NONE),
                false => (failures < retries.per_image, retries.pauses),
            };
            if !may_go_on {
                return Err(failure);
            }
            tracing::info!(image = %image.id, "{}; sending it again", chain(&failure));
            let again = async {
                pause.after(failures).await;
                share.open(self.partial_data(record).await?).await
            };
            opened = self.unless_broken_off(again).await?;
            failures += 1;
        }
    }

    /// The data at the target of an earlier, incomplete upload to this record.
    pub(crate) async fn partial_data(&self, record: &Image) -> Result<Body, CopyError> {
        self.target.partial_data(&record.id).await.map_err(CopyError::Target)
    }

    /// Finds out what a failed upload left at the target. Data that the target rejected is not sent
    /// again: after status 415 Glance keeps the data, and the record accepts no other.
    async fn outcome(
        &self,
        image: &Image,
        record: &Image,
        failure: CopyError,
    ) -> Result<Left, CopyError> {
        let conflict = match &failure {
            CopyError::Target(error) if error.kind == StoreErrorKind::Conflict => true,
            CopyError::Target(error) if error.kind.is_retryable() => false,
            CopyError::LeftBehind { .. } => false,
            _ => return Err(failure),
        };
        let now = match self.settled(record).await {
            Err(CopyError::Target(error)) => {
                tracing::info!(image = %image.id, "what became of the upload is not known: {error}");
                return Err(failure);
            }
            now => now?,
        };
        match (now.status, content_difference(image, &now)) {
            (Status::Queued, _) => Ok(Left::Queued(failure)),
            // Another client's upload to the same record completed first.
            (_, Some(difference)) if conflict => Err(CopyError::content_differs(difference)),
            (status, _) if status.has_data() => Ok(Left::Stored(now)),
            _ => Err(failure),
        }
    }

    /// Polls the record until the target has finished or given up an upload to it.
    async fn settled(&self, record: &Image) -> Result<Image, CopyError> {
        let retries = &self.policy.retries;
        let begin = Instant::now();
        let (mut polls, mut failures) = (0, 0);
        loop {
            match self.target.get(&record.id).await {
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

    /// Runs `work`, which may take long and can be cancelled safely, unless the run is told to
    /// break off first.
    pub(crate) async fn unless_broken_off<T>(
        &self,
        work: impl Future<Output = Result<T, CopyError>>,
    ) -> Result<T, CopyError> {
        let done = self.policy.stop.unless_broken_off(work).await;
        done.unwrap_or(Err(CopyError::BrokenOff))
    }

    /// Bad source data makes the upload fail, so the verdict on the data is checked first.
    fn blame(&self, verdict: &DataVerdict, error: StoreError) -> CopyError {
        match verdict.fault() {
            Some(DataFault::LeftBehind { got }) => {
                CopyError::LeftBehind { target_store: self.target.to_string(), got }
            }
            Some(fault @ DataFault::Spool { .. }) => CopyError::Spool(fault),
            Some(fault) => CopyError::Data { source_store: self.source.to_string(), fault },
            None => CopyError::Target(error),
        }
    }
}

/// The state that a failed upload left at the target.
enum Left {
    /// The whole image is stored; only the response was lost.
    Stored(Image),
    /// The record accepts another upload; the error is the reason for it.
    Queued(CopyError),
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

/// An error and its causes as one line for messages.
pub(crate) fn chain(error: &CopyError) -> String {
    one_line(error)
}
