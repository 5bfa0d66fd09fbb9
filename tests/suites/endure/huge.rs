//! An image larger than any memory, made by the source and sunk by the target.

use std::fmt::Write as _;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use glance_core::store::ImageStore;
use tokio::runtime::Runtime;

use crate::suites::endure::hollow::{Hollow, HollowSite, id};
use crate::suites::endure::operator::Operator;
use crate::suites::endure::process::{Sample, early_and_late};
use crate::support::common::start_with;
use crate::support::extent::extent;
use crate::support::stack::Stack;
use crate::support::sweep::{keep, print};

#[test]
fn an_image_larger_than_any_memory_takes_no_more_memory_than_another() {
    let span = Duration::from_secs(extent("ENDURE_SECONDS", 8));
    let (stacks, ca) = Stack::all_and_ca();
    let operator = Operator::who_trusts(&ca);
    let mut tables = String::new();
    for stack in &stacks {
        let course = run(stack, &operator, span);
        let table = format!("{}\n\n{}", stack.name, written(&course, span));
        print(&table);
        let _ = writeln!(tables, "{table}");
        judge(&course, span);
    }
    keep("huge.md", &tables);
}

/// What was seen at one instant.
#[derive(Debug)]
struct Seen {
    sample: Sample,
    /// Bytes that had come to the target by then.
    moved: u64,
}

fn run(stack: &Stack, operator: &Operator, span: Duration) -> Vec<Seen> {
    let runtime = Runtime::new().unwrap();
    let (source, target) = runtime.block_on(async {
        let source = HollowSite::open(stack, Hollow::with_image(SIZE, None).await).await;
        (source, HollowSite::open(stack, Hollow::empty(None)).await)
    });
    let line = operator.livecopy(&source.url, &target.url, stack.name);
    let mut child = start_with(&line, &operator.variables());
    let course = watch(&mut child, &target, span);
    child.kill().unwrap();
    child.wait().unwrap();
    let replica = runtime.block_on(target.store.get(&id())).unwrap();
    assert!(!replica.status.has_data(), "half an image is {}", replica.status);
    course
}

/// Looks from time to time, until `span` has passed.
fn watch(child: &mut Child, target: &HollowSite, span: Duration) -> Vec<Seen> {
    let begin = Instant::now();
    let interval = (span / 40).min(Duration::from_secs(1));
    let mut course = Vec::new();
    while begin.elapsed() < span {
        sleep(interval);
        assert_eq!(child.try_wait().unwrap(), None, "it ended");
        let sample = Sample::take(child.id(), begin).unwrap();
        course.push(Seen { sample, moved: target.meter.received() });
    }
    course
}

fn judge(course: &[Seen], span: Duration) {
    let samples: Vec<Sample> = course.iter().map(|seen| seen.sample).collect();
    let (early, late) = early_and_late(&samples, |sample| sample.rss);
    assert!(late <= early + GROWTH, "{late} KiB in the last half, {early} KiB early on");
    let peak = samples.iter().map(|sample| sample.peak).max().unwrap();
    assert!(peak <= PEAK, "{peak} KiB at the most");
    let (early, late) = early_and_late(&samples, |sample| sample.files);
    assert!(late <= early + 2, "{late} open files in the last half, {early} early on");
    // What else a machine does shows in shorter spans.
    if span >= Duration::from_secs(600) {
        let quarter = course.len() / 4;
        let (first, last) = (rate(&course[..quarter]), rate(&course[course.len() - quarter..]));
        assert!(last >= 0.7 * first, "{last:.0} MiB/s in the end, {first:.0} at first");
    }
}

/// MiB per second from the first instant to the last.
fn rate(course: &[Seen]) -> f64 {
    let (Some(first), Some(last)) = (course.first(), course.last()) else { return 0.0 };
    let span = last.sample.after.saturating_sub(first.sample.after);
    mib(last.moved - first.moved) / span.as_secs_f64()
}

fn mib(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX)) / 1024.0
}

/// The course in ten parts.
fn written(course: &[Seen], span: Duration) -> String {
    let mut table = HEAD.to_owned();
    for part in course.chunks(course.len().div_ceil(10)) {
        let Some(Seen { sample, moved }) = part.last() else { continue };
        let Sample { after, rss, files, .. } = sample;
        let (minute, gib, rate) = (after.as_secs_f64() / 60.0, mib(*moved) / 1024.0, rate(part));
        let rss = mib(rss << 10);
        let _ = writeln!(table, "| {minute:.1} | {gib:.1} | {rate:.0} | {rss:.1} | {files} |");
    }
    let peak = course.iter().map(|seen| seen.sample.peak).max().unwrap_or_default();
    let _ = writeln!(table, "\n{} s; at the most {:.1} MiB", span.as_secs(), mib(peak << 10));
    table
}

/// Of the image: 500 GiB.
const SIZE: u64 = 500 << 30;

/// How much more memory may be taken late than early on, KiB.
const GROWTH: u64 = 8 << 10;

/// How much memory may be taken at all, KiB.
const PEAK: u64 = 64 << 10;

const HEAD: &str = "| minute | GiB moved | MiB/s | RSS, MiB | open files |\n\
    | --- | --- | --- | --- | --- |\n";
