use glance_core::image::{Attributes, Image, ImageId, Status};
use replicator_engine::events::{Activity, Event, Moved, Progress, Retry};
use replicator_engine::{Done, Outcome, State};

use super::*;

const GIB: u64 = 1 << 30;

/// A run that is heard of at certain seconds.
struct Run {
    model: Model,
    begin: Instant,
}

fn image(name: &str, size: Option<u64>) -> Image {
    let attributes = Attributes { name: Some(name.to_owned()), ..Attributes::default() };
    let queued = Image::queued(ImageId::random(), attributes);
    Image { status: Status::Active, size, ..queued }
}

impl Run {
    fn new(targets: &[&str]) -> Self {
        let begin = Instant::now();
        let targets = targets.iter().map(|target| (*target).to_owned()).collect();
        Self { model: Model::new("east".to_owned(), targets, begin), begin }
    }

    fn at(&self, second: u64) -> Instant {
        self.begin + Duration::from_secs(second)
    }

    fn hear(&mut self, second: u64, event: &Event<'_>) {
        self.model.hear(event, self.at(second));
    }

    fn listed(&mut self, images: u64, missing_bytes: u64, done: bool) {
        let listed = Event::Listed { images, bytes: 0, missing: images, missing_bytes, done };
        self.hear(0, &listed);
    }

    /// Starts to copy an image to all targets.
    fn start(&mut self, image: &Image) {
        let bytes = image.size.unwrap_or(0);
        for target in 0..self.model.targets.len() {
            let (state, action) = (State::Missing, "copy");
            self.hear(0, &Event::Planned { target, image, state, action, bytes });
        }
        for target in 0..self.model.targets.len() {
            self.hear(0, &Event::Started { target, image, attempt: 1 });
        }
    }

    /// Tells how far an image is at each target, and how long it waited for the source.
    fn move_on(&mut self, second: u64, image: &Image, at: &[(u64, Activity)], waited: u64) {
        let targets = at.iter().enumerate().map(|(target, (position, activity))| {
            let sent = Moved { total: *position, position: *position };
            TargetProgress { target, sent, activity: *activity }
        });
        let read = at.iter().map(|(position, _)| *position).max().unwrap_or(0);
        let mut progress = Progress::default();
        progress.read = Moved { total: read, position: read };
        progress.waited.source = Duration::from_secs(waited);
        progress.targets = targets.collect();
        self.hear(second, &Event::Progress { image, progress: &progress });
        self.model.measure(self.at(second));
    }

    fn shown(&self, second: u64, columns: usize, rows: usize) -> Vec<String> {
        let lines = lines(&self.model, self.at(second), columns, rows);
        for line in &lines {
            assert_eq!(columns_of(&line.text), line.columns, "{line:?}");
            assert!(line.columns < columns, "{columns}: {line:?}");
        }
        lines.into_iter().map(|line| line.text.trim_end().to_owned()).collect()
    }
}

#[test]
fn images_under_way_have_a_line_each_and_the_run_has_the_last() {
    let mut run = Run::new(&["west"]);
    run.listed(8, 5 * GIB, true);
    let debian = image("debian-12-generic-amd64", Some(2 * GIB));
    let tiny = image("cirros", Some(20 << 20));
    run.start(&debian);
    run.start(&tiny);
    for second in 0..=4 {
        let position = GIB / 4 * second;
        run.move_on(second, &debian, &[(position, Activity::Reading)], second);
    }
    run.move_on(4, &tiny, &[(20 << 20, Activity::Publishing)], 0);
    assert_eq!(
        run.shown(4, 80, 24),
        [
            "debian-12-gener…  1.0/2.0 GiB    ━━━━━─────   256 MiB/s  reading",
            "cirros            20.0/20.0 MiB  ━━━━━━━━━━              publishing",
            "0:04  0/8 images  1.0/5.0 GiB  261 MiB/s  ETA 0:15  limited by the source",
        ]
    );
    let wide = run.shown(4, 140, 24);
    assert!(
        wide[0].starts_with("debian-12-generic-amd64  1.0/2.0 GiB    ━━━━━━━━━━━━───"),
        "{wide:?}"
    );
    assert_eq!(wide[2], run.shown(4, 80, 24)[2]);
    for columns in [1, 5, 20, 30, 50, 70, 200, 500] {
        assert_eq!(run.shown(4, columns, 24).len(), 3);
    }
}

#[test]
fn long_and_wide_names_do_not_break_a_line() {
    let mut run = Run::new(&["west"]);
    run.listed(2, 0, false);
    for name in ["日本語の名前がとても長いイメージ", "e\u{301}\u{1b}[2J", &"x".repeat(300)]
    {
        run.start(&image(name, None));
    }
    let lines = run.shown(1, 80, 24);
    assert!(lines[0].starts_with("日本語の名前が…   0 B"), "{lines:?}");
    assert!(lines[1].contains("\\u{1b}[2J"), "{lines:?}");
    assert!(lines[3].starts_with("0:01  0/2+ images"), "{lines:?}");
    for columns in [40, 80, 140, 200] {
        run.shown(1, columns, 24);
    }
    // As many lines as fit.
    let few = run.shown(1, 80, 5);
    assert_eq!((few.len(), few[2].as_str()), (4, "… and 1 more image"));
}

#[test]
fn retries_and_stalls_take_the_place_of_the_bar() {
    let mut run = Run::new(&["west"]);
    run.listed(1, GIB, true);
    let one = image("one", Some(GIB));
    run.start(&one);
    run.move_on(1, &one, &[(GIB / 2, Activity::Reading)], 0);
    let seconds = Duration::from_secs;
    let retry = Retry::new(2, 11, Some(seconds(20)), "503 Service Unavailable");
    let retrying =
        Event::Retrying { image: Some(&one.id), target: None, side: Side::Target, retry: &retry };
    run.hear(2, &retrying);
    assert_eq!(
        run.shown(7, 80, 24)[0],
        "one             0.5/1.0 GiB    retrying 2/11 in 0:15 after 503 Service Unavail…"
    );
    assert!(run.shown(26, 80, 24)[0].contains("reading"));
    let gives_up_in = Some(seconds(290));
    let (target, side) = (None, Side::Source);
    run.hear(30, &Event::Stalled { image: &one, target, side, silent: seconds(10), gives_up_in });
    assert_eq!(
        run.shown(32, 80, 24)[0],
        "one             0.5/1.0 GiB    source silent for 0:12; gives up in 4:48"
    );
    // The next bytes end the stall.
    run.move_on(33, &one, &[(GIB, Activity::Storing)], 0);
    assert!(
        run.shown(39, 80, 24)[0].ends_with("target stores 0:06"),
        "{:?}",
        run.shown(39, 80, 24)
    );
    // A request that belongs to no image is told with the totals.
    let listing = Event::Retrying { image: None, target: None, side: Side::Source, retry: &retry };
    run.hear(40, &listing);
    assert!(run.shown(41, 140, 24)[1].contains("retrying 2/11 in 0:19 after 503"));
}

#[test]
fn each_target_has_a_share_of_the_line() {
    let mut run = Run::new(&["west", "north"]);
    run.listed(1, GIB, true);
    let one = image("one", Some(GIB));
    run.start(&one);
    let at = [(GIB / 2, Activity::Sending), (GIB / 4, Activity::WaitingForTarget)];
    run.move_on(1, &one, &at, 0);
    let line = run.shown(1, 140, 24).remove(0);
    assert!(line.contains("0.2/1.0 GiB"), "{line}");
    assert!(line.ends_with("west 50% · north waiting for the target"), "{line}");
    let copied = Outcome::of(one.clone(), Ok(Done::Copied));
    let spent = replicator_engine::events::Spent::default();
    run.hear(2, &Event::Finished { target: 1, outcome: &copied, spent: &spent });
    let lines = run.shown(2, 140, 24);
    assert!(lines[0].ends_with("west 50%") && lines[1].starts_with("0:02  0/1 image  0.5/1.0 GiB"));
    run.hear(3, &Event::Finished { target: 0, outcome: &copied, spent: &spent });
    assert_eq!(run.shown(3, 140, 24), ["0:03  1/1 image  1.0/1.0 GiB"]);
}

#[test]
fn a_line_stands_for_the_view_elsewhere() {
    let mut run = Run::new(&["west"]);
    assert_eq!(heartbeat(&run.model, run.at(60)), "1:00  listing the images of east");
    run.listed(3, GIB, true);
    let one = image("one", Some(GIB));
    run.start(&one);
    run.move_on(60, &one, &[(GIB / 2, Activity::Hashing)], 0);
    assert_eq!(
        heartbeat(&run.model, run.at(60)),
        "1:00  0/3 images  0.5/1.0 GiB; one 0.5/1.0 GiB: hashing"
    );
}

#[test]
fn a_verification_tells_how_far_each_side_is_read() {
    let mut run = Run::new(&["east", "west"]);
    let one = image("one", Some(GIB));
    let read = |side, read, done| Event::Reading { image: &one, side, read, done };
    run.hear(0, &read(Side::Source, GIB / 2, false));
    run.hear(0, &read(Side::Target, GIB / 4, false));
    assert_eq!(
        run.shown(1, 80, 24),
        [
            "one             0.2/1.0 GiB    ━━────────              east 50% · west 25%",
            "0:01  0 images checked  768 MiB read",
        ]
    );
    run.hear(2, &read(Side::Source, GIB, true));
    run.hear(2, &read(Side::Target, GIB, true));
    run.hear(2, &Event::Compared { images: 1 });
    assert_eq!(run.shown(2, 80, 24), ["0:02  1 image checked  2.0 GiB read"]);
    assert_eq!(done(&run.model), "1 image checked, 2.0 GiB read");
}

#[test]
fn a_comparison_tells_how_many_images_were_compared() {
    let mut run = Run::new(&["west"]);
    run.hear(0, &Event::Compared { images: 1200 });
    assert_eq!(run.shown(3, 80, 24), ["0:03  1200 images checked"]);
}
