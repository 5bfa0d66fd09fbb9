//! What the events of a run say about each image in work, for the document of the run.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use glance_core::clock;
use glance_core::image::ImageId;
use replicator_engine::Event;
use replicator_engine::events::{Side, Spent};
use serde_json::{Value, json};

/// The images in work, and the bytes of the whole run.
#[derive(Debug, Default)]
pub(super) struct Courses {
    images: BTreeMap<(usize, ImageId), Course>,
    throughput: Throughput,
    /// The changes of the pace.
    adjustments: Vec<Value>,
    /// The bytes sent to each target.
    moved: BTreeMap<usize, u64>,
    /// When the progress of each image was last written, in seconds since the start.
    shown: BTreeMap<ImageId, f64>,
}

/// The course of one image at one target.
#[derive(Debug, Default)]
struct Course {
    spent: Spent,
    /// Bytes sent so far.
    sent: u64,
    retries: Vec<Value>,
    stalls: Vec<Stall>,
}

/// A time without any progress.
#[derive(Debug)]
struct Stall {
    side: Side,
    began: SystemTime,
    length: Duration,
}

impl Courses {
    /// Takes an event, so many seconds after the start of the run.
    pub(super) fn hear(&mut self, event: &Event<'_>, seconds: f64) {
        match event {
            Event::Started { target, image, .. } => {
                self.images.entry((*target, image.id.clone())).or_default();
            }
            Event::Progress { image, progress } => {
                for one in &progress.targets {
                    self.sent(one.target, &image.id, one.sent.total, seconds);
                }
            }
            Event::Retrying { image: Some(id), target, side, retry } => {
                let entry = json!({
                    "at": now(), "side": word(*side), "reason": retry.reason,
                });
                for course in self.of(id, *target) {
                    // The first retries tell what went wrong.
                    if course.retries.len() < MOST_RETRIES {
                        course.retries.push(entry.clone());
                    }
                }
            }
            // The first changes are the largest.
            Event::Adjusted { pace, reason, bottleneck, rate }
                if self.adjustments.len() < MOST_POINTS =>
            {
                self.adjustments.push(json!({
                    "seconds": seconds, "images": pace.images, "connections": pace.readers,
                    "reason": reason.as_str(), "limited_by": bottleneck.as_str(), "rate": rate,
                }));
            }
            Event::Stalled { image, target, side, silent, .. } => {
                self.of(&image.id, *target).for_each(|course| course.stalled(*side, *silent));
            }
            Event::Finished { target, outcome, spent } => {
                let id = &outcome.image.id;
                self.images.entry((*target, id.clone())).or_default().spent = **spent;
                self.sent(*target, id, spent.sent, seconds);
            }
            _ => {}
        }
    }

    /// Whether an event is to be written: the progress of an image is, once a second.
    pub(super) fn is_due(&mut self, event: &Event<'_>, seconds: f64) -> bool {
        match event {
            Event::Progress { image, .. } => {
                let is_due = self.shown.get(&image.id).is_none_or(|last| seconds - last >= 1.0);
                if is_due {
                    self.shown.insert(image.id.clone(), seconds);
                }
                is_due
            }
            Event::Finished { outcome, .. } => {
                self.shown.remove(&outcome.image.id);
                true
            }
            _ => true,
        }
    }

    /// The course of an image whose work has ended, as fields of the image's entry.
    pub(super) fn take(&mut self, target: usize, id: &ImageId) -> [(&'static str, Value); 5] {
        let course = self.images.remove(&(target, id.clone())).unwrap_or_default();
        let stalls: Vec<Value> = course.stalls.iter().map(Stall::to_json).collect();
        [
            ("bytes_read", json!(course.spent.read)),
            ("bytes_sent", json!(course.spent.sent)),
            ("attempts", json!(course.spent.attempts)),
            ("retries", json!(course.retries)),
            ("stalls", json!(stalls)),
        ]
    }

    /// The bytes sent to a target, including those of images that failed.
    pub(super) fn moved(&self, target: usize) -> u64 {
        self.moved.get(&target).copied().unwrap_or_default()
    }

    /// The bytes sent over the time of the run.
    pub(super) fn throughput(&self) -> Value {
        json!(self.throughput.points)
    }

    /// The changes of the pace over the time of the run.
    pub(super) fn adjustments(&self) -> Value {
        json!(self.adjustments)
    }

    /// The courses of an image at this target, or at all targets.
    fn of(&mut self, id: &ImageId, target: Option<usize>) -> impl Iterator<Item = &mut Course> {
        let is_meant = move |(at, image): &(usize, ImageId)| {
            image == id && target.is_none_or(|target| target == *at)
        };
        self.images.iter_mut().filter(move |(key, _)| is_meant(key)).map(|(_, course)| course)
    }

    /// Counts the bytes that were sent to a target so far. The progress of an image names targets
    /// whose work has ended, too, and their bytes are counted already.
    fn sent(&mut self, target: usize, id: &ImageId, sent: u64, seconds: f64) {
        let Some(course) = self.images.get_mut(&(target, id.clone())) else { return };
        let more = sent.saturating_sub(course.sent);
        course.sent = course.sent.max(sent);
        *self.moved.entry(target).or_default() += more;
        self.throughput.add(more, seconds);
    }
}

impl Course {
    fn stalled(&mut self, side: Side, length: Duration) {
        let is_full = self.stalls.len() >= MOST_RETRIES;
        match self.stalls.last_mut() {
            // The event comes again while the silence lasts.
            Some(stall) if stall.side == side && stall.length <= length => stall.length = length,
            _ if !is_full => {
                let began = SystemTime::now().checked_sub(length);
                let began = began.unwrap_or(SystemTime::UNIX_EPOCH);
                self.stalls.push(Stall { side, began, length });
            }
            _ => {}
        }
    }
}

impl Stall {
    fn to_json(&self) -> Value {
        json!({
            "at": clock::text(self.began), "side": word(self.side),
            "seconds": self.length.as_secs(),
        })
    }
}

/// Points of the sum of all bytes over time. Their number is limited: when there are too many, every
/// second one is dropped.
#[derive(Debug)]
struct Throughput {
    /// Seconds since the start, and bytes so far.
    points: Vec<(f64, u64)>,
    bytes: u64,
    /// The least number of seconds between two points.
    step: f64,
}

impl Default for Throughput {
    fn default() -> Self {
        Self { points: Vec::new(), bytes: 0, step: 0.1 }
    }
}

impl Throughput {
    fn add(&mut self, bytes: u64, seconds: f64) {
        if bytes == 0 {
            return;
        }
        self.bytes = self.bytes.saturating_add(bytes);
        if self.points.len() >= MOST_POINTS {
            let mut number = 0;
            self.points.retain(|_| {
                number += 1;
                number % 2 == 0
            });
            self.step *= 2.0;
        }
        let before_last = self.points.len().checked_sub(2).map(|index| self.points[index].0);
        // The last point always has the sum of all bytes.
        if before_last.is_some_and(|time| seconds - time < self.step) {
            self.points.pop();
        }
        self.points.push((seconds, self.bytes));
    }
}

pub(super) fn word(side: Side) -> &'static str {
    match side {
        Side::Source => "source",
        Side::Target => "target",
    }
}

fn now() -> String {
    clock::text(SystemTime::now())
}

/// The most retries, and the most stalls, that the entry of an image lists.
const MOST_RETRIES: usize = 100;

/// The most points of the throughput, and the most changes of the pace.
const MOST_POINTS: usize = 300;

#[cfg(test)]
mod tests {
    use glance_core::image::{Attributes, Image};
    use replicator_engine::events::{Activity, Moved, Progress, TargetProgress};
    use replicator_engine::{Done, Outcome};

    use super::*;

    #[test]
    fn the_points_of_the_throughput_stay_few_and_end_with_the_sum() {
        let mut throughput = Throughput::default();
        for number in 1..=10_000_u32 {
            throughput.add(10, f64::from(number) / 4.0);
        }
        let points = &throughput.points;
        assert!((100..=MOST_POINTS).contains(&points.len()), "{}", points.len());
        assert_eq!(points.last(), Some(&(2500.0, 100_000)));
        assert!(points.is_sorted_by(|one, other| one.0 < other.0 && one.1 < other.1));
        throughput.add(0, 2501.0);
        assert_eq!(throughput.points.last(), Some(&(2500.0, 100_000)));
    }

    #[test]
    fn a_stall_is_one_entry_for_as_long_as_it_lasts() {
        let mut course = Course::default();
        for length in [5, 6, 7] {
            course.stalled(Side::Source, Duration::from_secs(length));
        }
        course.stalled(Side::Target, Duration::from_secs(5));
        course.stalled(Side::Target, Duration::from_secs(4));
        let lengths: Vec<u64> = course.stalls.iter().map(|stall| stall.length.as_secs()).collect();
        assert_eq!(lengths, [7, 5, 4]);
    }

    /// The progress of an image names all its targets for as long as one of them is in work.
    #[test]
    fn the_bytes_of_a_target_that_is_done_first_count_once() {
        let image = Image::queued(ImageId::random(), Attributes::default());
        let sent = |target, total| {
            let sent = Moved { total, position: total };
            TargetProgress { target, sent, activity: Activity::default() }
        };
        let mut courses = Courses::default();
        let progress = |totals: [u64; 2]| {
            let mut progress = Progress::default();
            progress.targets = vec![sent(0, totals[0]), sent(1, totals[1])];
            progress
        };
        for target in [0, 1] {
            courses.hear(&Event::Started { target, image: &image, attempt: 1 }, 0.0);
        }
        courses.hear(&Event::Progress { image: &image, progress: &progress([5, 3]) }, 1.0);
        let outcome = Outcome::of(image.clone(), Ok(Done::Copied));
        let mut all = Spent::default();
        all.sent = 5;
        courses.hear(&Event::Finished { target: 0, outcome: &outcome, spent: &all }, 2.0);
        courses.take(0, &image.id);
        courses.hear(&Event::Progress { image: &image, progress: &progress([5, 4]) }, 3.0);
        courses.hear(&Event::Finished { target: 1, outcome: &outcome, spent: &all }, 4.0);
        courses.take(1, &image.id);
        courses.hear(&Event::Progress { image: &image, progress: &progress([5, 5]) }, 5.0);
        assert_eq!(courses.throughput.points.last().map(|(_, bytes)| *bytes), Some(10));
        assert_eq!([courses.moved(0), courses.moved(1)], [5, 5]);
        assert!(courses.images.is_empty());
    }
}
