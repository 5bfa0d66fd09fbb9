//! 2 GiB from a fast HTTPS server: each TLS stack alone, and whole dumps.

use std::fs;

use super::measure::{By, Way, race};
use super::server::{ID, Server};
use crate::failure::{Context, Failure};
use crate::shell::cargo;
use crate::workspace;

const MIB: usize = 2048;

/// Measures against curl.
pub(crate) fn run() -> Result<(), Failure> {
    let features = "tests/native-tls";
    cargo(&["build", "--release", "-p", "tests", "--features", features])?;
    let target = workspace::target()?;
    let directory = target.join("bench");
    let server = Server::start(&directory, MIB)?;
    let (url, ca) = (&server.url, server.ca.display());
    let programs = target.join("release");
    let download = programs.join("transport-download");
    let download = download.display();
    let replicator = programs.join("glance-replicator-under-test");
    let replicator = replicator.display();
    let into = directory.join("into");
    fs::create_dir_all(&into).context(|| "cannot make a directory")?;
    let into = into.display();
    let curl = format!("curl -sSf --cacert {ca}");
    let file = format!("{url}/v2/images/{ID}/file");
    let transport = |name, stack, target| {
        let line = format!("{download} {stack} {file} {ca}");
        Way { name, line, target: Some(target) }
    };
    let gib = (2.0, "GiB");
    let alone = [
        Way { name: "curl", line: format!("{curl} -o /dev/null {file}"), target: None },
        transport("transport-rustls", "rustls", 1.0),
        transport("transport-native", "native", 0.9),
    ];
    race("2 GiB over HTTPS, thrown away", &alone, By::Cpu, gib)?;

    let dump = |name, stack, target| {
        let line = format!(
            "rm -rf {into}/d; {replicator} dump {url} {into}/d --cacert {ca} --tls {stack}"
        );
        Way { name, line, target }
    };
    let save = format!("rm -rf {into}/d; {curl} -o {into}/d {file}");
    let prove = format!("{save}; sha512sum {into}/d");
    let stored = [
        Way { name: "curl -o", line: save, target: None },
        dump("dump, rustls", "rustls", Some(1.1)),
        dump("dump, native", "native", Some(1.1)),
    ];
    race("2 GiB to disk, ours proven", &stored, By::Wall, gib)?;
    let proven = [
        Way { name: "curl -o; sha512sum", line: prove, target: None },
        dump("dump, rustls", "rustls", Some(0.6)),
        dump("dump, native", "native", Some(0.6)),
    ];
    race("2 GiB to disk, all proven", &proven, By::Wall, gib)
}
