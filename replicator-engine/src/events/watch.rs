//! Watches the copy of one image: reports its progress and its stalls, and finds what limits it.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::meter::{CopyMeter, Meter, Phase, TargetMeter};
use super::{Activity, Event, Progress, Side, TargetProgress, Waited};

/// Does `work` and watches the copy meanwhile.
pub(crate) async fn watched<T>(meter: &Meter, work: impl Future<Output = T>) -> T {
    let Some(copy) = meter.copy() else { return work.await };
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = ticks.tick() => copy.watch().tick(copy),
        }
    }
}

/// What the watch has seen of a copy.
#[derive(Debug)]
pub(super) struct Watch {
    /// What was reported last.
    reported: Option<Progress>,
    /// The waits that were attributed to a cause.
    waited: Waited,
    /// The activity at each target.
    activities: Vec<Activity>,
    window: Window,
    /// When a stall was last looked for.
    looked: Instant,
}

/// The measurements at the start of a window of time.
#[derive(Debug)]
struct Window {
    begin: Instant,
    busy: Busy,
    /// As measured, not attributed.
    waited: Waited,
    /// At each target.
    taking: Vec<Duration>,
}

/// The time in which the threads of the runtime were busy.
#[derive(Debug, Clone, Copy)]
struct Busy {
    at: std::time::Instant,
    time: Duration,
    threads: u32,
}

impl Watch {
    pub(super) fn new(targets: usize) -> Self {
        let window = Window {
            begin: Instant::now(),
            busy: Busy::now(),
            waited: Waited::default(),
            taking: vec![Duration::ZERO; targets],
        };
        Self {
            reported: None,
            waited: Waited::default(),
            activities: vec![Activity::default(); targets],
            window,
            looked: Instant::now(),
        }
    }

    fn tick(&mut self, copy: &CopyMeter) {
        let is_new = self.window.begin.elapsed() >= WINDOW;
        self.observe(copy, is_new);
        self.report(copy);
        if self.looked.elapsed() >= WINDOW {
            self.looked = Instant::now();
            report_stall(copy);
        }
    }

    /// Reports what has not been reported yet.
    pub(super) fn flush(&mut self, copy: &CopyMeter) {
        self.observe(copy, true);
        self.report(copy);
    }

    fn observe(&mut self, copy: &CopyMeter, closes_window: bool) {
        let mut shares = None;
        if closes_window {
            let now = Window::now(copy);
            shares = Some(self.window.shares(&now));
            self.waited = self.waited.plus(self.window.attributed(&now));
            self.window = now;
        }
        for (place, target) in copy.targets.iter().enumerate() {
            let before = self.activities[place];
            let shares = shares.as_ref().map(|(shared, taking)| (shared, taking[place]));
            self.activities[place] = activity(copy, target, shares, before);
        }
    }

    fn report(&mut self, copy: &CopyMeter) {
        let progress = Progress {
            read: copy.read.moved(),
            waited: self.waited,
            targets: copy.targets.iter().zip(&self.activities).map(at_target).collect(),
        };
        if self.reported.as_ref() != Some(&progress) {
            copy.events.send(&Event::Progress { image: &copy.image, progress: &progress });
            self.reported = Some(progress);
        }
    }
}

fn at_target((target, activity): (&TargetMeter, &Activity)) -> TargetProgress {
    TargetProgress { target: target.target, sent: target.sent.moved(), activity: *activity }
}

impl Window {
    fn now(copy: &CopyMeter) -> Self {
        let taking: Vec<Duration> =
            copy.targets.iter().map(|target| target.taking.total()).collect();
        let waited = Waited {
            source: copy.source.total(),
            processor: copy.digests.total(),
            bandwidth: copy.bandwidth.total(),
            spool: copy.spool.total(),
            targets: Duration::ZERO,
        };
        Self { begin: Instant::now(), busy: Busy::now(), waited, taking }
    }

    /// The growth of each wait until `now`: the common ones, and that for each target.
    fn grown(&self, now: &Self) -> (Waited, Vec<Duration>) {
        let taking = self.taking.iter().zip(&now.taking);
        let taking = taking.map(|(before, now)| now.saturating_sub(*before)).collect();
        (now.waited.minus(self.waited), taking)
    }

    /// The growth of the waits until `now`, attributed to what caused them: if all threads are busy,
    /// data that comes from the source or goes to a target waits for the processor.
    fn attributed(&self, now: &Self) -> Waited {
        let (grown, taking) = self.grown(now);
        let targets = taking.into_iter().max().unwrap_or_default();
        match now.busy.is_all_since(&self.busy) {
            true => {
                let processor = grown.processor + grown.source + targets;
                Waited { source: Duration::ZERO, targets: Duration::ZERO, processor, ..grown }
            }
            false => Waited { targets, ..grown },
        }
    }

    /// The share of each wait in the window that ends `now`: the common ones, and that for each
    /// target.
    fn shares(&self, now: &Self) -> (Shares, Vec<f64>) {
        let (grown, taking) = self.grown(now);
        let length = (now.begin - self.begin).as_secs_f64().max(f64::MIN_POSITIVE);
        let share = |time: Duration| time.as_secs_f64() / length;
        let shares = Shares {
            source: share(grown.source),
            digests: share(grown.processor),
            bandwidth: share(grown.bandwidth),
            spool: share(grown.spool),
        };
        (shares, taking.into_iter().map(share).collect())
    }
}

/// Parts of a window of time.
struct Shares {
    source: f64,
    digests: f64,
    bandwidth: f64,
    spool: f64,
}

/// The activity at a target. While data moves, it changes only with the shares of a window.
fn activity(
    copy: &CopyMeter,
    target: &TargetMeter,
    shares: Option<(&Shares, f64)>,
    before: Activity,
) -> Activity {
    match target.phase() {
        Phase::Preparing => return Activity::Preparing,
        Phase::Storing => return Activity::Storing,
        Phase::Importing => return Activity::Importing,
        Phase::Verifying => return Activity::Verifying,
        Phase::Publishing => return Activity::Publishing,
        Phase::Moving => {}
    }
    if lasts(target.taking.since()) {
        return Activity::WaitingForTarget;
    }
    if lasts(copy.source.since()) {
        return Activity::WaitingForSource;
    }
    let Some((shares, taking)) = shares else {
        return if before.moves_data() { before } else { Activity::Reading };
    };
    let candidates = [
        (shares.source, Activity::Reading),
        (taking, Activity::Sending),
        (shares.digests, Activity::Hashing),
        (shares.bandwidth, Activity::Throttled),
        (shares.spool, Activity::Spooling),
    ];
    let most = candidates.into_iter().max_by(|one, other| one.0.total_cmp(&other.0));
    match most {
        Some((share, activity)) if share > 0.3 => activity,
        _ => Activity::Reading,
    }
}

fn lasts(since: Option<Instant>) -> bool {
    since.is_some_and(|since| since.elapsed() >= QUIET)
}

/// Reports the side that is silent for too long.
fn report_stall(copy: &CopyMeter) {
    let limits = copy.events.limits();
    let pause = copy.events.pause_of(&copy.image.id);
    let silence = |since: Option<Instant>| {
        let since = since.into_iter().chain(pause).max().filter(|_| since.is_some())?;
        Some(Instant::now().saturating_duration_since(since))
    };
    let report = |target, side, silent: Duration, limit: Option<Duration>| {
        let gives_up_in = limit.map(|limit| limit.saturating_sub(silent));
        let image = &copy.image;
        copy.events.send(&Event::Stalled { image, target, side, silent, gives_up_in });
    };
    for one in &copy.targets {
        let (patience, limit) = match one.phase() {
            Phase::Storing => (PATIENCE_FOR_STORING, limits.storing),
            _ => (PATIENCE, limits.target),
        };
        if let Some(silent) = silence(one.taking.since()).filter(|silent| *silent >= patience) {
            report(Some(one.target), Side::Target, silent, limit);
        }
    }
    if let Some(silent) = silence(copy.source.since()).filter(|silent| *silent >= PATIENCE) {
        report(None, Side::Source, silent, limits.source);
    }
}

impl Busy {
    fn now() -> Self {
        let (time, threads) = busy_time();
        Self { at: std::time::Instant::now(), time, threads }
    }

    /// Whether all threads were busy since `before`, nearly all the time.
    fn is_all_since(&self, before: &Self) -> bool {
        let time = self.time.saturating_sub(before.time).as_secs_f64();
        let most = (self.at - before.at).as_secs_f64() * f64::from(self.threads);
        self.threads > 0 && time > 0.9 * most
    }
}

/// The time in which the threads of the runtime were busy, and their number; 0 threads if the
/// runtime does not measure them.
#[cfg(target_has_atomic = "64")]
fn busy_time() -> (Duration, u32) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return (Duration::ZERO, 0) };
    let metrics = runtime.metrics();
    let threads = metrics.num_workers();
    let time = (0..threads).map(|thread| metrics.worker_total_busy_duration(thread)).sum();
    (time, u32::try_from(threads).unwrap_or(u32::MAX))
}

/// The runtime measures its threads only with atomic numbers of 64 bits.
#[cfg(not(target_has_atomic = "64"))]
fn busy_time() -> (Duration, u32) {
    (Duration::ZERO, 0)
}

/// The least time between two reports of progress.
const TICK: Duration = Duration::from_millis(200);

/// The time over which the waits are compared.
const WINDOW: Duration = Duration::from_secs(1);

/// The silence after which an activity is a wait.
const QUIET: Duration = Duration::from_secs(2);

/// The silence that counts as a stall.
const PATIENCE: Duration = Duration::from_secs(5);

/// The same for a target that has all data: a store may need long to commit an image.
const PATIENCE_FOR_STORING: Duration = Duration::from_secs(60);
