//! A long link: a network namespace behind some round-trip time, packet loss and a bandwidth.

use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::failure::{Context, Failure};
use crate::shell::{install, succeed};

/// What a link is like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conditions {
    /// Round-trip time in seconds.
    pub(super) latency: f64,
    /// Fraction of lost packets among those that the far end sends.
    pub(super) loss: f64,
    /// Bytes per second that the far end can send; 0 for no limit.
    pub(super) capacity: f64,
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { latency, loss, capacity } = self;
        write!(f, "{} ms, {} % lost, ", latency * 1000.0, loss * 100.0)?;
        match *capacity > 0.0 {
            true => write!(f, "{} Mbit/s", capacity * 8.0 / 1e6),
            false => f.write_str("unlimited"),
        }
    }
}

/// Both ends of a link, the far one in a network namespace; dropping the value removes them.
pub(super) struct Link(Child);

impl Link {
    pub(super) fn make(directory: &Path, conditions: Conditions) -> Result<Self, Failure> {
        if Command::new("ip").arg("-V").output().is_err() {
            install(&["iproute2"])?;
        }
        fs::create_dir_all(directory).context(|| "cannot make a directory")?;
        let script = directory.join("long_link.py");
        fs::write(&script, include_str!("../../bench/long_link.py")).context(|| "long_link.py")?;
        remove_namespace();
        lines(&["ip netns add NAME"])?;
        let Conditions { latency, loss, capacity } = conditions;
        let numbers = [latency / 2.0, loss, capacity].map(|number| number.to_string());
        let mut carrier = Command::new("python3");
        carrier.arg(script).args([NAME, &format!("{NAME}-far"), NAME]).args(numbers);
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

/// The name of the namespace and of the device at the near end.
pub(super) const NAME: &str = "replicate";

/// Addresses reserved for documentation (RFC 5737), which no real host should have.
const NET: &str = "198.51.100.0";
const NEAR: &str = "198.51.100.1";
pub(super) const FAR: &str = "198.51.100.2";
