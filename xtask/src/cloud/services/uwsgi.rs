//! uWSGI, which runs Keystone and Glance.

use crate::cloud::command::detached;
use crate::cloud::config::{Installed, Values};
use crate::cloud::layout::{Layout, Port};
use crate::cloud::process::{Ready, Service};
use crate::failure::Failure;

/// A Python web application.
pub(crate) struct Application<'a> {
    pub(crate) name: &'static str,
    pub(crate) module: &'static str,
    pub(crate) workers: u8,
    pub(crate) port: Port,
    /// Environment variables, as `NAME=value`.
    pub(crate) environment: &'a [String],
    /// The configuration files that the application itself reads.
    pub(crate) configuration: &'a [Installed],
    pub(crate) ready: Ready,
}

/// The service that runs an application.
pub(crate) fn service(layout: &Layout, application: Application) -> Result<Service, Failure> {
    let port = layout.port(application.port);
    let environment: Vec<String> =
        application.environment.iter().map(|setting| format!("env = {setting}")).collect();
    let ini = Values::new(layout)
        .set("module", application.module)
        .set("workers", application.workers)
        .set("port", port)
        .set("environment", environment.join("\n"))
        .install(layout, &format!("uwsgi-{}.ini", application.name), TEMPLATE)?;
    let mut command = detached(layout.venv_program("uwsgi"));
    command.arg("--ini").arg(&ini.path);
    let configuration = application.configuration.iter().fold(ini.text, |all, one| all + &one.text);
    Ok(Service {
        name: application.name,
        command,
        configuration,
        ports: vec![port],
        ready: application.ready,
    })
}

const TEMPLATE: &str = include_str!("../../../cloud/uwsgi.ini");
