//! nginx, which speaks HTTPS for Keystone and Glance, once rightly and several times wrongly.

use super::config::Values;
use super::layout::{Layout, Port};
use super::packages::Programs;
use super::pki;
use super::process::{Ready, Service, sheltered};
use crate::failure::{Context, Failure};

/// What nginx offers: a name for the access log, a certificate, and who answers.
pub(crate) struct Front {
    pub(crate) name: &'static str,
    pub(crate) port: Port,
    certificate: &'static str,
    backend: Port,
}

/// Everything that nginx offers.
pub(crate) const FRONTS: [Front; 7] = [
    front(
        "keystone",
        Port::Keystone,
        "keystone",
        Port::KeystoneBackend,
    ),
    front("a", Port::GlanceA, "glance-a", Port::GlanceABackend),
    front("b", Port::GlanceB, "glance-b", Port::GlanceBBackend),
    front("expired", Port::Expired, "expired", Port::GlanceABackend),
    front(
        "wronghost",
        Port::WrongHost,
        "wronghost",
        Port::GlanceABackend,
    ),
    front(
        "selfsigned",
        Port::SelfSigned,
        "selfsigned",
        Port::GlanceABackend,
    ),
    front("nochain", Port::NoChain, "nochain", Port::GlanceABackend),
];

const fn front(name: &'static str, port: Port, certificate: &'static str, backend: Port) -> Front {
    Front {
        name,
        port,
        certificate,
        backend,
    }
}

impl Front {
    /// The name of its access log.
    pub(crate) fn access_log(&self) -> String {
        format!("access-{}", self.name)
    }
}

/// nginx in the foreground.
pub(crate) fn service(layout: &Layout, programs: &Programs) -> Result<Service, Failure> {
    std::fs::create_dir_all(layout.path("nginx")).context(|| "cannot make nginx's directory")?;
    let mut servers = String::new();
    for front in &FRONTS {
        let mut values = Values::new(layout);
        values
            .set("listen", layout.port(front.port))
            .set("backend", layout.port(front.backend))
            .set("certificate", front.certificate)
            .set("access_log", layout.log(&front.access_log()).display());
        servers.push_str(&values.render(include_str!("../../cloud/nginx-server.conf"))?);
    }
    let mut values = Values::new(layout);
    values.set("servers", servers);
    let template = include_str!("../../cloud/nginx.conf");
    let configuration = values.install(layout, "nginx.conf", template)?;
    let mut command = sheltered(&programs.nginx);
    command
        .arg("-c")
        .arg(&configuration.path)
        .arg("-e")
        .arg(layout.log("nginx"));
    Ok(Service {
        name: "nginx",
        command,
        configuration: [configuration.text, pki::root(layout)?].concat(),
        ports: FRONTS.iter().map(|front| layout.port(front.port)).collect(),
        ready: Ready::Connect,
    })
}
