//! nginx, which terminates HTTPS for all services, and serves Glance A with broken certificates
//! too.

use std::fs;

use crate::cloud::command::detached;
use crate::cloud::config::Values;
use crate::cloud::layout::{Layout, Port};
use crate::cloud::packages::Programs;
use crate::cloud::process::{Ready, Service};
use crate::failure::{Context, Failure};

/// An HTTPS server of nginx, in front of one service.
pub(crate) struct Server {
    /// The name of the certificate and access log.
    pub(crate) name: &'static str,
    pub(crate) port: Port,
    /// The port of the service behind this server.
    pub(crate) backend: Port,
}

/// All HTTPS servers.
pub(crate) const SERVERS: [Server; 9] = [
    Server { name: "keystone", port: Port::Keystone, backend: Port::KeystoneBackend },
    Server { name: "keystone-c", port: Port::KeystoneC, backend: Port::KeystoneCBackend },
    Server { name: "glance-a", port: Port::GlanceA, backend: Port::GlanceABackend },
    Server { name: "glance-b", port: Port::GlanceB, backend: Port::GlanceBBackend },
    Server { name: "glance-c", port: Port::GlanceC, backend: Port::GlanceCBackend },
    Server { name: "expired", port: Port::Expired, backend: Port::GlanceABackend },
    Server { name: "wronghost", port: Port::WrongHost, backend: Port::GlanceABackend },
    Server { name: "selfsigned", port: Port::SelfSigned, backend: Port::GlanceABackend },
    Server { name: "nochain", port: Port::NoChain, backend: Port::GlanceABackend },
];

/// The nginx service, with its configuration written.
pub(crate) fn service(layout: &Layout, programs: &Programs) -> Result<Service, Failure> {
    let scratch = layout.path("nginx");
    fs::create_dir_all(&scratch).context(|| format!("cannot make {}", scratch.display()))?;
    let mut servers = String::new();
    for Server { name, port, backend } in &SERVERS {
        servers += &Values::new(layout)
            .set("name", name)
            .set("port", layout.port(*port))
            .set("backend_port", layout.port(*backend))
            .render(SERVER)?;
    }
    let file =
        Values::new(layout).set("servers", servers).install(layout, "nginx.conf", CONFIGURATION)?;
    let mut command = detached(&programs.nginx);
    command.arg("-c").arg(&file.path).arg("-e").arg(layout.log("nginx"));
    Ok(Service {
        name: "nginx",
        command,
        configuration: file.text,
        ports: SERVERS.iter().map(|server| layout.port(server.port)).collect(),
        ready: Ready::Connect,
    })
}

const CONFIGURATION: &str = include_str!("../../../cloud/nginx.conf");
const SERVER: &str = include_str!("../../../cloud/nginx-server.conf");
