//! Ways to do the same work, taking turns.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::failure::{Context, Failure};
use crate::say::{print, say};

/// One way to do the work.
pub(crate) struct Way {
    pub(crate) name: &'static str,
    /// A shell's line.
    pub(crate) line: String,
    /// What is aimed at, as a multiple of the first way's figure.
    pub(crate) target: Option<f64>,
}

/// The figure that targets are about.
#[derive(Clone, Copy)]
pub(crate) enum By {
    Wall,
    Cpu,
}

/// Seconds of one run.
#[derive(Clone, Copy, Default)]
struct Cost {
    wall: f64,
    cpu: f64,
}

impl Cost {
    fn by(self, by: By) -> f64 {
        match by {
            By::Wall => self.wall,
            By::Cpu => self.cpu,
        }
    }
}

/// Has the ways take turns, and prints the medians for `amount` of a unit, such as 2 GiB.
pub(crate) fn race(
    title: &str,
    ways: &[Way],
    by: By,
    (amount, unit): (f64, &str),
) -> Result<(), Failure> {
    let mut costs = vec![Vec::new(); ways.len()];
    for round in 1..=ROUNDS {
        for (way, costs) in ways.iter().zip(&mut costs) {
            say(format_args!("bench: round {round} of {ROUNDS}: {}", way.name));
            costs.push(cost(&way.line)?);
        }
    }
    let medians: Vec<Cost> = costs.iter().map(|costs| median(costs)).collect();
    let first = medians.first().copied().unwrap_or_default();
    print(format_args!(
        "\n## {title}\n\n| way | {unit}/s | CPU s/{unit} | {} | target |",
        by.ratio()
    ));
    print("| --- | --- | --- | --- | --- |");
    for (way, median) in ways.iter().zip(&medians) {
        let ratio = median.by(by) / first.by(by);
        let target = way.target.map_or(String::new(), |target| {
            format!("≤ {target:.2}, {}", if ratio <= target { "held" } else { "MISSED" })
        });
        let (rate, cpu) = (amount / median.wall, median.cpu / amount);
        print(format_args!("| {} | {rate:.2} | {cpu:.2} | {ratio:.2} | {target} |", way.name));
    }
    Ok(())
}

impl By {
    fn ratio(self) -> &'static str {
        match self {
            Self::Wall => "wall, × the first",
            Self::Cpu => "CPU, × the first",
        }
    }
}

fn cost(line: &str) -> Result<Cost, Failure> {
    let (before, begin) = (cpu_of_children()?, Instant::now());
    let status = Command::new("sh").args(["-ec", line]).stdout(Stdio::null()).status();
    let wall = begin.elapsed().as_secs_f64();
    if !status.context(|| "cannot run sh")?.success() {
        return Err(Failure::new(format!("failed: {line}")));
    }
    Ok(Cost { wall, cpu: cpu_of_children()? - before })
}

/// The most memory, in MiB, that a program has at once; `line` is its name and arguments, separated
/// by spaces.
pub(crate) fn peak_rss(line: &str) -> Result<f64, Failure> {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    let mut process =
        command.args(words).stdout(Stdio::null()).spawn().context(|| line.to_owned())?;
    let status = format!("/proc/{}/status", process.id());
    let mut peak = 0.0;
    loop {
        let ended = process.try_wait().context(|| line.to_owned())?;
        if let Some(ended) = ended {
            return match ended.success() {
                true => Ok(peak),
                false => Err(Failure::new(format!("failed: {line}"))),
            };
        }
        let text = fs::read_to_string(&status).unwrap_or_default();
        let high = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = high.and_then(|high| high.trim().trim_end_matches(" kB").parse::<f64>().ok());
        peak = kib.map_or(peak, |kib| kib / 1024.0);
        sleep(Duration::from_millis(2));
    }
}

fn median(costs: &[Cost]) -> Cost {
    let middle = |of: fn(&Cost) -> f64| {
        let mut all: Vec<f64> = costs.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or_default()
    };
    Cost { wall: middle(|cost| cost.wall), cpu: middle(|cost| cost.cpu) }
}

/// Seconds that the children waited for have used: `cutime` and `cstime` of proc(5), in ticks of
/// 1/100 s.
fn cpu_of_children() -> Result<f64, Failure> {
    let stat = fs::read_to_string("/proc/self/stat").context(|| "cannot read /proc/self/stat")?;
    let fields = stat.rsplit_once(") ").map(|(_, fields)| fields).unwrap_or_default();
    let ticks = fields.split(' ').skip(13).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
    Ok(ticks.sum::<f64>() / 100.0)
}

const ROUNDS: usize = 5;
