//! The lines of the live view, and the line that stands for it elsewhere.

use std::time::{Duration, Instant};

use glance_core::units::plural;
use replicator_engine::events::{Activity, Side, TargetProgress};

use super::model::{Model, Notice, Trouble, UnderWay};
use super::text::{bytes, bytes_of, clock, rate};
use crate::output::escaped;
use crate::terminal::{LiveLine, Stream, Tone, columns_of, fitted, painted};

/// The lines of the live view for a terminal with this number of columns and rows.
pub(super) fn lines(model: &Model, now: Instant, columns: usize, rows: usize) -> Vec<LiveLine> {
    // A line that fills the last column moves the cursor in a way that depends on the terminal.
    let width = columns.saturating_sub(1);
    let layout = Layout::of(width, model.longest_name);
    let room = rows.saturating_sub(3).max(1);
    let shown = model.under_way.iter().take(room);
    let mut lines: Vec<LiveLine> =
        shown.map(|image| image_line(model, image, now, &layout)).collect();
    let hidden = model.under_way.len().saturating_sub(room);
    if hidden > 0 {
        lines.push(line(
            vec![(Tone::Weak, format!("… and {hidden} more image{}", plural(hidden)))],
            width,
        ));
    }
    lines.push(line(vec![(Tone::Strong, totals(model, now))], width));
    lines
}

/// The line that stands for the live view where there is no terminal.
pub(super) fn heartbeat(model: &Model, now: Instant) -> String {
    let image = |image: &UnderWay| {
        let amount = bytes_of(image.position(), image.size);
        format!("{} {amount}: {}", image.name, state(model, image, now))
    };
    let images = model.under_way.iter().take(10).map(image);
    [totals(model, now)].into_iter().chain(images).collect::<Vec<_>>().join("; ")
}

/// The totals of a run.
fn totals(model: &Model, now: Instant) -> String {
    let mut parts = vec![clock(now.saturating_duration_since(model.begin))];
    if !model.is_listed() && model.checked == 0 && model.under_way.is_empty() {
        parts.push(format!("listing the images of {}", escaped(&model.source)));
    } else {
        parts.extend(amounts(model));
        let (done, all) = model.bytes_done();
        parts.extend(pace(model, all.saturating_sub(done)));
    }
    if let Some(notice) = model.notice.as_ref().filter(|notice| notice.is_current(now)) {
        parts.push(trouble(notice, now));
    } else if let Some(limit) = model.speed.limit().filter(|_| !model.under_way.is_empty()) {
        parts.push(format!("limited by {}", limit.as_str()));
    }
    parts.join("  ")
}

/// How much of the run is done.
pub(super) fn done(model: &Model) -> String {
    amounts(model).join(", ")
}

/// The images and the bytes that are done, of all.
fn amounts(model: &Model) -> Vec<String> {
    if !model.is_listed() {
        let read = model.bytes_read();
        let read = (read > 0).then(|| format!("{} read", bytes(read)));
        let checked = format!("{} image{} checked", model.checked, plural(model.checked));
        return [Some(checked), read].into_iter().flatten().collect();
    }
    let more = if model.listed.done { "" } else { "+" };
    let (images, listed) = (model.images_done(), model.listed.images);
    let mut parts = vec![format!("{images}/{listed}{more} image{}", plural(listed))];
    let (done, all) = model.bytes_done();
    if all > 0 {
        parts.push(bytes_of(done, Some(all)));
    }
    parts
}

/// The rate of the run, and the time that the remaining bytes take at this rate.
fn pace(model: &Model, left: u64) -> Vec<String> {
    let Some(speed) = model.speed.rate().filter(|_| !model.under_way.is_empty()) else {
        return Vec::new();
    };
    let mut parts = vec![rate(speed)];
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let seconds = left as f64 / speed;
    if model.listed.done && left > 0 && seconds < 1e7 {
        parts.push(format!("ETA {}", clock(Duration::from_secs_f64(seconds))));
    }
    parts
}

/// The columns of the lines about images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    name: usize,
    bar: usize,
    rate: usize,
    state: usize,
    width: usize,
}

impl Layout {
    fn of(width: usize, longest_name: usize) -> Self {
        let Some(rest) = width.checked_sub(SIZES + RATE + 4 * GAP + 40) else {
            let name = width / 3;
            let state = width.saturating_sub(name + SIZES + 2 * GAP);
            return Self { name, bar: 0, rate: 0, state, width };
        };
        // Names, bars and states share the columns beyond those that every terminal has.
        let name = (14 + rest / 3).min(longest_name.max(14));
        let bar = (8 + rest / 4).min(40);
        let state = width - SIZES - RATE - 4 * GAP - name - bar;
        Self { name, bar, rate: RATE, state, width }
    }
}

/// The columns of `1.2/2.0 GiB`, of `85.2 MiB/s`, and between two columns.
const SIZES: usize = 13;
const RATE: usize = 10;
const GAP: usize = 2;

fn image_line(model: &Model, image: &UnderWay, now: Instant, layout: &Layout) -> LiveLine {
    let name = fitted(&image.name, layout.name);
    let amount = fitted(&bytes_of(image.position(), image.size), SIZES);
    let mut parts = vec![(Tone::Plain, format!("{name}  {amount}  "))];
    let used = layout.name + SIZES + 2 * GAP;
    if let Some(notice) = image.notice.as_ref().filter(|notice| notice.is_current(now)) {
        // A notice takes the place of the bar and of the rate, which say nothing now.
        let room = layout.width.saturating_sub(used);
        parts.push((Tone::Notice, unfilled(&trouble(notice, now), room)));
        return line(parts, layout.width);
    }
    if layout.bar > 0 {
        let (full, empty) = bar(image.position(), image.size, layout.bar);
        let speed = image.speed.rate().filter(|_| moves_data(image)).map(rate).unwrap_or_default();
        parts.push((Tone::Good, full));
        parts.push((Tone::Weak, empty));
        parts.push((Tone::Plain, format!("  {speed:>RATE$}  ")));
    }
    parts.push((Tone::Plain, unfilled(&state(model, image, now), layout.state)));
    line(parts, layout.width)
}

/// The full and the empty part of a bar.
fn bar(position: u64, size: Option<u64>, columns: usize) -> (String, String) {
    let size = size.unwrap_or(0).max(1);
    let full = u128::from(position.min(size)) * columns as u128 / u128::from(size);
    let full = usize::try_from(full).unwrap_or(columns);
    ("━".repeat(full), "─".repeat(columns - full))
}

fn moves_data(image: &UnderWay) -> bool {
    image.progress.targets.iter().any(|target| target.activity.moves_data())
}

/// What happens with an image now, at each target.
fn state(model: &Model, image: &UnderWay, now: Instant) -> String {
    if let Some(notice) = image.notice.as_ref().filter(|notice| notice.is_current(now)) {
        return trouble(notice, now);
    }
    let active: Vec<&TargetProgress> = {
        let all = image.progress.targets.iter();
        all.filter(|one| image.targets.contains(&one.target)).collect()
    };
    match active[..] {
        [] => Activity::Preparing.to_string(),
        [one] if model.targets.len() < 2 => {
            let time = now.saturating_duration_since(image.since);
            match one.activity {
                // These activities can last, so their time is shown.
                Activity::Storing | Activity::Importing if time.as_secs() >= 5 => {
                    format!("{} {}", one.activity, clock(time))
                }
                activity => activity.to_string(),
            }
        }
        _ => active.iter().map(|one| at_target(model, image, one)).collect::<Vec<_>>().join(" · "),
    }
}

/// What happens at one of several targets.
fn at_target(model: &Model, image: &UnderWay, one: &TargetProgress) -> String {
    let name = model.targets.get(one.target).map(String::as_str).unwrap_or_default();
    let name = escaped(name.strip_prefix("https://").unwrap_or(name));
    let size = image.size.unwrap_or(0).max(1);
    let percent = u128::from(one.sent.position.min(size)) * 100 / u128::from(size);
    match one.activity.moves_data() {
        true => format!("{name} {percent}%"),
        false => format!("{name} {}", one.activity),
    }
}

/// A notice in words, at this time.
fn trouble(notice: &Notice, now: Instant) -> String {
    let age = now.saturating_duration_since(notice.at);
    let side = |side: &Side| match side {
        Side::Source => "source",
        Side::Target => "target",
    };
    match &notice.what {
        Trouble::Retry { side: of, retry } => {
            let (attempt, all) = (retry.attempt, retry.of);
            let reason = escaped(&retry.reason);
            let left = retry.pause.unwrap_or_default().saturating_sub(age);
            let time = match left.as_secs() {
                0 => String::new(),
                _ => format!(" in {}", clock(left)),
            };
            format!("retrying {attempt}/{all}{time} after {reason} ({})", side(of))
        }
        Trouble::Stall { side: of, silent, gives_up_in } => {
            let silent = clock(*silent + age);
            let left = gives_up_in.map(|left| left.saturating_sub(age));
            let end = left.map(|left| format!("; gives up in {}", clock(left)));
            format!("{} silent for {silent}{}", side(of), end.unwrap_or_default())
        }
    }
}

/// The text, cut off at this number of columns. Spaces at the end of a line would count when the
/// terminal becomes narrower, although the terminal drops them.
fn unfilled(text: &str, columns: usize) -> String {
    fitted(text, columns).trim_end().to_owned()
}

/// A line of these parts, cut off at `width` columns.
fn line(parts: Vec<(Tone, String)>, width: usize) -> LiveLine {
    let (mut text, mut columns) = (String::new(), 0);
    for (tone, part) in parts {
        let room = width - columns;
        let part = if columns_of(&part) > room { fitted(&part, room) } else { part };
        columns += columns_of(&part);
        text.push_str(&painted(Stream::Err, tone, &part));
    }
    LiveLine { text, columns }
}

#[cfg(test)]
mod tests;
