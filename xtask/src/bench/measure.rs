//! Measures several commands that do the same work, in turns.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::failure::{Context, Failure};
use crate::output::{print, say};

/// A comparison of commands that do the same work.
pub(crate) struct Race<'a> {
    pub(crate) title: &'a str,
    /// The work of one run as a number and its unit, such as 2 GiB.
    pub(crate) amount: (f64, &'a str),
    pub(crate) rounds: usize,
    /// The commands. Those with targets are ours; the others are peers.
    pub(crate) ways: Vec<Way>,
    /// Resets the state after each run, if necessary; not measured.
    pub(crate) between: Option<&'a dyn Fn() -> Result<(), Failure>>,
}

/// One command of a comparison.
pub(crate) struct Way {
    pub(crate) name: &'static str,
    /// A shell command line.
    pub(crate) line: String,
    /// The fraction of the work that the command does; its costs are scaled to the whole.
    pub(crate) part: f64,
    /// The limits that the command has to keep; empty for peers.
    pub(crate) targets: Vec<Target>,
}

/// An upper limit for one figure.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// Wall time, as a multiple of the fastest peer's.
    Wall(f64),
    /// CPU time, as a multiple of the fastest peer's.
    Cpu(f64),
    /// CPU time, in seconds.
    CpuSeconds(f64),
    /// Peak memory, in MiB.
    Rss(f64),
}

/// The cost of one run.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cost {
    /// Wall time in seconds.
    pub(crate) wall: f64,
    /// CPU time of all processes in seconds.
    pub(crate) cpu: f64,
    /// Peak memory of the largest process, in MiB.
    pub(crate) rss: f64,
}

impl Way {
    pub(crate) fn peer(name: &'static str, line: String) -> Self {
        Self { name, line, part: 1.0, targets: Vec::new() }
    }

    pub(crate) fn ours(name: &'static str, line: String, targets: &[Target]) -> Self {
        Self { name, line, part: 1.0, targets: targets.to_vec() }
    }
}

impl Race<'_> {
    /// Runs the commands in turns, and prints the medians.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mut costs = vec![Vec::new(); self.ways.len()];
        for round in 1..=self.rounds {
            for (way, costs) in self.ways.iter().zip(&mut costs) {
                say(format_args!("bench: round {round} of {}: {}", self.rounds, way.name));
                let cost = cost(&way.line)?;
                let (wall, cpu) = (cost.wall / way.part, cost.cpu / way.part);
                costs.push(Cost { wall, cpu, ..cost });
                self.between.map_or(Ok(()), |between| between())?;
            }
        }
        let medians: Vec<Cost> = costs.iter().map(|costs| median(costs)).collect();
        self.report(&medians);
        Ok(())
    }

    fn report(&self, medians: &[Cost]) {
        let peers = self.ways.iter().zip(medians).filter(|(way, _)| way.targets.is_empty());
        let fastest =
            peers.map(|(_, cost)| *cost).min_by(|one, other| one.wall.total_cmp(&other.wall));
        let best = fastest.or(medians.first().copied()).unwrap_or_default();
        let (amount, unit) = self.amount;
        print(format_args!("\n## {}\n", self.title));
        print(format_args!(
            "| way | wall s | CPU s | peak RSS MiB | {unit}/s | wall × | CPU × | targets |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- |"
        ));
        for (way, cost) in self.ways.iter().zip(medians) {
            let targets: Vec<String> =
                way.targets.iter().map(|target| target.judge(*cost, best)).collect();
            let name = match way.part {
                1.0 => way.name.to_owned(),
                part => format!("{} (1/{:.0} of it, scaled)", way.name, 1.0 / part),
            };
            print(format_args!(
                "| {name} | {:.2} | {:.2} | {:.0} | {:.2} | {:.2} | {:.2} | {} |",
                cost.wall,
                cost.cpu,
                cost.rss,
                amount / cost.wall,
                cost.wall / best.wall,
                cost.cpu / best.cpu,
                targets.join("; ")
            ));
        }
    }
}

impl Target {
    fn judge(self, cost: Cost, best: Cost) -> String {
        let (what, got, most) = match self {
            Self::Wall(most) => ("wall ×", cost.wall / best.wall, most),
            Self::Cpu(most) => ("CPU ×", cost.cpu / best.cpu, most),
            Self::CpuSeconds(most) => ("CPU s", cost.cpu, most),
            Self::Rss(most) => ("MiB", cost.rss, most),
        };
        let verdict = if got <= most { "held" } else { "MISSED" };
        format!("{what} ≤ {most}: {verdict}")
    }
}

/// Runs a shell command line.
pub(crate) fn cost(line: &str) -> Result<Cost, Failure> {
    let (before, begin) = (cpu_of_children()?, Instant::now());
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", line]).stdout(Stdio::null());
    let process = command.spawn().context(|| "cannot run bash")?;
    let (rss, wall) = watch(process, begin).context(|| line.to_owned())?;
    Ok(Cost { wall, cpu: cpu_of_children()? - before, rss })
}

/// Waits for a process to end. Returns the peak memory in MiB of the largest process among it and
/// its descendants, and the time until its end in seconds.
fn watch(mut process: Child, begin: Instant) -> Result<(f64, f64), Failure> {
    let mut peaks = BTreeMap::new();
    loop {
        if let Some(status) = process.try_wait().context(|| "cannot wait")? {
            let wall = begin.elapsed().as_secs_f64();
            return match status.success() {
                true => Ok((peaks.into_values().fold(0.0, f64::max), wall)),
                false => Err(Failure::new(status.to_string())),
            };
        }
        look_at(process.id(), &mut peaks);
        sleep(LOOK);
    }
}

/// Records the peak memory of a process and its descendants.
pub(super) fn look_at(process: u32, peaks: &mut BTreeMap<u32, f64>) {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let high = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = high.and_then(|high| high.trim().trim_end_matches(" kB").parse::<f64>().ok());
    if let Some(kib) = kib {
        peaks.insert(process, kib / 1024.0);
    }
    let children = format!("/proc/{process}/task/{process}/children");
    let children = fs::read_to_string(children).unwrap_or_default();
    for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
        look_at(child, peaks);
    }
}

fn median(costs: &[Cost]) -> Cost {
    let middle = |of: fn(&Cost) -> f64| {
        let mut all: Vec<f64> = costs.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or_default()
    };
    Cost { wall: middle(|it| it.wall), cpu: middle(|it| it.cpu), rss: middle(|it| it.rss) }
}

/// CPU time in seconds of all children that were waited for: `cutime` and `cstime` of proc(5), in
/// ticks of 1/100 s.
fn cpu_of_children() -> Result<f64, Failure> {
    let stat = fs::read_to_string("/proc/self/stat").context(|| "cannot read /proc/self/stat")?;
    let fields = stat.rsplit_once(") ").map(|(_, fields)| fields).unwrap_or_default();
    let ticks = fields.split(' ').skip(13).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
    Ok(ticks.sum::<f64>() / 100.0)
}

const LOOK: Duration = Duration::from_millis(5);
