//! Fan-out: one read of an image's data for several targets.
//!
//! A share that has no group is read and verified at its target's own speed. Shares of one group
//! follow a single read: verified data stays in a window in memory, and beyond that in the spool,
//! until all followers have taken it.

use std::sync::Arc;

use futures_util::stream::StreamExt;

use glance_core::body::Body;
use glance_core::digest::Hashers;
use glance_core::image::Image;
use glance_core::store::StoreError;

use crate::error::CopyError;
use crate::events::Meter;
use crate::replication::Replication;
use crate::spool::SpoolWhen;
use crate::streaming::resume::ResumableRead;
use glance_core::verified_body::{DataVerdict, Expected, checked_timed};

mod group;
mod window;

use group::SharedRead;

/// One target's share of a read of the source.
#[derive(Debug)]
pub(crate) struct Subscription {
    reading: SourceRead,
    group: Option<Seat>,
}

/// The place of a share in its group. The group does not wait for a dropped place.
#[derive(Debug)]
struct Seat {
    group: Arc<SharedRead>,
    /// Whether the group still waits for this share to be opened.
    awaited: bool,
}

/// The data of an image as it arrives, and the verdict on it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) data: Body,
    pub(crate) verdict: DataVerdict,
    /// Number of leading bytes that come from the target itself.
    pub(crate) begun: u64,
}

impl Subscription {
    /// One share of the data of `image` for each of `replications`, which must have the same
    /// source. The data is read once for all shares that are opened shortly after one another. They
    /// must be polled concurrently: opening a share waits until the others are opened or dropped.
    pub(crate) fn each(replications: &[&Replication], image: &Image, meter: &Meter) -> Vec<Self> {
        let Some(first) = replications.first() else { return Vec::new() };
        let always = first.policy.spool.when == SpoolWhen::Always;
        let readings = replications.iter().map(|one| SourceRead::of(one, image, meter));
        if replications.len() == 1 && !always {
            return readings.map(|reading| Self { reading, group: None }).collect();
        }
        let mut common = SourceRead::of(first, image, meter);
        common.expected.also = readings.clone().flat_map(|it| it.expected.also).collect();
        let group =
            Arc::new(SharedRead::new(common, first.policy.spool.clone(), replications.len()));
        let place = || Seat { group: Arc::clone(&group), awaited: true };
        readings.map(|reading| Self { reading, group: Some(place()) }).collect()
    }

    /// A share that is read for one target only.
    pub(crate) fn alone(replication: &Replication, image: &Image, meter: &Meter) -> Self {
        let reading = SourceRead::of(replication, image, meter);
        let spool = &replication.policy.spool;
        let group = (spool.when == SpoolWhen::Always).then(|| Seat {
            group: Arc::new(SharedRead::new(reading.clone(), spool.clone(), 1)),
            awaited: true,
        });
        Self { reading, group }
    }

    /// Opens the data from its beginning. `begun` holds the first bytes that the target already has
    /// from an earlier upload; usable bytes are not read from the source again. Can be called again
    /// after an upload broke off.
    ///
    /// # Errors
    /// When the source does not deliver the data.
    pub(crate) async fn open(&mut self, begun: Body) -> Result<Opened, CopyError> {
        if let Some(place) = &mut self.group {
            let awaited = std::mem::take(&mut place.awaited);
            if let Some(opened) = place.group.join(awaited).await? {
                return Ok(opened);
            }
        }
        self.reading.open(begun).await.map_err(CopyError::Source)
    }

    /// Stops the group from waiting for this share, because the target gets its data in another way
    /// for now. The share can still be opened later.
    pub(crate) fn leave(&mut self) {
        if let Some(place) = &mut self.group {
            place.leave();
        }
    }
}

impl Seat {
    fn leave(&mut self) {
        if std::mem::take(&mut self.awaited) {
            self.group.one_less();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}

/// How to read and verify the data of one image.
#[derive(Debug, Clone)]
struct SourceRead {
    read: ResumableRead,
    expected: Expected,
    hashers: Hashers,
    meter: Meter,
}

impl SourceRead {
    fn of(replication: &Replication, image: &Image, meter: &Meter) -> Self {
        let policy = &replication.policy;
        let missing = policy.target_digests.missing(&replication.target, image);
        Self {
            read: ResumableRead::new(&replication.source, image, policy).metered(meter),
            expected: Expected { also: missing.into_iter().collect(), ..Expected::of(image) },
            hashers: policy.hashers,
            meter: meter.clone(),
        }
    }

    /// Opens the data, with `begun` as its first bytes if they are usable.
    async fn open(&self, begun: Body) -> Result<Opened, StoreError> {
        let begun = if self.can_go_on(&begun) { begun } else { Body::empty() };
        let offset = begun.size().unwrap_or_default();
        let rest = self.read.read(offset).await?;
        let size = rest.size().map(|size| offset.saturating_add(size));
        let data = if offset == 0 { rest } else { Body::from_stream(begun.chain(rest), size) };
        let waited = self.meter.digests();
        let (data, verdict) = checked_timed(data, self.expected.clone(), self.hashers, &waited);
        Ok(Opened { data, verdict, begun: offset })
    }

    /// Whether `begun` can be the beginning of the data, and a digest will prove the result.
    fn can_go_on(&self, begun: &Body) -> bool {
        let fits = begun.size() <= self.expected.size;
        fits && self.expected.digest.is_some()
    }
}

#[cfg(test)]
mod tests;
