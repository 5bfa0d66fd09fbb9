//! A long link: a network namespace behind 100 ms and some loss, as `tc netem` makes them.

use std::process::Command;

use super::measure::{Race, Target, Way};
use super::programs::Programs;
use super::server::{ID, Server};
use super::sink::Sink;
use crate::failure::{Context, Failure};
use crate::shell::{install, succeed};

const MIB: usize = 512;

/// One image of 512 MiB whose source is 100 ms away and loses a packet in a thousand.
pub(crate) fn run() -> Result<(), Failure> {
    let programs = Programs::build()?;
    let _link = Link::make()?;
    let directory = programs.directory.join("link");
    let source = Server::start_at(&directory, MIB, FAR, &["ip", "netns", "exec", NAME])?;
    let (from, ca) = (&source.url, source.ca.display());
    let script = directory.join("curl.sh");
    std::fs::write(&script, include_str!("../../bench/curl.sh")).context(|| "curl.sh")?;
    let address = directory.join("sink");
    let sink = std::cell::RefCell::new(None);
    let fresh = || {
        let new = Sink::start(&programs, &directory, &source.sha512, None)?;
        std::fs::write(&address, &new.url).context(|| "cannot write the address")?;
        *sink.borrow_mut() = Some(new);
        Ok(())
    };
    fresh()?;
    let to = format!("$(cat {})", address.display());
    let curl = format!(
        "export CA={ca} TOKEN=none; bash {} length {from} {to} {ID} {}",
        script.display(),
        MIB << 20
    );
    let mut ways = vec![Way::peer("curl \\| curl", curl)];
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

/// Two ends of a cable, the far one in a namespace; gone with the value.
struct Link;

impl Link {
    fn make() -> Result<Self, Failure> {
        if Command::new("tc").arg("-V").output().is_err() {
            install(&["iproute2"])?;
        }
        drop(Self);
        let made = Self;
        // Half of the way there, and half of it back; the far end loses packets.
        for line in [
            "ip netns add NAME",
            "ip link add NAME type veth peer name NAME-far",
            "ip link set NAME-far netns NAME",
            "ip address add NEAR/30 dev NAME",
            "ip link set NAME up",
            "ip -n NAME address add FAR/30 dev NAME-far",
            "ip -n NAME link set NAME-far up",
            "ip -n NAME link set lo up",
            "tc qdisc add dev NAME root netem delay 50ms limit 100000",
            "tc -n NAME qdisc add dev NAME-far root netem delay 50ms loss 0.1% limit 100000",
        ] {
            let line = line.replace("NAME", NAME).replace("NEAR", NEAR).replace("FAR", FAR);
            succeed(Command::new("sh").args(["-ec", &line]))?;
        }
        Ok(made)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for line in [format!("ip netns delete {NAME}"), format!("ip link delete {NAME}")] {
            // What is not there needs no removal.
            let _ =
                Command::new("sh").args(["-c", &line]).stderr(std::process::Stdio::null()).status();
        }
    }
}

const NAME: &str = "replicate";
/// Addresses for documentation (RFC 5737), which nobody has.
const NEAR: &str = "192.0.2.1";
const FAR: &str = "192.0.2.2";
