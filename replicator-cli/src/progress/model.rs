//! What a run is doing, gathered from its events.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use glance_core::image::{Image, ImageId};
use replicator_engine::events::{
    Activity, Event, Moved, Progress, Retry, Side, TargetProgress, Waited,
};
use replicator_engine::{Done, State};

use super::speed::Speed;
use crate::output::escaped;
use crate::terminal::columns_of;

/// What a run is doing.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) source: String,
    pub(super) targets: Vec<String>,
    pub(super) begin: Instant,
    pub(super) listed: Listed,
    /// Number of images that were compared or verified.
    pub(super) checked: u64,
    /// The images under way, in the order in which they were started.
    pub(super) under_way: Vec<UnderWay>,
    /// Number of final outcomes, at all targets together.
    pub(super) finished: u64,
    /// Bytes of finished images.
    pub(super) finished_bytes: u64,
    planned: Planned,
    pub(super) speed: Speed,
    /// The bytes that were read and the waits for images that are no longer under way.
    ended: (u64, Waited),
    /// The last retry of a request that belongs to no image under way.
    pub(super) notice: Option<Notice>,
    /// The columns of the longest name so far.
    pub(super) longest_name: usize,
    /// Whether the run has begun and has not ended.
    is_active: bool,
}

/// What was listed so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Listed {
    pub(super) images: u64,
    missing_bytes: u64,
    pub(super) done: bool,
}

/// What is planned so far.
#[derive(Debug, Default)]
struct Planned {
    /// Number of bytes to copy.
    bytes: u64,
    /// Number of bytes of the planned images whose data a target lacks.
    missing_bytes: u64,
    /// The images that are planned and not finished, with the bytes to copy.
    images: HashMap<ImageId, u64>,
    /// The image that was planned last, and whether its data is missing.
    last: Option<(ImageId, bool)>,
}

/// An image under way.
#[derive(Debug)]
pub(super) struct UnderWay {
    id: ImageId,
    /// The name, with control characters escaped.
    pub(super) name: String,
    pub(super) size: Option<u64>,
    pub(super) progress: Progress,
    /// The targets where the image is under way.
    pub(super) targets: Vec<usize>,
    pub(super) notice: Option<Notice>,
    pub(super) speed: Speed,
    /// Since when the activity has been the same.
    pub(super) since: Instant,
}

/// Something that the operator should see.
#[derive(Debug, Clone)]
pub(super) struct Notice {
    pub(super) at: Instant,
    pub(super) what: Trouble,
}

/// The subject of a notice.
#[derive(Debug, Clone)]
pub(super) enum Trouble {
    Retry { side: Side, retry: Retry },
    Stall { side: Side, silent: Duration, gives_up_in: Option<Duration> },
}

impl Notice {
    /// Whether the notice still says what happens.
    pub(super) fn is_current(&self, now: Instant) -> bool {
        let age = now.saturating_duration_since(self.at);
        match &self.what {
            Trouble::Retry { retry, .. } => age < retry.pause.unwrap_or_default() + LASTING,
            Trouble::Stall { .. } => age < LASTING,
        }
    }
}

impl Model {
    pub(super) fn new(source: String, targets: Vec<String>, now: Instant) -> Self {
        Self {
            source,
            targets,
            begin: now,
            listed: Listed::default(),
            checked: 0,
            under_way: Vec::new(),
            finished: 0,
            finished_bytes: 0,
            planned: Planned::default(),
            speed: Speed::default(),
            ended: (0, Waited::default()),
            notice: None,
            longest_name: 0,
            is_active: false,
        }
    }

    pub(super) fn is_active(&self) -> bool {
        self.is_active
    }

    /// Records that the run has ended.
    pub(super) fn end(&mut self) {
        self.is_active = false;
    }

    /// Takes an event into account.
    pub(super) fn hear(&mut self, event: &Event<'_>, now: Instant) {
        self.is_active = true;
        match event {
            Event::Listed { images, missing_bytes, done, .. } => {
                let (images, missing_bytes, done) = (*images, *missing_bytes, *done);
                self.listed = Listed { images, missing_bytes, done };
            }
            Event::Planned { image, state, bytes, .. } => self.planned.add(image, *state, *bytes),
            Event::Started { target, image, .. } => self.started(*target, image, now),
            Event::Progress { image, progress } => self.progressed(&image.id, progress, now),
            Event::Compared { images } => self.checked = *images,
            Event::Reading { image, side, read, done } => {
                self.reading(image, *side, *read, now);
                if *done {
                    self.leave(&image.id, side_place(*side));
                }
            }
            Event::Retrying { image, target, side, retry } => {
                let notice = Notice { at: now, what: retrying(*side, retry) };
                self.notice(*image, notice);
                if let (None, Some(image), Some(target)) = (retry.pause, image, target) {
                    self.leave(image, *target);
                }
            }
            Event::Stalled { image, side, silent, gives_up_in, .. } => {
                let (side, silent, gives_up_in) = (*side, *silent, *gives_up_in);
                let what = Trouble::Stall { side, silent, gives_up_in };
                self.notice(Some(&image.id), Notice { at: now, what });
            }
            Event::Finished { target, outcome, .. } => {
                self.finished += u64::from(!matches!(outcome.result, Ok(Done::Removed(_))));
                let id = &outcome.image.id;
                self.leave(id, *target);
                if self.place(id).is_none() {
                    self.finished_bytes += self.planned.images.remove(id).unwrap_or(0);
                }
            }
            _ => {}
        }
    }

    fn started(&mut self, target: usize, image: &Image, now: Instant) {
        if let Some(place) = self.place(&image.id) {
            self.under_way[place].targets.push(target);
            return;
        }
        let name = escaped(image.label()).into_owned();
        self.longest_name = self.longest_name.max(columns_of(&name));
        self.under_way.push(UnderWay {
            id: image.id.clone(),
            name,
            size: image.size,
            progress: Progress::default(),
            targets: vec![target],
            notice: None,
            speed: Speed::default(),
            since: now,
        });
    }

    fn progressed(&mut self, id: &ImageId, progress: &Progress, now: Instant) {
        let Some(place) = self.place(id) else { return };
        let image = &mut self.under_way[place];
        let moved = |progress: &Progress| {
            let sent: u64 = progress.targets.iter().map(|target| target.sent.total).sum();
            (progress.read.total, sent)
        };
        let activity = |progress: &Progress| -> Vec<Activity> {
            progress.targets.iter().map(|target| target.activity).collect()
        };
        if moved(&image.progress) != moved(progress) {
            image.notice = None;
        }
        if activity(&image.progress) != activity(progress) {
            image.since = now;
        }
        image.progress = progress.clone();
    }

    /// Takes into account how much of an image was read on one side, to verify the image.
    fn reading(&mut self, image: &Image, side: Side, read: u64, now: Instant) {
        let side = side_place(side);
        let is_known = |one: &UnderWay| one.id == image.id && one.targets.contains(&side);
        if !self.under_way.iter().any(is_known) {
            self.started(side, image, now);
        }
        let Some(place) = self.place(&image.id) else { return };
        let mut progress = self.under_way[place].progress.clone();
        progress.targets.retain(|one| one.target != side);
        let sent = Moved { total: read, position: read };
        progress.targets.push(TargetProgress { target: side, sent, activity: Activity::Reading });
        progress.targets.sort_by_key(|one| one.target);
        progress.read.total = progress.targets.iter().map(|one| one.sent.total).sum();
        self.progressed(&image.id, &progress, now);
    }

    fn notice(&mut self, image: Option<&ImageId>, notice: Notice) {
        match image.and_then(|id| self.place(id)) {
            Some(place) => self.under_way[place].notice = Some(notice),
            None => self.notice = Some(notice),
        }
    }

    /// Records that an image is no longer under way at a target.
    fn leave(&mut self, id: &ImageId, target: usize) {
        let Some(place) = self.place(id) else { return };
        let image = &mut self.under_way[place];
        image.targets.retain(|one| *one != target);
        if image.targets.is_empty() {
            let Progress { read, waited, .. } = self.under_way.remove(place).progress;
            self.ended = (self.ended.0 + read.total, self.ended.1.plus(waited));
        }
    }

    /// Measures the rates. To be called several times a second.
    pub(super) fn measure(&mut self, now: Instant) {
        let (mut bytes, mut waited) = self.ended;
        for image in &mut self.under_way {
            let progress = &image.progress;
            image.speed.add(now, progress.read.total, progress.waited);
            bytes += progress.read.total;
            waited = waited.plus(progress.waited);
        }
        self.speed.add(now, bytes, waited);
    }

    /// Whether images of the source were listed, to copy them.
    pub(super) fn is_listed(&self) -> bool {
        self.listed.images > 0 || self.listed.done
    }

    /// The number of images whose outcome is final at every target.
    pub(super) fn images_done(&self) -> u64 {
        self.finished / (self.targets.len().max(1) as u64)
    }

    /// The bytes that are at the targets, each image counted once, and the bytes that the run copies
    /// as far as is known.
    pub(super) fn bytes_done(&self) -> (u64, u64) {
        let under_way: u64 = self.under_way.iter().map(UnderWay::position).sum();
        let listed = self.listed.missing_bytes.saturating_sub(self.planned.missing_bytes);
        let all = self.planned.bytes + listed;
        ((self.finished_bytes + under_way).min(all), all)
    }

    /// The bytes that were read so far.
    pub(super) fn bytes_read(&self) -> u64 {
        let under_way: u64 = self.under_way.iter().map(|image| image.progress.read.total).sum();
        self.ended.0 + under_way
    }

    fn place(&self, id: &ImageId) -> Option<usize> {
        self.under_way.iter().position(|image| image.id == *id)
    }
}

/// The place of a side among the stores that are verified.
fn side_place(side: Side) -> usize {
    match side {
        Side::Source => 0,
        Side::Target => 1,
    }
}

fn retrying(side: Side, retry: &Retry) -> Trouble {
    Trouble::Retry { side, retry: retry.clone() }
}

impl Planned {
    fn add(&mut self, image: &Image, state: State, bytes: u64) {
        let is_missing = image.status.has_data()
            && matches!(state, State::Missing | State::Partial | State::Blocked | State::Skipped);
        // The plans of one image at all targets follow one another, and its data is read once.
        let (is_known, was_missing) = match &self.last {
            Some((id, was_missing)) if *id == image.id => (true, *was_missing),
            _ => (false, false),
        };
        if is_missing && !was_missing {
            self.missing_bytes += image.size.unwrap_or(0);
        }
        if bytes > 0 && !(is_known && self.images.contains_key(&image.id)) {
            self.bytes += bytes;
            self.images.insert(image.id.clone(), bytes);
        }
        self.last = Some((image.id.clone(), is_missing || was_missing));
    }
}

impl UnderWay {
    /// The position of the slowest target in the data.
    pub(super) fn position(&self) -> u64 {
        let of_targets = self.progress.targets.iter();
        let active = of_targets.filter(|one| self.targets.contains(&one.target));
        let verifying = |activity| matches!(activity, Activity::Verifying);
        let positions = active.map(|one| match verifying(one.activity) {
            true => self.progress.read.position,
            false => one.sent.position,
        });
        positions.min().unwrap_or(0)
    }
}

/// How long a notice is shown after the moment that it speaks of.
const LASTING: Duration = Duration::from_secs(3);
