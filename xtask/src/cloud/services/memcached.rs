//! memcached, in which Keystone and Glance cache validated tokens. Each Keystone has its own,
//! because both would use the same keys.

use super::keystone::Keystone;
use crate::cloud::command::detached;
use crate::cloud::layout::{HOST, Layout};
use crate::cloud::packages::Programs;
use crate::cloud::process::{Ready, Service};

/// The memcached service of a Keystone.
pub(crate) fn service(layout: &Layout, programs: &Programs, keystone: Keystone) -> Service {
    let port = layout.port(keystone.memcached());
    let mut command = detached(&programs.memcached);
    command.args(["-u", "nobody", "-m", "64", "-U", "0", "-l", HOST, "-p", &port.to_string()]);
    Service {
        name: match keystone {
            Keystone::Ab => "memcached",
            Keystone::C => "memcached-c",
        },
        command,
        configuration: String::new(),
        ports: vec![port],
        ready: Ready::Connect,
    }
}
