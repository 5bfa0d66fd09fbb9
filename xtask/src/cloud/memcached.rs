//! The cache that Keystone and both Glances share.

use std::process::Command;

use super::layout::{HOST, Layout, Port};
use super::packages::Programs;
use super::process::{Ready, Service};

/// memcached in the foreground.
pub(crate) fn service(layout: &Layout, programs: &Programs) -> Service {
    let port = layout.port(Port::Memcached);
    let mut command = Command::new(&programs.memcached);
    command.args([
        "-u",
        "nobody",
        "-l",
        HOST,
        "-p",
        &port.to_string(),
        "-m",
        "64",
    ]);
    Service {
        name: "memcached",
        command,
        configuration: String::new(),
        ports: vec![port],
        ready: Ready::Connect,
    }
}
