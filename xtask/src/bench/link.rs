//! Copies over emulated links: for each latency, loss and capacity, the rate of `--streams auto` next
//! to fixed numbers of streams, and next to other tools that read the same source.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::far_end::{Conditions, FAR, Link, NAME};
use super::measure::look_at;
use super::programs::Programs;
use super::server::{ID, Server};
use super::sink::Sink;
use crate::failure::{Context, Failure};
use crate::output::{print, say};
use crate::shell::{find, install};

const MIB: usize = 2048;

/// The fixed numbers of streams.
const FIXED: [usize; 5] = [1, 2, 4, 8, 16];

/// The time of a measurement. The first part, in which the numbers are still adjusted and TCP is
/// still in slow start, does not count.
const TIME: Duration = Duration::from_secs(40);
const WARM: Duration = Duration::from_secs(20);

/// Round-trip times in seconds, fractions of lost packets, and bytes per second; 0 for no limit.
const LATENCIES: [f64; 4] = [0.001, 0.02, 0.1, 0.25];
const LOSSES: [f64; 3] = [0.0, 0.001, 0.01];
const CAPACITIES: [f64; 2] = [12_500_000.0, 0.0];

/// Measures every cell of the matrix.
pub(crate) fn run() -> Result<(), Failure> {
    let programs = Programs::build()?;
    for (package, program) in [("rclone", "rclone"), ("aria2", "aria2c")] {
        if find(program).is_none() {
            install(&[package])?;
        }
    }
    print("\n## Links: MiB/s after 20 s\n");
    let fixed = FIXED.map(|streams| format!("{streams} | ")).concat();
    print(format_args!(
        "| link | curl | aria2c -x 16 | rclone, 16 | {fixed}auto | auto / best | peak RSS MiB | targets |"
    ));
    print(format_args!("|{}", " --- |".repeat(8 + FIXED.len())));
    for capacity in CAPACITIES {
        for latency in LATENCIES {
            for loss in LOSSES {
                cell(&programs, Conditions { latency, loss, capacity })?;
            }
        }
    }
    Ok(())
}

/// The rate and the memory of one tool.
struct Measured {
    /// In MiB per second.
    rate: f64,
    /// Peak memory of the largest process, in MiB.
    rss: f64,
}

fn cell(programs: &Programs, conditions: Conditions) -> Result<(), Failure> {
    let directory = programs.directory.join("link");
    let _link = Link::make(&directory, conditions)?;
    let source = Server::start_at(&directory, MIB, FAR, &["ip", "netns", "exec", NAME])?;
    let (from, ca) = (&source.url, source.ca.display());
    let file = format!("{from}/v2/images/{ID}/file");
    let scratch = directory.join("scratch");
    let tool = |streams: &str| -> Result<Measured, Failure> {
        let sink = Sink::start(programs, &directory, &source.sha512, None)?;
        let words = format!("livecopy {from} {} --streams {streams}", sink.url);
        measured(&programs.tool(&words, &source.ca))
    };
    let other = |line: String| -> Result<Measured, Failure> {
        fs::create_dir_all(&scratch).context(|| "cannot make a directory")?;
        let measured = measured(&line);
        fs::remove_dir_all(&scratch).context(|| "cannot remove what was stored")?;
        measured
    };
    let into = scratch.display();
    let others = [
        other(format!("curl -sSf --cacert {ca} -o {into}/data {file}"))?,
        other(format!(
            "aria2c -q -x 16 -s 16 -k 8M --file-allocation=none --ca-certificate={ca} -d {into} -o data {file}"
        ))?,
        other(format!(
            "rclone --config /dev/null --ca-cert {ca} --multi-thread-streams 16 --multi-thread-cutoff 1M \
             --http-url {from}/v2/images/{ID} copyto :http:file {into}/data"
        ))?,
    ];
    let mut fixed = Vec::new();
    for streams in FIXED {
        fixed.push(tool(&streams.to_string())?);
    }
    let auto = tool("auto")?;
    report(conditions, &others, &fixed, &auto);
    Ok(())
}

fn report(conditions: Conditions, others: &[Measured], fixed: &[Measured], auto: &Measured) {
    let best = fixed.iter().map(|one| one.rate).fold(0.0, f64::max);
    let mut targets =
        vec![("≥ 0.9 × best", auto.rate >= 0.9 * best), ("≤ 256 MiB", auto.rss <= 256.0)];
    if conditions.latency <= 0.001 {
        targets.push(("≥ 0.98 × one stream", auto.rate >= 0.98 * fixed[0].rate));
    }
    let verdict =
        |(what, held): &(&str, bool)| format!("{what}: {}", if *held { "held" } else { "MISSED" });
    let verdicts: Vec<String> = targets.iter().map(verdict).collect();
    let rates = others.iter().chain(fixed).chain([auto]);
    let rates: Vec<String> = rates.map(|one| format!("{:.2}", one.rate)).collect();
    print(format_args!(
        "| {conditions} | {} | {:.2} | {:.0} | {} |",
        rates.join(" | "),
        auto.rate / best,
        auto.rss,
        verdicts.join("; ")
    ));
}

/// Runs a command line for [`TIME`] at most, and measures what arrives over the link after [`WARM`].
fn measured(line: &str) -> Result<Measured, Failure> {
    say(format_args!("bench: {line}"));
    let mut command = Command::new("bash");
    command.args(["-c", &format!("exec {line}")]).stdout(Stdio::null());
    let mut process = Running(command.spawn().context(|| "cannot run bash")?);
    let (begin, mut peaks) = (Instant::now(), BTreeMap::new());
    let mut first = (begin, received()?);
    let mut last = first;
    while begin.elapsed() < TIME {
        sleep(LOOK);
        if let Some(status) = process.0.try_wait().context(|| "cannot wait")? {
            if !status.success() {
                return Err(Failure::new(format!("{line}: {status}")));
            }
            break;
        }
        look_at(process.0.id(), &mut peaks);
        last = (Instant::now(), received()?);
        // A short run counts as a whole.
        if begin.elapsed() < WARM + LOOK && begin.elapsed() >= WARM {
            first = last;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mib = (last.1 - first.1) as f64 / f64::from(1 << 20);
    let rate = mib / (last.0 - first.0).as_secs_f64().max(0.001);
    Ok(Measured { rate, rss: peaks.into_values().fold(0.0, f64::max) })
}

/// Bytes that arrived over the link so far.
fn received() -> Result<u64, Failure> {
    let path = format!("/sys/class/net/{NAME}/statistics/rx_bytes");
    let text = fs::read_to_string(&path).context(|| path.clone())?;
    text.trim().parse().map_err(|_| Failure::new(format!("{path}: {text}")))
}

/// A process; dropping the value stops it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const LOOK: Duration = Duration::from_millis(100);
