//! memcached, where Keystone and Glance keep tokens they have seen.

use super::command::detached;
use super::layout::{HOST, Layout, Port};
use super::packages::Programs;
use super::process::{Ready, Service};

/// The service.
pub(crate) fn service(layout: &Layout, programs: &Programs) -> Service {
    let port = layout.port(Port::Memcached);
    let mut command = detached(&programs.memcached);
    command.args(["-u", "nobody", "-m", "64", "-U", "0", "-l", HOST, "-p", &port.to_string()]);
    Service {
        name: "memcached",
        command,
        configuration: String::new(),
        ports: vec![port],
        ready: Ready::Connect,
    }
}
