use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use tokio::time::{sleep, timeout};

use glance_core::body::Body;
use glance_core::image::Attributes;
use glance_core::store::memory::MemoryStore;
use glance_core::store::{ImageStore, ImageStoreExt};
use glance_core::transport::backoff::Backoff;

use super::*;
use crate::testing::{FaultySource, data};
use crate::{Done, Outcome, Policy, Replication, Retries, run_all};

/// Lines that describe events.
type Log = Arc<Mutex<Vec<String>>>;

/// A receiver that writes a line for each event.
fn recorded(line: impl Fn(&Event<'_>) -> Option<String> + Send + Sync + 'static) -> (Events, Log) {
    let log = Log::default();
    let lines = Arc::clone(&log);
    let events = Events::to(move |event| lines.lock().unwrap().extend(line(event)));
    (events, log)
}

fn lines(log: &Log) -> Vec<String> {
    log.lock().unwrap().clone()
}

/// The events of images as words, with the image's name.
fn words(event: &Event<'_>) -> Option<String> {
    let name = |image: &Image| image.attributes.name.clone().unwrap_or_default();
    Some(match event {
        Event::Listed { images, bytes, missing, missing_bytes, done: true } => {
            format!("listed {images} ({bytes}), missing {missing} ({missing_bytes})")
        }
        Event::Planned { target, image, state, action, bytes } => {
            format!("{} {target} planned: {state}, {action} {bytes}", name(image))
        }
        Event::Started { target, image, attempt } => {
            format!("{} {target} started {attempt}", name(image))
        }
        Event::Verified { target, image, by, stored, in_transit } => {
            assert_eq!(stored.size, image.size);
            let digests = in_transit.map_or(0, |digests| digests.len());
            format!("{} {target} verified: {by:?}, {digests} digests", name(image))
        }
        Event::Finished { target, outcome, spent } => {
            let Outcome { image, result, .. } = outcome;
            let (read, sent) = (spent.read, spent.sent);
            let done = result.as_ref().map_or("failed".to_owned(), |done| format!("{done:?}"));
            format!("{} {target} finished: {done}, {read} read, {sent} sent", name(image))
        }
        Event::Retrying { target, side, retry, .. } => {
            let Retry { attempt, of, pause, reason } = retry;
            let pause = if pause.is_some() { "" } else { " at the end" };
            format!("retrying{pause} {side:?} {target:?} {attempt}/{of}: {reason}")
        }
        _ => return None,
    })
}

async fn add(store: &MemoryStore, name: &str, data: Bytes) -> Image {
    let attributes = Attributes { name: Some(name.to_owned()), ..Attributes::default() };
    let image = store.create(&Image::queued(ImageId::random(), attributes)).await.unwrap();
    store.upload(&image.id, Body::from(data)).await.unwrap()
}

fn policy(events: Events) -> Policy {
    let retries = Retries { low_level: 2, per_run: 1, pauses: Backoff::NONE, ..Retries::default() };
    Policy { events, retries, ..Policy::default() }
}

#[tokio::test]
async fn a_run_tells_its_totals_and_each_image_in_order() {
    let (events, log) = recorded(words);
    let source = Arc::new(MemoryStore::new("source"));
    let targets = [0, 1].map(|number| Arc::new(MemoryStore::new(format!("target {number}"))));
    let replication = |number: usize| Replication {
        source: Arc::clone(&source) as Arc<dyn ImageStore>,
        target: Arc::clone(&targets[number]) as Arc<dyn ImageStore>,
        policy: policy(events.clone()),
    };
    add(&source, "old", data(1000)).await;
    let first = run_all(&[replication(0)], |_, _| ()).await;
    assert!(first[0].is_ok());
    log.lock().unwrap().clear();
    add(&source, "new", data(5000)).await;

    let mut outcomes = 0;
    let ends = run_all(&[replication(0), replication(1)], |_, _| outcomes += 1).await;
    assert!(ends.iter().all(Result::is_ok) && outcomes == 4);
    let lines = lines(&log);
    assert!(lines.contains(&"listed 2 (6000), missing 2 (6000)".to_owned()), "{lines:#?}");
    let of = |image: &str| -> Vec<&str> {
        let of_image = lines.iter().filter(|line| line.starts_with(image));
        of_image.map(String::as_str).collect()
    };
    let (old, new) = (of("old"), of("new"));
    assert_eq!(old[..2], ["old 0 planned: same, nothing 0", "old 1 planned: missing, copy 1000"]);
    assert!(old.contains(&"old 0 finished: InPlace, 0 read, 0 sent"), "{old:#?}");
    assert!(old.contains(&"old 1 finished: Copied, 1000 read, 1000 sent"), "{old:#?}");
    assert!(!old.contains(&"old 0 started 1"));
    for target in [0, 1] {
        let of_target: Vec<_> = new.iter().filter(|line| line[4..].starts_with(&target.to_string())).collect();
        let wanted = [
            "planned: missing, copy 5000",
            "started 1",
            "verified: Digest(\"sha512\"), 1 digests",
            "finished: Copied, 5000 read, 5000 sent",
        ];
        assert!(of_target.iter().map(|line| &line[6..]).eq(wanted), "{of_target:#?}");
    }
}

#[tokio::test]
async fn retries_are_told_with_their_side_number_and_reason() {
    let (events, log) = recorded(words);
    let (source, image) = FaultySource::with_image(3000).await;
    let source = Arc::new(source.breaks(1, 1000));
    source.refusals.store(4, Ordering::SeqCst);
    let target: Arc<dyn ImageStore> = Arc::new(MemoryStore::new("target"));
    let replication = Replication {
        source: Arc::clone(&source) as Arc<dyn ImageStore>,
        target: Arc::clone(&target),
        policy: policy(events),
    };
    let mut done = Vec::new();
    replication.run(|outcome| done.push(outcome.result)).await.unwrap();
    assert!(matches!(done[..], [Ok(Done::Copied)]), "{done:?}");
    assert!(target.find(&image.id).await.unwrap().is_some());
    let lines = lines(&log);
    let wanted = [
        "retrying Source None 2/3: ",
        "retrying Source None 3/3: ",
        "retrying at the end Source Some(0) 2/2: ",
        "retrying Source None 2/3: ",
        "retrying Source None 3/3: it broke off on purpose",
    ];
    let retries: Vec<_> = lines.iter().filter(|line| line.contains("retrying")).collect();
    let agree = retries.iter().zip(wanted).filter(|(line, wanted)| line.starts_with(wanted));
    assert_eq!((agree.count(), retries.len()), (5, 5), "{retries:#?}");
    assert!(retries[0].ends_with("on purpose"), "{retries:#?}");
    assert!(lines.contains(&" 0 started 2".to_owned()), "{lines:#?}");
    // Bytes of the interrupted reads count as often as they were read.
    assert!(lines.last().unwrap().ends_with("finished: Copied, 3000 read, 3000 sent"), "{lines:#?}");
}

/// A meter for one target, and the lines about stalls and progress.
fn metered(limits: SilenceLimits) -> (Meter, Log) {
    let (events, log) = recorded(|event| match event {
        Event::Stalled { target, side, silent, gives_up_in, .. } => {
            let left = gives_up_in.map(|left| left.as_secs());
            Some(format!("{side:?} {target:?} {} {left:?}", silent.as_secs()))
        }
        Event::Progress { progress, .. } => Some(progress.targets[0].activity.to_string()),
        _ => None,
    });
    let image = Image::queued(ImageId::random(), Attributes::default());
    let meter = Meter::each(&events.with_limits(limits), &image, &[4]).pop().unwrap();
    (meter, log)
}

const MINUTES: u64 = 60;

fn limits() -> SilenceLimits {
    let minutes = |number| Some(Duration::from_secs(number * MINUTES));
    SilenceLimits { source: minutes(1), target: minutes(2), storing: minutes(3) }
}

/// Data of `chunks` chunks that come at once, after which the source is silent.
fn silent_after(chunks: usize) -> Body {
    let chunks = stream::iter((0..chunks).map(|_| Ok(Bytes::from_static(b"0123456789"))));
    Body::from_stream(chunks.chain(stream::pending()), Some(30))
}

#[tokio::test(start_paused = true)]
async fn a_silent_source_is_named_after_five_seconds() {
    let (meter, log) = metered(limits());
    let mut data = meter.sending(0, meter.arriving(0, silent_after(1)));
    let work = async { while data.next().await.is_some() {} };
    let _ = timeout(Duration::from_secs(8), watched(&meter, work)).await;
    let lines = lines(&log);
    let stalls: Vec<_> = lines.iter().filter(|line| line.starts_with("Source")).collect();
    assert_eq!(stalls[..2], ["Source None 5 Some(55)", "Source None 6 Some(54)"], "{lines:?}");
    assert!(lines.contains(&"waiting for the source".to_owned()), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_target_is_named_and_a_target_that_stores_gets_more_time() {
    for (chunks, activity, stalls) in [
        (1, "waiting for the target", vec!["Target Some(4) 5 Some(115)"]),
        (3, "target stores", vec![]),
    ] {
        let (meter, log) = metered(limits());
        let mut data = meter.sending(0, meter.arriving(0, silent_after(3)));
        let work = async {
            for _ in 0..chunks {
                data.next().await;
            }
            sleep(Duration::from_millis(5900)).await;
            meter.answered();
        };
        watched(&meter, work).await;
        let lines = lines(&log);
        let found: Vec<_> = lines.iter().filter(|line| line.starts_with("Target")).collect();
        assert_eq!(found, stalls, "{lines:?}");
        assert!(lines.contains(&activity.to_owned()), "{lines:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_pause_before_a_retry_is_not_a_stall() {
    let (meter, log) = metered(limits());
    let mut data = meter.sending(0, meter.arriving(0, silent_after(1)));
    let work = async { while data.next().await.is_some() {} };
    let retry = Retry::after(0, 10, Duration::from_secs(20), "503 Service Unavailable");
    meter.retrying(Side::Source, &retry);
    let _ = timeout(Duration::from_secs(23), watched(&meter, work)).await;
    assert!(!lines(&log).iter().any(|line| line.starts_with("Source")), "{:?}", lines(&log));
}

#[tokio::test(start_paused = true)]
async fn waits_are_attributed_and_progress_is_not_told_too_often() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let events = Events::to(move |event| {
        if let Event::Progress { progress, .. } = event {
            log.lock().unwrap().push((*progress).clone());
        }
    });
    let image = Image::queued(ImageId::random(), Attributes::default());
    let meter = Meter::each(&events, &image, &[0]).pop().unwrap();
    let slow = stream::iter(0..300).then(|_| async {
        sleep(Duration::from_millis(10)).await;
        Ok(Bytes::from_static(b"0123456789"))
    });
    let data = Body::from_stream(slow.boxed(), Some(3000));
    let mut data = meter.sending(1000, meter.arriving(1000, data));
    let work = async {
        while data.next().await.is_some() {
            sleep(Duration::from_millis(2)).await;
        }
        meter.answered();
    };
    watched(&meter, work).await;
    meter.flush();
    let seen = seen.lock().unwrap();
    let last = seen.last().unwrap();
    assert_eq!(last.read, Moved { total: 3000, position: 4000 });
    // The target had the first 1000 bytes before.
    assert_eq!(last.targets[0].sent, Moved { total: 2000, position: 3000 });
    let Waited { source, targets, .. } = last.waited;
    assert!((2.9..3.4).contains(&source.as_secs_f64()), "{source:?}");
    assert!((0.5..0.8).contains(&targets.as_secs_f64()), "{targets:?}");
    assert!(seen.iter().all(|progress| progress.waited.processor.is_zero()));
    assert!((15..25).contains(&seen.len()), "{}", seen.len());
    assert!(seen[5..10].iter().all(|it| it.targets[0].activity == Activity::Reading));
}
