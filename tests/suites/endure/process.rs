//! The resources that a process uses while it runs, from `/proc`.

use std::fs;
use std::process::Child;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::common::Run;

/// The resources of a process at one instant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) after: Duration,
    /// Resident memory, KiB.
    pub(crate) rss: u64,
    /// Peak resident memory so far, KiB.
    pub(crate) peak: u64,
    /// Open file descriptors.
    pub(crate) files: u64,
}

impl Sample {
    /// Samples a process that started at `begin`; `None` if the process has ended.
    pub(crate) fn take(pid: u32, begin: Instant) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let files = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
        let (rss, peak) = (number("VmRSS:")?, number("VmHWM:")?);
        Some(Self { after: begin.elapsed(), rss, peak, files })
    }
}

/// Waits for a process to end, and takes samples until then.
pub(crate) fn watched(child: Child, interval: Duration) -> (Run, Vec<Sample>) {
    let (pid, begin) = (child.id(), Instant::now());
    let (ended, end) = channel::<()>();
    let watcher = thread::spawn(move || {
        let mut samples = Vec::new();
        while end.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
            samples.extend(Sample::take(pid, begin));
        }
        samples
    });
    let run = Run::of(child.wait_with_output().unwrap());
    drop(ended);
    (run, watcher.join().unwrap())
}

/// The maximum during the second tenth of the time, when the run is in full swing, and the maximum
/// during the second half.
pub(crate) fn early_and_late(samples: &[Sample], of: fn(&Sample) -> u64) -> (u64, u64) {
    let count = samples.len();
    let early = &samples[count / 10..(count / 5).max(count / 10 + 1)];
    let most = |samples: &[Sample]| samples.iter().map(of).max().unwrap_or_default();
    (most(early), most(&samples[count / 2..]))
}
