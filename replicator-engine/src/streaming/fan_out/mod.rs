//! Fan-out: one read of an image's data for several targets.
//!
//! A share that has no group is read and verified at its target's own pace. Shares of one group
//! follow a single read: verified data stays in a window in memory, and beyond that in the spool,
//! until all followers have taken it.

use std::sync::Arc;

use futures_util::stream::StreamExt;

use glance_core::body::Body;
use glance_core::digest::Hashers;
use glance_core::image::Image;
use glance_core::store::StoreError;

use crate::error::CopyError;
use crate::replication::Replication;
use crate::spool::SpoolWhen;
use crate::streaming::resume::ResumableRead;
use glance_core::verified_body::{DataVerdict, Expected, checked};

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
    pub(crate) fn each(replications: &[&Replication], image: &Image) -> Vec<Self> {
        let Some(first) = replications.first() else { return Vec::new() };
        let always = first.policy.spool.when == SpoolWhen::Always;
        let readings = replications.iter().map(|replication| SourceRead::of(replication, image));
        if replications.len() == 1 && !always {
            return readings.map(|reading| Self { reading, group: None }).collect();
        }
        let mut common = SourceRead::of(first, image);
        common.expected.also = readings.clone().flat_map(|it| it.expected.also).collect();
        let group =
            Arc::new(SharedRead::new(common, first.policy.spool.clone(), replications.len()));
        let place = || Seat { group: Arc::clone(&group), awaited: true };
        readings.map(|reading| Self { reading, group: Some(place()) }).collect()
    }

    /// A share that is read for one target only.
    pub(crate) fn alone(replication: &Replication, image: &Image) -> Self {
        let reading = SourceRead::of(replication, image);
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
    splice: ResumableRead,
    expected: Expected,
    hashers: Hashers,
}

impl SourceRead {
    fn of(replication: &Replication, image: &Image) -> Self {
        let policy = &replication.policy;
        let missing = policy.target_digests.missing(&replication.target, image);
        Self {
            splice: ResumableRead::new(&replication.source, image, policy),
            expected: Expected { also: missing.into_iter().collect(), ..Expected::of(image) },
            hashers: policy.hashers,
        }
    }

    /// Opens the data, with `begun` as its first bytes if they are usable.
    async fn open(&self, begun: Body) -> Result<Opened, StoreError> {
        let begun = if self.can_go_on(&begun) { begun } else { Body::empty() };
        let offset = begun.size().unwrap_or_default();
        let rest = self.splice.read(offset).await?;
        let size = rest.size().map(|size| offset.saturating_add(size));
        let data = match offset {
            0 => rest,
            _ => Body::from_stream(begun.chain(rest), size),
        };
        let (data, verdict) = checked(data, self.expected.clone(), self.hashers);
        Ok(Opened { data, verdict, begun: offset })
    }

    /// Whether `begun` can be the beginning of the data, and a digest will prove the result.
    fn can_go_on(&self, begun: &Body) -> bool {
        let fits = begun.size() <= self.expected.size;
        fits && self.expected.digest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use bytes::Bytes;
    use futures_util::future::{join, join_all};
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::testing::{FaultySource, data};
    use crate::{Policy, Retries, Spool};
    use glance_core::store::ImageStore;
    use glance_core::store::memory::MemoryStore;
    use glance_core::verified_body::DataFault;

    /// Larger than a window.
    const LENGTH: usize = 40 << 20;

    struct Setting {
        flaky: Arc<FaultySource>,
        image: Image,
        replications: Vec<Replication>,
    }

    impl Setting {
        async fn new(targets: usize, spool: Spool) -> Self {
            let (flaky, image) = FaultySource::with_image(LENGTH).await;
            Self::of(flaky, image, targets, spool)
        }

        fn of(flaky: FaultySource, image: Image, targets: usize, spool: Spool) -> Self {
            let flaky = Arc::new(flaky);
            let policy = Policy { spool, retries: Retries::NONE, ..Policy::default() };
            let replication = |number| Replication {
                source: Arc::clone(&flaky) as Arc<dyn ImageStore>,
                target: Arc::new(MemoryStore::new(format!("target {number}"))),
                policy: policy.clone(),
            };
            let replications = (0..targets).map(replication).collect();
            Self { flaky, image, replications }
        }

        /// The same without digests: tokio's paused clock does not advance while a digest is
        /// computed on another thread.
        async fn without_digests(targets: usize, spool: Spool) -> Self {
            let (flaky, image) = FaultySource::with_image(LENGTH).await;
            let image = Image { checksum: None, os_hash_value: None, ..image };
            let mut setting = Self::of(flaky, image, targets, spool);
            for replication in &mut setting.replications {
                replication.policy.hashers = Hashers::new(|_| None);
            }
            setting
        }

        fn shares(&self) -> Vec<Subscription> {
            Subscription::each(&self.replications.iter().collect::<Vec<_>>(), &self.image)
        }
    }

    fn spool(when: SpoolWhen, directory: &tempfile::TempDir) -> Spool {
        Spool::new(when, directory.path(), u64::MAX)
    }

    async fn open(share: &mut Subscription) -> Opened {
        share.open(Body::empty()).await.unwrap()
    }

    /// Takes all of the data, with a pause after each chunk.
    async fn take(opened: Opened, pause: Duration) -> Result<Vec<u8>, (usize, DataFault)> {
        let Opened { mut data, verdict, .. } = opened;
        let mut taken = Vec::new();
        while let Some(chunk) = data.next().await {
            match chunk {
                Ok(chunk) => taken.extend_from_slice(&chunk),
                Err(_) => return Err((taken.len(), verdict.fault().unwrap())),
            }
            if !pause.is_zero() {
                sleep(pause).await;
            }
        }
        assert!(verdict.digests().is_some());
        Ok(taken)
    }

    async fn take_all(
        share: &mut Subscription,
        pause: Duration,
    ) -> Result<Vec<u8>, (usize, DataFault)> {
        take(open(share).await, pause).await
    }

    const AT_ONCE: Duration = Duration::ZERO;
    /// At this pause a target takes 2 MiB/s.
    const SLOWLY: Duration = Duration::from_millis(125);

    #[tokio::test]
    async fn several_targets_follow_one_reading() {
        for when in [SpoolWhen::Never, SpoolWhen::Auto, SpoolWhen::Always] {
            let directory = tempfile::tempdir().unwrap();
            let setting = Setting::new(4, spool(when, &directory)).await;
            let mut shares = setting.shares();
            // One share is dropped before the start, another in the middle.
            drop(shares.pop());
            let mut last = shares.pop().unwrap();
            let some = async {
                let data = open(&mut last).await.data;
                data.take(100).count().await
            };
            let all = join_all(shares.iter_mut().map(|share| take_all(share, AT_ONCE)));
            let (some, all) = join(some, all).await;
            assert_eq!(some, 100);
            for taken in all {
                assert!(taken.unwrap() == data(LENGTH));
            }
            assert_eq!(setting.flaky.given(), LENGTH as u64, "{when:?}");
        }
    }

    #[tokio::test]
    async fn bad_data_is_completed_by_nobody() {
        let (flaky, image) = FaultySource::with_image(LENGTH).await;
        let image = Image { os_hash_value: Some("0".repeat(128)), ..image };
        let setting = Setting::of(flaky, image, 2, Spool::default());
        let mut shares = setting.shares();
        for taken in join_all(shares.iter_mut().map(|share| take_all(share, AT_ONCE))).await {
            let (length, fault) = taken.unwrap_err();
            assert!(length < LENGTH && matches!(fault, DataFault::Digest { .. }), "{fault}");
        }
    }

    #[tokio::test]
    async fn a_source_that_gives_nothing_is_everybodys_failure() {
        let setting = Setting::new(3, Spool::default()).await;
        setting.flaky.refusals.store(9, Ordering::SeqCst);
        let mut shares = setting.shares();
        for opened in join_all(shares.iter_mut().map(|share| share.open(Body::empty()))).await {
            let CopyError::Source(error) = opened.unwrap_err() else { panic!("the source did it") };
            assert!(error.to_string().contains("on purpose"), "{error}");
        }
        assert_eq!(setting.flaky.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_target_is_left_behind_and_reads_for_itself_afterwards() {
        let setting = Setting::without_digests(2, Spool::default()).await;
        let mut shares = setting.shares();
        let (slow, fast) = shares.split_at_mut(1);
        let begin = Instant::now();
        // The slow target takes almost nothing.
        let pause = Duration::from_secs(10);
        let (left, taken) =
            join(take_all(&mut slow[0], pause), take_all(&mut fast[0], AT_ONCE)).await;
        assert!(taken.unwrap() == data(LENGTH));
        let (length, fault) = left.unwrap_err();
        assert_eq!(fault, DataFault::LeftBehind { got: length as u64 });
        assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
        assert!(take_all(&mut slow[0], AT_ONCE).await.unwrap() == data(LENGTH));
        assert_eq!(setting.flaky.given(), 2 * LENGTH as u64);
    }

    #[tokio::test(start_paused = true)]
    async fn with_a_spool_nobody_waits_for_a_slow_target_and_it_gets_all() {
        let directory = tempfile::tempdir().unwrap();
        let spool = spool(SpoolWhen::Auto, &directory);
        let setting = Setting::without_digests(3, spool).await;
        let mut shares = setting.shares();
        let begin = Instant::now();
        let work =
            shares.iter_mut().zip([SLOWLY, AT_ONCE, AT_ONCE]).map(|(share, pause)| async move {
                assert!(take_all(share, pause).await.unwrap() == data(LENGTH));
                begin.elapsed()
            });
        let ended = join_all(work).await;
        assert!(
            ended[0] > Duration::from_secs(15) && ended[1] < Duration::from_secs(1),
            "{ended:?}"
        );
        assert_eq!(setting.flaky.given(), LENGTH as u64);
    }

    #[tokio::test(start_paused = true)]
    async fn a_spool_without_room_ends_no_reading_unless_all_is_to_be_kept() {
        let directory = tempfile::tempdir().unwrap();
        let little = Spool::new(SpoolWhen::Auto, directory.path(), 5 << 20);
        let setting = Setting::without_digests(2, little).await;
        let mut shares = setting.shares();
        let (slow, fast) = shares.split_at_mut(1);
        // The slow target gets the spooled data, and then the others go on without it.
        let pause = Duration::from_secs(2);
        let (left, taken) =
            join(take_all(&mut slow[0], pause), take_all(&mut fast[0], AT_ONCE)).await;
        assert!(taken.unwrap() == data(LENGTH));
        assert!(matches!(left.unwrap_err().1, DataFault::LeftBehind { .. }));

        let little = Spool::new(SpoolWhen::Always, directory.path(), 5 << 20);
        let setting = Setting::without_digests(1, little).await;
        let (_, fault) = take_all(&mut setting.shares()[0], AT_ONCE).await.unwrap_err();
        let said = fault.to_string();
        assert!(said.contains(&directory.path().display().to_string()), "{said}");
        assert!(said.contains("more than 5242880 bytes"), "{said}");
    }

    #[tokio::test]
    async fn who_lost_it_gets_what_is_kept_and_the_source_gives_it_once() {
        for targets in [1, 2] {
            let directory = tempfile::tempdir().unwrap();
            let setting = Setting::new(targets, spool(SpoolWhen::Always, &directory)).await;
            let mut shares = setting.shares();
            let all = shares.iter_mut().map(|share| async move {
                // Before the window has moved on, afterwards, and at the very end.
                for chunks in [1, 120, 158] {
                    let first: Vec<_> = open(share).await.data.take(chunks).collect().await;
                    let first: Vec<Bytes> = first.into_iter().map(Result::unwrap).collect();
                    assert!(data(LENGTH).starts_with(&first.concat()));
                }
                take_all(share, AT_ONCE).await.unwrap()
            });
            for taken in join_all(all).await {
                assert!(taken == data(LENGTH));
            }
            assert_eq!(setting.flaky.given(), LENGTH as u64, "{targets}");
            assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever_for_one_that_is_not_opened() {
        let setting = Setting::without_digests(3, Spool::default()).await;
        let mut shares = setting.shares();
        shares[1].leave();
        let begin = Instant::now();
        assert!(take_all(&mut shares[0], AT_ONCE).await.unwrap() == data(LENGTH));
        assert!(begin.elapsed() >= Duration::from_secs(10));
        // Too late for the same read.
        assert!(take_all(&mut shares[2], AT_ONCE).await.unwrap() == data(LENGTH));
        assert!(take_all(&mut shares[1], AT_ONCE).await.unwrap() == data(LENGTH));
        assert_eq!(setting.flaky.given(), 3 * LENGTH as u64);
    }

    #[tokio::test]
    async fn what_the_target_has_is_not_read_again() {
        let setting = Setting::new(1, Spool::default()).await;
        for begun in [0, 1, 30 << 20, LENGTH] {
            let before = setting.flaky.given();
            let mut share = setting.shares().remove(0);
            let opened = share.open(data(LENGTH).slice(..begun).into()).await.unwrap();
            assert_eq!((opened.begun, opened.data.size()), (begun as u64, Some(LENGTH as u64)));
            assert!(take(opened, AT_ONCE).await.unwrap() == data(LENGTH));
            assert_eq!(setting.flaky.given() - before, (LENGTH - begun) as u64);
        }
    }
}
