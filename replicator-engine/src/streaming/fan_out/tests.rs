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
        Subscription::each(&self.replications.iter().collect::<Vec<_>>(), &self.image, &Meter::default())
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
    let (left, taken) = join(take_all(&mut slow[0], pause), take_all(&mut fast[0], AT_ONCE)).await;
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
    let work = shares.iter_mut().zip([SLOWLY, AT_ONCE, AT_ONCE]).map(|(share, pause)| async move {
        assert!(take_all(share, pause).await.unwrap() == data(LENGTH));
        begin.elapsed()
    });
    let ended = join_all(work).await;
    assert!(ended[0] > Duration::from_secs(15) && ended[1] < Duration::from_secs(1), "{ended:?}");
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
    let (left, taken) = join(take_all(&mut slow[0], pause), take_all(&mut fast[0], AT_ONCE)).await;
    assert!(taken.unwrap() == data(LENGTH));
    assert!(matches!(left.unwrap_err().1, DataFault::LeftBehind { .. }));

    let little = Spool::new(SpoolWhen::Always, directory.path(), 5 << 20);
    let setting = Setting::without_digests(1, little).await;
    let (_, fault) = take_all(&mut setting.shares()[0], AT_ONCE).await.unwrap_err();
    let message = fault.to_string();
    assert!(message.contains(&directory.path().display().to_string()), "{message}");
    assert!(message.contains("limit of 5242880 bytes"), "{message}");
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
