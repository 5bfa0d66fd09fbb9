//! The algorithm of the controller, without clocks, servers or data: it is told once a second what
//! happened, and says how many images and readers work from now on.
//!
//! It climbs while that pays. From its start it doubles the number that the bottleneck asks for,
//! readers of the source or images in progress, until a doubling no longer raises the rate by more
//! than the noise. Then it halves the readers as long as that costs nothing: a rate that varies may
//! have hidden that the doublings did not help. After that it tries a quarter more, or half as many,
//! now and then, and less often the longer nothing changes. What a server refuses halves both numbers at once and limits them for
//! some minutes.

use crate::events::{Bottleneck, Pace, PaceReason};

/// What happened in one second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// Bytes that arrived from the source per second.
    pub(super) rate: f64,
    pub(super) bottleneck: Bottleneck,
    /// Requests that a server refused for lack of capacity: 429, 503, or with `Retry-After`.
    pub(super) refusals: usize,
    /// Other failures that are tried again.
    pub(super) failures: usize,
    /// What works now. It is less than allowed if there is not enough work.
    pub(super) working: Pace,
    /// Whether another image could be started.
    pub(super) has_waiting: bool,
    /// Whether an image in progress could use another reader.
    pub(super) has_rest: bool,
}

/// The limits of the algorithm. A number that is not to change has equal limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) least: Pace,
    pub(super) most: Pace,
    /// The number of images that the processors can work on at once.
    pub(super) processors: usize,
}

/// The state of the algorithm.
#[derive(Debug)]
pub(super) struct Climb {
    pace: Pace,
    bounds: Bounds,
    /// What a server's refusal allows, and for how many seconds.
    refused: Option<(Pace, u32)>,
    /// Seconds that the next refusal counts.
    penalty: u32,
    /// The rate at the present pace.
    rate: Average,
    phase: Phase,
    /// Seconds until the next try, after a try that failed.
    interval: u32,
    /// Whether doubling still pays.
    doubles: bool,
    /// Whether the doublings have ended, and halving may still cost nothing.
    halves: bool,
    /// What the next try changes.
    next: Try,
    /// Seconds until fewer readers are tried again, after the present number was clearly needed.
    needed: u32,
    /// Seconds since a cut, in which further refusals are the echo of the same cause.
    since_cut: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Try {
    Up,
    Down,
}

#[derive(Debug)]
enum Phase {
    /// The pace stays for this number of seconds.
    Holding(u32),
    /// The pace was changed from `before`, at which the rate was `rate`.
    Trying { before: Pace, rate: Average, direction: Try, settling: u32 },
}

impl Climb {
    /// Begins at the lowest number of readers and this number of images.
    pub(super) fn new(images: usize, bounds: Bounds) -> Self {
        let images = images.clamp(bounds.least.images, bounds.most.images);
        Self {
            pace: Pace { images, readers: bounds.least.readers },
            bounds,
            refused: None,
            penalty: FORGIVEN,
            rate: Average::default(),
            phase: Phase::Holding(MEASURED),
            interval: SOON,
            doubles: true,
            halves: false,
            next: Try::Up,
            needed: 0,
            since_cut: ECHO,
        }
    }

    pub(super) fn pace(&self) -> Pace {
        self.pace
    }

    /// Takes in what happened in the last second. Returns the new pace if it changes, and why.
    pub(super) fn tick(&mut self, sample: &Sample) -> Option<(Pace, PaceReason)> {
        self.since_cut = self.since_cut.saturating_add(1);
        self.needed = self.needed.saturating_sub(1);
        self.refused = self.refused.and_then(|(pace, left)| Some((pace, left.checked_sub(1)?)));
        if self.is_refused(sample) {
            return self.cut(sample);
        }
        if sample.bottleneck == Bottleneck::Idle {
            return None;
        }
        match &mut self.phase {
            Phase::Trying { settling, .. } if *settling > 0 => {
                *settling -= 1;
                None
            }
            Phase::Trying { before, rate, direction, .. } => {
                let (before, base, direction) = (*before, *rate, *direction);
                self.rate.add(sample.rate);
                if self.rate.count < MEASURED || self.is_in_doubt(&base, direction) {
                    return None;
                }
                self.judge(before, &base, direction)
            }
            Phase::Holding(left) => {
                *left = left.saturating_sub(1);
                let is_over = *left == 0;
                if self.rate.add(sample.rate) == Change::Great {
                    self.begin_again();
                    return None;
                }
                is_over.then(|| self.try_next(sample))?
            }
        }
    }

    /// Whether a server has enough. Single failures happen on every link.
    fn is_refused(&self, sample: &Sample) -> bool {
        let working = sample.working.images.max(sample.working.readers);
        let fails = sample.failures > 1 && sample.failures * 2 >= working;
        self.since_cut >= ECHO && (sample.refusals > 0 || fails)
    }

    /// Halves what works.
    fn cut(&mut self, sample: &Sample) -> Option<(Pace, PaceReason)> {
        let (least, working) = (self.bounds.least, sample.working);
        let half = |allowed: usize, working: usize| allowed.min(working) / 2;
        let pace = Pace {
            images: half(self.pace.images, working.images).max(least.images),
            readers: half(self.pace.readers, working.readers).max(least.readers),
        };
        self.since_cut = 0;
        (self.doubles, self.halves) = (false, false);
        self.refused = Some((pace, self.penalty));
        self.penalty = (self.penalty * 2).min(LONGEST_PENALTY);
        self.hold();
        let changed = pace != self.pace;
        self.pace = pace;
        changed.then_some((pace, PaceReason::Refused))
    }

    /// Whether a few more seconds show better what fewer readers cost.
    fn is_in_doubt(&self, base: &Average, direction: Try) -> bool {
        let ratio = self.rate.mean / base.mean.max(1.0);
        direction == Try::Down && self.rate.count < DOUBTED && (HALF..1.0 - BAND).contains(&ratio)
    }

    /// Keeps or undoes the last change.
    fn judge(
        &mut self,
        before: Pace,
        base: &Average,
        direction: Try,
    ) -> Option<(Pace, PaceReason)> {
        let ratio = self.rate.mean / base.mean.max(1.0);
        let noise = self.rate.noise().max(base.noise());
        let pays = match direction {
            // New connections are fast until they lose their first packet, so that a rate that
            // varies, or falls, says nothing about a doubling. A link that is full has a steady rate.
            Try::Up if self.doubles => (ratio - 1.0).abs() > BAND || noise > BAND / 2.0,
            Try::Up => ratio > 1.0 + BAND.max(noise),
            // Half the readers have half the rate, or all of it. The noise is less than that.
            Try::Down => ratio > (1.0 - BAND.max(2.0 * noise)).max(HALF),
        };
        if pays {
            self.interval = SOON;
            // After a doubling or halving that paid, the next one comes at once.
            self.phase = Phase::Holding(if self.doubles || self.halves { 1 } else { SOON });
            return None;
        }
        self.pace = before;
        if direction == Try::Up && ratio < FAR_LESS {
            // More readers make nothing that much slower: the link has changed.
            self.begin_again();
        } else if self.doubles {
            // The link may have been full of new connections only.
            self.end_doubling();
            self.hold();
        } else {
            self.halves = false;
            self.interval = (self.interval * 2).min(RARELY);
            if direction == Try::Down && ratio < FAR_LESS {
                self.needed = RARELY;
            }
            self.next = match direction {
                Try::Up => Try::Down,
                Try::Down => Try::Up,
            };
            self.hold();
        }
        Some((before, PaceReason::Undone))
    }

    /// Begins to climb from the present pace. What was measured under other conditions says nothing
    /// any more.
    fn begin_again(&mut self) {
        (self.doubles, self.halves) = (true, false);
        (self.next, self.interval, self.needed) = (Try::Up, SOON, 0);
        self.rate = Average::default();
        self.phase = Phase::Holding(MEASURED);
    }

    fn end_doubling(&mut self) {
        self.doubles = false;
        self.halves = self.pace.readers > self.bounds.least.readers;
    }

    fn hold(&mut self) {
        self.rate = Average::default();
        self.phase = Phase::Holding(self.interval.max(MEASURED));
    }

    fn try_next(&mut self, sample: &Sample) -> Option<(Pace, PaceReason)> {
        let up = || self.more(sample).map(|pace| (pace, Try::Up, PaceReason::More));
        let down = || self.fewer().map(|pace| (pace, Try::Down, PaceReason::Fewer));
        let next = match self.next {
            _ if self.doubles => up(),
            _ if self.halves => down(),
            Try::Up => up().or_else(down),
            Try::Down => down().or_else(up),
        };
        let Some((pace, direction, reason)) = next.filter(|(pace, ..)| *pace != self.pace) else {
            if self.doubles && sample.has_rest && sample.working.readers < self.pace.readers {
                // What was allowed last has not begun yet, and says nothing.
                self.phase = Phase::Holding(1);
                return None;
            }
            // At the start there may be no work yet; later there is no room for more, or for fewer.
            self.halves = false;
            if self.doubles && self.pace.readers > self.bounds.least.readers {
                self.end_doubling();
            }
            let soon = self.doubles || self.halves;
            self.phase = Phase::Holding(if soon { 1 } else { self.interval });
            return None;
        };
        let (before, rate) = (self.pace, std::mem::take(&mut self.rate));
        self.pace = pace;
        self.phase = Phase::Trying { before, rate, direction, settling: SETTLING };
        Some((pace, reason))
    }

    /// A higher pace, if it can help against the bottleneck. More than what works would stay unused.
    fn more(&self, sample: &Sample) -> Option<Pace> {
        let (most, working) = (self.most(), sample.working);
        let Pace { images, readers } = self.pace;
        let doubles = self.doubles;
        let more = |number: usize| if doubles { number * 2 } else { number + number.div_ceil(4) };
        let image = || {
            let is_full = sample.has_waiting && working.images >= images;
            is_full.then(|| Pace { images: more(images).min(most.images), readers })
        };
        let reader = || {
            let readers_more = more(working.readers.max(1)).min(most.readers);
            let is_more = sample.has_rest && readers_more > readers.max(working.readers);
            is_more.then_some(Pace { images, readers: readers_more })
        };
        match sample.bottleneck {
            Bottleneck::Source => reader().or_else(image),
            Bottleneck::Target | Bottleneck::Requests => image(),
            Bottleneck::Processor => image().filter(|pace| pace.images <= self.bounds.processors),
            _ => None,
        }
    }

    /// A lower pace.
    fn fewer(&self) -> Option<Pace> {
        let Pace { images, readers } = self.pace;
        if self.needed > 0 {
            return None;
        }
        let half = (readers / 2).max(self.bounds.least.readers).max(1);
        (half < readers).then_some(Pace { images, readers: half })
    }

    fn most(&self) -> Pace {
        let most = self.bounds.most;
        match self.refused {
            None => most,
            Some((refused, _)) => Pace {
                images: most.images.min(refused.images),
                readers: most.readers.min(refused.readers),
            },
        }
    }
}

/// The average of the rates at one pace, and how much they vary.
#[derive(Debug, Default, Clone, Copy)]
struct Average {
    mean: f64,
    deviation: f64,
    count: u32,
    /// Consecutive rates far away from the mean.
    far: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Small,
    Great,
}

impl Average {
    fn add(&mut self, rate: f64) -> Change {
        let near = self.mean * FAR_LESS..=self.mean / FAR_LESS;
        let is_far = self.count > 0 && !near.contains(&rate);
        self.far = if is_far { self.far + 1 } else { 0 };
        if self.far >= MEASURED {
            *self = Self { mean: rate, count: 1, ..Self::default() };
            return Change::Great;
        }
        self.count += 1;
        // At first all rates count alike, and later the last ones more.
        let weight = 1.0 / f64::from(self.count.min(MEMORY));
        let distance = (rate - self.mean).abs();
        self.mean += (rate - self.mean) * weight;
        if self.count > 1 {
            self.deviation += (distance - self.deviation) * weight;
        }
        Change::Small
    }

    /// How far the mean may be wrong, as a part of it.
    fn noise(&self) -> f64 {
        self.deviation / self.mean.max(1.0) / f64::from(self.count.max(1)).sqrt()
    }
}

/// A change of the rate by less counts as none.
const BAND: f64 = 0.08;

/// Between the rate of half the readers on a link that is not full, and that on a full link.
const HALF: f64 = 0.75;

/// A rate below this part of the mean, or as far above it, is not noise.
const FAR_LESS: f64 = 0.6;

/// Seconds until a new connection has its speed.
const SETTLING: u32 = 1;

/// Seconds over which a rate is measured.
const MEASURED: u32 = 2;

/// Seconds over which a rate is measured that is neither clearly lower nor clearly the same.
const DOUBTED: u32 = 6;

/// Number of seconds that a mean remembers.
const MEMORY: u32 = 8;

/// Seconds between two tries, at first and at most.
const SOON: u32 = 4;
const RARELY: u32 = 64;

/// Seconds after a refusal until more is tried again, the first time and at most.
const FORGIVEN: u32 = 300;
const LONGEST_PENALTY: u32 = 3600;

/// Seconds after a cut in which further refusals have the same cause: parts that are being read go on.
const ECHO: u32 = 8;
