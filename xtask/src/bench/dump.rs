//! Downloads of 2 GiB from a fast HTTPS server: each TLS stack alone, and whole dumps.

use std::fs;

use super::measure::{Race, Target, Way};
use super::programs::Programs;
use super::server::{ID, Server};
use crate::failure::{Context, Failure};

const MIB: usize = 2048;

/// Runs the benchmark, with curl as the peer.
pub(crate) fn run() -> Result<(), Failure> {
    let programs = Programs::build()?;
    let directory = programs.directory.join("dump");
    let server = Server::start(&directory, MIB)?;
    let (url, ca) = (&server.url, server.ca.display());
    let into = directory.join("into");
    fs::create_dir_all(&into).context(|| "cannot make a directory")?;
    let curl = format!("curl -sSf --cacert {ca}");
    let file = format!("{url}/v2/images/{ID}/file");
    let transport = |name, stack, target| {
        let line = format!("{} {stack} {file} {ca}", programs.program("transport-download"));
        Way::ours(name, line, &[Target::Cpu(target)])
    };
    let empty = || {
        fs::remove_dir_all(&into).context(|| "cannot remove what was stored")?;
        fs::create_dir_all(&into).context(|| "cannot make a directory")
    };
    empty()?;
    let race = |title, ways| {
        Race { title, amount: (2.0, "GiB"), rounds: 5, ways, between: Some(&empty) }.run()
    };
    let into = into.display();
    let alone = vec![
        Way::peer("curl", format!("{curl} -o /dev/null {file}")),
        transport("transport-rustls", "rustls", 1.0),
        transport("transport-native", "native", 0.9),
    ];
    race("2 GiB over HTTPS, thrown away", alone)?;

    let dump = |name, stack, target| {
        let words = format!("dump {url} {into}/d --tls {stack}");
        Way::ours(name, programs.tool(&words, &server.ca), &[Target::Wall(target)])
    };
    let save = format!("{curl} -o {into}/d {file}");
    let prove = format!("{save}; sha512sum {into}/d");
    let stored = vec![
        Way::peer("curl -o", save),
        dump("dump, rustls", "rustls", 1.1),
        dump("dump, native", "native", 1.1),
    ];
    race("2 GiB to disk, ours proven", stored)?;
    let proven = vec![
        Way::peer("curl -o; sha512sum", prove),
        dump("dump, rustls", "rustls", 0.6),
        dump("dump, native", "native", 0.6),
    ];
    race("2 GiB to disk, all proven", proven)
}
