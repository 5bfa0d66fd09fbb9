//! The tool's own limits: nginx as the source, and targets that discard the data.

use std::cell::RefCell;

use super::measure::{Race, Target, Way, cost};
use super::programs::Programs;
use super::server::{ID, Server};
use super::sink::Sink;
use crate::failure::{Context, Failure};
use crate::output::{print, say};

const MIB: usize = 4096;
const FAN_MIB: usize = 1024;

/// Bytes per second that each of several targets accepts. Four targets at full speed would need
/// more than the two cores that tool and servers share.
const FAN_RATE: u64 = 100 << 20;

/// Copies 4 GiB between endpoints that cost as little CPU as possible.
pub(crate) fn copy() -> Result<(), Failure> {
    let programs = Programs::build()?;
    let directory = programs.directory.join("fast");
    let source = Server::start(&directory, MIB)?;
    let (from, ca) = (&source.url, source.ca.display());
    let sink = RefCell::new(Sink::start(&programs, &directory, &source.sha512, None)?);
    let fresh = || {
        *sink.borrow_mut() = Sink::start(&programs, &directory, &source.sha512, None)?;
        Ok(())
    };
    // A sink remembers image ids, so each run gets a new sink and reads its address from a file.
    let address = directory.join("sink");
    let note =
        || std::fs::write(&address, &sink.borrow().url).context(|| "cannot write the address");
    note()?;
    let between = || fresh().and_then(|()| note());
    let to = format!("$(cat {})", address.display());
    let script = directory.join("curl.sh");
    std::fs::write(&script, include_str!("../../bench/curl.sh")).context(|| "curl.sh")?;
    let curl = |how| {
        let (script, bytes) = (script.display(), MIB << 20);
        format!("export CA={ca} TOKEN=none; bash {script} {how} {from} {to} {ID} {bytes}")
    };
    let mut ways = vec![
        Way::peer("curl \\| curl, Content-Length", curl("length")),
        Way::peer("curl \\| curl, chunked", curl("chunked")),
        Way::peer("curl \\| tee \\| curl, and sha512sum", curl("hashed")),
    ];
    for (name, stack) in STACKS {
        let line = programs.tool(&format!("livecopy {from} {to} --tls {stack}"), &source.ca);
        ways.push(Way::ours(name, line, &[Target::Wall(1.0), Target::Rss(40.0)]));
    }
    let title = "1 × 4 GiB, fast endpoints (nginx, and a sink)";
    Race { title, amount: (4.0, "GiB"), rounds: 5, ways, between: Some(&between) }.run()
}

/// Copies 1 GiB to four targets of 100 MiB/s each.
pub(crate) fn fan_out() -> Result<(), Failure> {
    let programs = Programs::build()?;
    let directory = programs.directory.join("fan");
    let source = Server::start(&directory, FAN_MIB)?;
    let from = &source.url;
    print("\n## 1 GiB to targets that take 100 MiB/s each\n");
    print("| TLS | targets | wall s | CPU s | peak RSS MiB | read at the source × | targets |");
    print("| --- | --- | --- | --- | --- | --- | --- |");
    for (name, stack) in STACKS {
        let mut single = 0.0;
        for count in [1, 4] {
            let mut sinks = Vec::new();
            for _ in 0..count {
                sinks.push(Sink::start(&programs, &directory, &source.sha512, Some(FAN_RATE))?);
            }
            let to: Vec<&str> = sinks.iter().map(|sink| sink.url.as_str()).collect();
            let words = format!("livecopy {from} {} --tls {stack}", to.join(" "));
            source.take_sent()?;
            say(format_args!("bench: {name}, {count} targets"));
            let took = cost(&programs.tool(&words, &source.ca))?;
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            let read = source.take_sent()? as f64 / (FAN_MIB << 20) as f64;
            if count == 1 {
                single = took.wall;
            }
            let verdict = |held| if held { "held" } else { "MISSED" };
            let targets = format!(
                "read ≤ 1.02: {}; wall ≤ 1.3 × one: {}",
                verdict(read <= 1.02),
                verdict(took.wall <= 1.3 * single)
            );
            let super::measure::Cost { wall, cpu, rss } = took;
            print(format_args!(
                "| {name} | {count} | {wall:.2} | {cpu:.2} | {rss:.0} | {read:.4} | {targets} |"
            ));
        }
    }
    Ok(())
}

/// Measures the cost of starting the tool.
pub(crate) fn start() -> Result<(), Failure> {
    let programs = Programs::build()?;
    let directory = programs.directory.join("start");
    std::fs::create_dir_all(&directory).context(|| "cannot make a directory")?;
    crate::demo_site::write_certificates(&directory, "localhost")?;
    let sinks = [
        Sink::start(&programs, &directory, "", None)?,
        Sink::start(&programs, &directory, "", None)?,
    ];
    let (one, other) = (&sinks[0].url, &sinks[1].url);
    let times = |line: &str| format!("for n in $(seq 1 {TIMES}); do {line}; done");
    let most = |seconds: f64| [Target::CpuSeconds(seconds * f64::from(TIMES))];
    let version = format!("{} --version", programs.program("glance-replicator-under-test"));
    let mut ways = vec![Way::ours("--version", times(&version), &most(0.010))];
    for (name, stack) in [("compare, rustls", "rustls"), ("compare, native", "native")] {
        let words = format!("compare {one} {other} --tls {stack}");
        let line = programs.tool(&words, &directory.join("ca.pem"));
        ways.push(Way::ours(name, times(&line), &most(0.060)));
    }
    let title = "Starting, 20 times: the version, and `compare` of two empty stores";
    Race { title, amount: (f64::from(TIMES), "starts"), rounds: 3, ways, between: None }.run()
}

const TIMES: u32 = 20;

const STACKS: [(&str, &str); 2] = [("livecopy, rustls", "rustls"), ("livecopy, native", "native")];
