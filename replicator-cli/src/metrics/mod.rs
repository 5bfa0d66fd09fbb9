//! The metrics file of `--metrics`, for the textfile collector of `node_exporter`.
//!
//! Every metric is a gauge that describes the last run of a command. The file is replaced at the
//! end of the command, whatever the result, so that a monitor also sees a command that failed
//! before its run.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use glance_core::clock;
use replicator_engine::{Outcome, State};

use crate::certificates::{self, StoreCertificate};
use crate::error::CliError;
use crate::exit::Exit;
use crate::named_file::{NamedFile, let_others_read};
use counts::Counts;
pub(crate) use counts::state;
use text::{Earlier, Labels, MetricsText, series};

mod counts;
mod text;

/// The command that the metrics are about.
#[derive(Debug)]
pub(crate) struct MetricsSubject {
    /// The name of the job in a job file, or of the command.
    pub(crate) job: String,
    /// The source, as typed.
    pub(crate) source: String,
    /// The targets, as typed. A command without targets has one empty name.
    pub(crate) targets: Vec<String>,
    /// The states of an image that the command reports.
    pub(crate) states: Vec<&'static str>,
    /// The TLS library in use.
    pub(crate) tls: String,
}

/// The states of an image in the report of a run.
pub(crate) const RUN_STATES: &[&str] = &counts::OF_RUNS;

/// The verdicts on images and files of `verify`.
pub(crate) const VERIFY_STATES: &[&str] = &counts::OF_VERIFY;

/// The states of an image in the report of a comparison.
pub(crate) fn comparison_states() -> Vec<&'static str> {
    State::ALL.into_iter().map(State::as_str).collect()
}

/// A metrics file that is written at the end of the command.
#[derive(Debug)]
struct Metrics {
    path: PathBuf,
    file: NamedFile,
    earlier: Earlier,
    begun: Instant,
    subject: MetricsSubject,
    /// The counts of each target.
    each: Vec<Counts>,
}

/// Begins to count for this metrics file. An earlier file of this name stays until the end.
pub(crate) fn begin(path: &Path, subject: MetricsSubject) -> Result<(), CliError> {
    // Special files are only written.
    let is_file = fs::metadata(path).is_ok_and(|found| found.is_file());
    let earlier =
        if is_file { fs::read_to_string(path).unwrap_or_default() } else { String::new() };
    let file = NamedFile::create(path).map_err(|error| cannot_write(path, error))?;
    let counts = || Counts::of(&subject.states);
    *metrics() = Some(Metrics {
        path: path.to_owned(),
        file,
        earlier: Earlier::read(&earlier),
        begun: Instant::now(),
        each: subject.targets.iter().map(|_| counts()).collect(),
        subject,
    });
    Ok(())
}

/// Counts the outcome of one image of a run, and the `bytes` that were copied. `target` is the name
/// of the target if there are several.
pub(crate) fn outcome(target: Option<&str>, outcome: &Outcome, bytes: u64) {
    count(target, |counts| counts.outcome(outcome, bytes));
}

/// Counts an image with this state, and a failure if `exit` is that of a failure.
pub(crate) fn image(state: &'static str, exit: Exit) {
    count(None, |counts| counts.image(state, exit));
}

/// Counts a failure that is not that of an image, such as a damaged file of a dump.
pub(crate) fn failure(exit: Exit) {
    count(None, |counts| counts.failure(exit));
}

/// Records the number of images that a run did not start at a target.
pub(crate) fn not_started(target: Option<&str>, images: u64) {
    count(target, |counts| counts.not_started(images));
}

/// Records the exit of a run for one of several targets.
pub(crate) fn ended(target: Option<&str>, exit: Exit) {
    count(target, |counts| counts.exit = Some(exit));
}

/// Writes the metrics file of a command with this exit, if there is one.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn end(exit: Exit) -> Result<(), CliError> {
    let Some(metrics) = metrics().take() else { return Ok(()) };
    let path = metrics.path.clone();
    metrics.end(exit).map_err(|error| cannot_write(&path, error))
}

fn cannot_write(path: &Path, error: io::Error) -> CliError {
    CliError::unwritten(format!("cannot write the metrics file {}", path.display()), error)
        .hint("name a file in a directory that this user can write to")
}

fn count(target: Option<&str>, change: impl FnOnce(&mut Counts)) {
    let mut metrics = metrics();
    let Some(metrics) = &mut *metrics else { return };
    let index = match target {
        None => Some(0),
        Some(target) => metrics.subject.targets.iter().position(|name| name == target),
    };
    if let Some(counts) = index.and_then(|index| metrics.each.get_mut(index)) {
        change(counts);
    }
}

/// A panic of another thread does not invalidate the counts.
fn metrics() -> MutexGuard<'static, Option<Metrics>> {
    METRICS.lock().unwrap_or_else(PoisonError::into_inner)
}

static METRICS: Mutex<Option<Metrics>> = Mutex::new(None);

impl Metrics {
    fn end(mut self, exit: Exit) -> io::Result<()> {
        let is_single = self.each.len() == 1;
        for counts in &mut self.each {
            // The exit of the process is that of the only target, and of targets without a run.
            let of_target = counts.exit.filter(|_| !is_single).unwrap_or(exit);
            counts.close(of_target);
        }
        let text = self.text(clock::seconds(), self.begun.elapsed(), &certificates::seen());
        self.file.write_all(text.as_bytes())?;
        // node_exporter runs as another user. The metrics contain nothing secret.
        let_others_read(self.file.file())?;
        self.file.keep()
    }

    /// The labels of every sample. `target` may name all targets.
    fn labels<'a>(&'a self, target: &'a str) -> Labels<'a> {
        let MetricsSubject { job, source, .. } = &self.subject;
        vec![("job_name", job.as_str()), ("source", source.as_str()), ("target", target)]
    }

    fn text(&self, now: u64, took: Duration, certificates: &[StoreCertificate]) -> String {
        let mut text = MetricsText::default();
        let all = self.subject.targets.join(" ");
        let mut labels = self.labels(&all);
        labels.extend([("version", env!("CARGO_PKG_VERSION")), ("tls", &*self.subject.tls)]);
        text.gauge(BUILD_INFO, "Version and TLS library of the tool; the value is 1.");
        text.sample(BUILD_INFO, &labels, 1);
        self.add_run(now, took, &mut text);
        self.add_counts(&mut text);
        self.add_certificates(&all, certificates, &mut text);
        text.finish()
    }

    /// Adds the metrics of the run at each target.
    fn add_run(&self, now: u64, took: Duration, text: &mut MetricsText) {
        text.gauge(LAST_RUN, "End of the last run, in seconds since 1970.");
        self.add(text, LAST_RUN, |_| now);
        text.gauge(LAST_SUCCESS, "End of the last run with exit code 0; 0 if there was none.");
        for (target, counts) in self.targets() {
            let labels = self.labels(target);
            let kept = self.earlier.value(&series(LAST_SUCCESS, &labels)).unwrap_or("0");
            match counts.exit {
                Some(Exit::Success) => text.sample(LAST_SUCCESS, &labels, now),
                _ => text.sample(LAST_SUCCESS, &labels, kept),
            }
        }
        text.gauge(DURATION, "Duration of the last run.");
        self.add(text, DURATION, |_| format!("{:.3}", took.as_secs_f64()));
        text.gauge(EXIT_CODE, "Exit code of the last run.");
        self.add(text, EXIT_CODE, |counts| counts.exit.map_or(0, |exit| exit as u8));
    }

    /// Adds what the last run counted at each target.
    fn add_counts(&self, text: &mut MetricsText) {
        text.gauge(IMAGES, "Images of the last run by state.");
        self.add_each(text, IMAGES, "state", |counts| &counts.states);
        text.gauge(BYTES, "Image data that the last run copied.");
        self.add(text, BYTES, |counts| counts.bytes);
        text.gauge(FAILURES, "Failures of the last run by kind.");
        self.add_each(text, FAILURES, "kind", |counts| &counts.failures);
        text.gauge(LOST, "Images that lost their owner or members in the last run.");
        self.add_each(text, LOST, "kind", |counts| &counts.lost);
        text.gauge(VERIFY_FAILURES, "Images of the last run whose data is not as it should be.");
        self.add(text, VERIFY_FAILURES, Counts::integrity_failures);
    }

    /// Adds the ends of the validity of certificates. A run that reached no server keeps those of
    /// the earlier file: the certificate may be the reason.
    fn add_certificates(
        &self,
        all: &str,
        certificates: &[StoreCertificate],
        text: &mut MetricsText,
    ) {
        text.gauge(CERTIFICATE, "End of the validity of a server's certificate.");
        for certificate in certificates {
            let mut labels = self.labels(all);
            labels.extend([("side", &*certificate.side), ("server", &*certificate.server)]);
            text.sample(CERTIFICATE, &labels, certificate.expires());
        }
        if certificates.is_empty() {
            self.earlier.lines(CERTIFICATE).for_each(|line| text.line(&line));
        }
    }

    fn targets(&self) -> impl Iterator<Item = (&String, &Counts)> {
        self.subject.targets.iter().zip(&self.each)
    }

    /// Adds a sample for each target.
    fn add<V: std::fmt::Display>(
        &self,
        text: &mut MetricsText,
        name: &str,
        value: impl Fn(&Counts) -> V,
    ) {
        for (target, counts) in self.targets() {
            text.sample(name, &self.labels(target), value(counts));
        }
    }

    /// Adds the samples of a list for each target.
    fn add_each(
        &self,
        text: &mut MetricsText,
        name: &str,
        label: &'static str,
        list: impl Fn(&Counts) -> &counts::List,
    ) {
        for (target, counts) in self.targets() {
            for (word, number) in list(counts) {
                let mut labels = self.labels(target);
                labels.push((label, *word));
                text.sample(name, &labels, number);
            }
        }
    }
}

const BUILD_INFO: &str = "glance_replicator_build_info";
const LAST_RUN: &str = "glance_replicator_last_run_timestamp_seconds";
const LAST_SUCCESS: &str = "glance_replicator_last_success_timestamp_seconds";
const DURATION: &str = "glance_replicator_run_duration_seconds";
const EXIT_CODE: &str = "glance_replicator_run_exit_code";
const IMAGES: &str = "glance_replicator_images";
const BYTES: &str = "glance_replicator_copied_bytes";
const FAILURES: &str = "glance_replicator_failures";
const LOST: &str = "glance_replicator_lost_images";
const VERIFY_FAILURES: &str = "glance_replicator_verify_failures";
const CERTIFICATE: &str = "glance_replicator_certificate_expiry_timestamp_seconds";
