//! Kills runs with `kill -9` at random instants, and then runs the command again.

use std::fmt::Write as _;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::common::{Run, replicator_with, start_with};
use crate::support::extent::Chance;

/// The command to kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Livecopy,
    Sync,
    Dump,
    Load,
}

impl Work {
    pub(crate) const ALL: [Self; 4] = [Self::Livecopy, Self::Sync, Self::Dump, Self::Load];
}

/// The stores between which the commands run.
pub(crate) trait Ground {
    /// Empties the target.
    fn clear(&mut self, work: Work);

    /// The command line.
    fn line(&self, work: Work, stack: &str) -> Vec<String>;

    /// The environment variables of the command.
    fn variables(&self) -> Vec<(String, String)>;

    /// The number of complete images at the target, and the violations seen there.
    fn look(&mut self, work: Work) -> (usize, Vec<String>);

    /// The differences between target and source.
    fn judge(&mut self, work: Work) -> Vec<String>;
}

/// Kills `count` runs at random instants, and completes each with another run. Returns the table.
///
/// # Panics
/// Panics with the table if any outcome is wrong.
pub(crate) fn sweep(ground: &mut impl Ground, stacks: &[&str], count: usize) -> String {
    let mut chance = Chance::new();
    let mut spans = Work::ALL.map(|work| span(ground, work, stacks[0]));
    let mut table = format!("seed {}\n\n{HEAD}", chance.seed);
    let mut complaints = Vec::new();
    for number in 0..count {
        let work = Work::ALL[number % Work::ALL.len()];
        let stack = stacks[number / Work::ALL.len() % stacks.len()];
        let span = &mut spans[number % Work::ALL.len()];
        let mut instant = span.mul_f64(chance.fraction());
        let mut round = kill(ground, work, stack, instant);
        // A run that ended before the kill was faster than estimated.
        while round.is_none() {
            *span = span.mul_f64(0.95);
            instant = span.mul_f64(chance.fraction());
            round = kill(ground, work, stack, instant);
        }
        let Some(Round { whole, again, found }) = round else { continue };
        let end = if found.is_empty() { "exact".to_owned() } else { found.join("; ") };
        let ms = instant.as_millis();
        let _ =
            writeln!(table, "| {number} | {work:?} | {stack} | {ms} | {whole} | {again} | {end} |");
        complaints.extend(found.iter().map(|what| format!("{number}: {what}")));
    }
    print(&table);
    assert!(complaints.is_empty(), "{table}\n{}", complaints.join("\n"));
    table
}

/// The duration of an undisturbed run, which must succeed.
fn span(ground: &mut impl Ground, work: Work, stack: &str) -> Duration {
    ground.clear(work);
    let begin = Instant::now();
    run(ground, work, stack).exits(0);
    let span = begin.elapsed();
    assert_eq!(ground.judge(work), Vec::<String>::new(), "{work:?}, undisturbed");
    span
}

/// The outcome of a kill.
struct Round {
    /// Number of complete images at that instant.
    whole: usize,
    /// Number of runs until the copy was complete.
    again: usize,
    found: Vec<String>,
}

fn kill(ground: &mut impl Ground, work: Work, stack: &str, instant: Duration) -> Option<Round> {
    ground.clear(work);
    let mut child = start_with(&ground.line(work, stack), &ground.variables());
    sleep(instant);
    if child.try_wait().unwrap().is_some() {
        return None;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let (whole, mut found) = ground.look(work);
    let mut again = 1;
    let mut last = run(ground, work, stack);
    // The server notices the broken upload with a delay.
    while last.code == Some(3) && last.stderr.contains(" saving") && again < 100 {
        sleep(Duration::from_millis(200));
        last = run(ground, work, stack);
        again += 1;
    }
    if last.code != Some(0) {
        found.push(format!("exit {:?}: {}", last.code, last.stderr.replace('\n', " / ")));
    }
    found.extend(ground.look(work).1);
    found.extend(ground.judge(work));
    Some(Round { whole, again, found })
}

fn run(ground: &impl Ground, work: Work, stack: &str) -> Run {
    let (line, variables) = (ground.line(work, stack), ground.variables());
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    replicator_with(&line, &variables)
}

/// Stores a table for later inspection.
pub(crate) fn keep(name: &str, table: &str) {
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name), table).unwrap();
}

const HEAD: &str = "| # | killed | stack | after, ms | whole by then | runs after | end |\n\
    | --- | --- | --- | --- | --- | --- | --- |\n";

#[expect(clippy::print_stdout, reason = "the table is what the sweep is run for")]
pub(crate) fn print(table: &str) {
    println!("{table}");
}
