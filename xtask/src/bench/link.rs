//! A long link: a network namespace behind 100 ms of round-trip time and some packet loss.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::measure::{Race, Target, Way};
use super::programs::Programs;
use super::server::{ID, Server};
use super::sink::Sink;
use crate::failure::{Context, Failure};
use crate::shell::{install, succeed};

const MIB: usize = 512;

/// MiB of the image that curl copies, because its single stream is slow. The shorter copy favours
/// curl, as a stream is faster before the first loss. Copies of 32 MiB varied with the losses
/// between 0.6 and 1.5 MiB/s.
const CURL_MIB: usize = 128;

/// Copies one image of 512 MiB from a source 100 ms away over a link that loses 0.1 % of packets.
pub(crate) fn run() -> Result<(), Failure> {
    let programs = Programs::build()?;
    let directory = programs.directory.join("link");
    let _link = Link::make(&directory)?;
    let source = Server::start_at(&directory, MIB, FAR, &["ip", "netns", "exec", NAME])?;
    let (from, ca) = (&source.url, source.ca.display());
    let script = directory.join("curl.sh");
    fs::write(&script, include_str!("../../bench/curl.sh")).context(|| "curl.sh")?;
    let address = directory.join("sink");
    let sink = std::cell::RefCell::new(None);
    let fresh = || {
        let new = Sink::start(&programs, &directory, &source.sha512, None)?;
        fs::write(&address, &new.url).context(|| "cannot write the address")?;
        *sink.borrow_mut() = Some(new);
        Ok(())
    };
    fresh()?;
    let to = format!("$(cat {})", address.display());
    let curl = format!(
        "export CA={ca} TOKEN=none; bash {} length {from} {to} {ID} {} 0-{}",
        script.display(),
        CURL_MIB << 20,
        (CURL_MIB << 20) - 1
    );
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let part = CURL_MIB as f64 / MIB as f64;
    let mut ways = vec![Way { part, ..Way::peer("curl \\| curl", curl) }];
    for (name, stack, streams, targets) in [
        ("livecopy --streams 8, rustls", "rustls", 8, &[Target::Wall(1.0 / 3.0)][..]),
        ("livecopy --streams 8, native", "native", 8, &[Target::Wall(1.0 / 3.0)]),
    ] {
        let words = format!("livecopy {from} {to} --tls {stack} --streams {streams}");
        let line = programs.tool(&words, &source.ca);
        ways.push(Way::ours(name, line, targets));
    }
    let title = "1 × 512 MiB from 100 ms away, 0.1 % of packets lost";
    Race { title, amount: (512.0, "MiB"), rounds: 3, ways, between: Some(&fresh) }.run()
}

/// Both ends of a link, the far one in a network namespace; dropping the value removes them.
struct Link(Child);

impl Link {
    fn make(directory: &Path) -> Result<Self, Failure> {
        if Command::new("ip").arg("-V").output().is_err() {
            install(&["iproute2"])?;
        }
        fs::create_dir_all(directory).context(|| "cannot make a directory")?;
        let script = directory.join("long_link.py");
        fs::write(&script, include_str!("../../bench/long_link.py")).context(|| "long_link.py")?;
        remove_namespace();
        lines(&["ip netns add NAME"])?;
        let mut carrier = Command::new("python3");
        carrier.arg(script).args([NAME, &format!("{NAME}-far"), NAME, HALF_WAY, LOSS]);
        let mut carrier =
            carrier.stdout(Stdio::piped()).spawn().context(|| "cannot run python3")?;
        let output = carrier.stdout.take();
        let made = Self(carrier);
        let mut ready = String::new();
        output.map(|output| BufReader::new(output).read_line(&mut ready));
        if ready.is_empty() {
            return Err(Failure::new("the long link is not there"));
        }
        lines(&[
            "ip address add NEAR/30 dev NAME",
            "ip link set NAME up txqueuelen 10000",
            "ip -n NAME address add FAR/30 dev NAME-far",
            "ip -n NAME link set NAME-far up txqueuelen 10000",
            "ip -n NAME link set lo up",
            // Linux's default, whatever this machine is set to.
            "ip -n NAME route replace NET/30 dev NAME-far src FAR congctl cubic",
        ])?;
        Ok(made)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        remove_namespace();
    }
}

fn lines(lines: &[&str]) -> Result<(), Failure> {
    for line in lines {
        let line = line.replace("NAME", NAME).replace("NEAR", NEAR);
        let line = line.replace("FAR", FAR).replace("NET", NET);
        succeed(Command::new("sh").args(["-ec", &line]))?;
    }
    Ok(())
}

fn remove_namespace() {
    // The namespace may not exist.
    let _ = Command::new("ip").args(["netns", "delete", NAME]).stderr(Stdio::null()).status();
}

/// One-way delay in seconds.
const HALF_WAY: &str = "0.05";
/// Fraction of lost packets among those that the far end sends.
const LOSS: &str = "0.001";

const NAME: &str = "replicate";
/// Addresses reserved for documentation (RFC 5737), which no real host should have.
const NET: &str = "198.51.100.0";
const NEAR: &str = "198.51.100.1";
const FAR: &str = "198.51.100.2";
