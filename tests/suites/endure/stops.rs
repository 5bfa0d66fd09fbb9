//! Signals and `--max-duration` at random instants of a run. The run never exits with 0 while
//! images are missing, and `resume` or a second run completes it.

use std::fmt::Write as _;
use std::process::Child;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;

use crate::suites::endure::embedded::Embedded;
use crate::support::common::{Run, replicator_with, send, start_heard};
use crate::support::extent::{Chance, extent};
use crate::support::sweep::{Ground, Work, keep, print};

/// The reason for which a run stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Interrupt,
    Terminate,
    Time,
}

impl By {
    const ALL: [Self; 3] = [Self::Interrupt, Self::Terminate, Self::Time];

    fn exit(self) -> i32 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
            Self::Time => 10,
        }
    }
}

#[test]
fn a_run_that_is_stopped_at_any_instant_says_so_and_is_completed() {
    let mut ground = Embedded::new();
    let stacks = ground.stacks();
    let mut chance = Chance::new();
    let mut table = format!("seed {}\n\n{HEAD}", chance.seed);
    let mut complaints = Vec::new();
    let mut stopped = 0;
    for number in 0..extent("ENDURE_STOPS", 12) {
        let work = Work::ALL[number % 4];
        let by = By::ALL[number / 4 % 3];
        let turn = number / 12;
        let round = Round {
            work,
            by,
            stack: stacks[(turn / 2 + number / 2) % stacks.len()],
            is_single: (turn + number + number / 4) % 2 == 0,
            // `resume` keeps the time limit too, which may be too short for an image.
            resumes: by != By::Time && (turn / 4 + number) % 2 == 0,
            fraction: chance.fraction(),
        };
        let (code, found) = round.run(&mut ground);
        stopped += usize::from(code == Some(by.exit()));
        let end = if found.is_empty() { "exact".to_owned() } else { found.join("; ") };
        let _ = writeln!(table, "| {number} | {round:?} | {code:?} | {end} |");
        complaints.extend(found.iter().map(|what| format!("{number}: {what}")));
    }
    print(&table);
    keep("stops.md", &table);
    assert!(complaints.is_empty(), "{table}\n{}", complaints.join("\n"));
    assert!(stopped > 0, "no run was stopped before its end\n{table}");
}

/// A run that is stopped, and the run that completes it.
#[derive(Debug)]
struct Round {
    work: Work,
    by: By,
    stack: &'static str,
    /// Whether the run copies one image, or all images concurrently.
    is_single: bool,
    /// Whether `resume` completes the run, or the same command.
    resumes: bool,
    fraction: f64,
}

impl Round {
    /// The exit code of the stopped run, and the violations.
    fn run(&self, ground: &mut Embedded) -> (Option<i32>, Vec<String>) {
        ground.clear(self.work);
        let mut found = Vec::new();
        let first = self.stopped(ground);
        if ![Some(0), Some(self.by.exit())].contains(&first.code) {
            found.push(format!("exit {:?}: {}", first.code, first.stderr.replace('\n', " / ")));
        }
        if first.code == Some(0) {
            found.extend(self.judge(ground));
            return (first.code, found);
        }
        // A signal before the run has begun ends the process immediately, and leaves no run to
        // resume.
        let has_begun =
            self.by == By::Time || first.stderr.contains("breaking off the copies in progress");
        let listed = run(ground, &["resume", "-n"]);
        if listed.code != Some(i32::from(has_begun)) {
            found.push(format!("begun: {has_begun}, but the journal says: {}", listed.stdout));
        }
        let resumes = self.resumes && has_begun;
        let line = self.line(ground, false);
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        let mut last = run(ground, if resumes { &["resume"] } else { &line });
        // The server notices the broken upload with a delay.
        for _ in 0..20 {
            if last.code != Some(3) || !last.stderr.contains(" saving") {
                break;
            }
            sleep(Duration::from_millis(100));
            last = run(ground, if resumes { &["resume"] } else { &line });
        }
        if last.code != Some(0) {
            found.push(format!("then exit {:?}: {}", last.code, last.stderr.replace('\n', " / ")));
        }
        found.extend(ground.look(self.work).1);
        found.extend(self.judge(ground));
        (first.code, found)
    }

    fn stopped(&self, ground: &Embedded) -> Run {
        let line = self.line(ground, true);
        let child = start_heard(&line, &ground.variables());
        let instant = Duration::from_secs_f64(0.1 + 1.6 * self.fraction);
        match self.by {
            By::Time => {}
            By::Interrupt => send_after(instant, Signal::INT, &child),
            By::Terminate => send_after(instant, Signal::TERM, &child),
        }
        Run::of(child.wait_with_output().unwrap())
    }

    /// The first run is limited to 3 MiB/s, so that the largest image alone takes over a second.
    fn line(&self, ground: &Embedded, is_slow: bool) -> Vec<String> {
        let mut line = ground.line(self.work, self.stack);
        let rate = line.iter().position(|word| word == "--bwlimit").unwrap();
        if is_slow { "3M" } else { "off" }.clone_into(&mut line[rate + 1]);
        if self.is_single {
            line.extend(["--name".to_owned(), "large".to_owned()]);
        }
        if self.by == By::Time && is_slow {
            line.extend(["--max-duration", "1s"].map(str::to_owned));
        }
        line
    }

    fn judge(&self, ground: &mut Embedded) -> Vec<String> {
        ground.judge_those(self.work, |name| !self.is_single || name == "large")
    }
}

/// Sends a signal after a delay, unless the process has ended before.
fn send_after(time: Duration, signal: Signal, child: &Child) {
    sleep(time);
    send(signal, child);
}

fn run(ground: &Embedded, line: &[&str]) -> Run {
    let variables = ground.variables();
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    replicator_with(line, &variables)
}

const HEAD: &str = "| # | round | exit code | end |\n| --- | --- | --- | --- |\n";
