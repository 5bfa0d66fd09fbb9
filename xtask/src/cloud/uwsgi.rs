//! uWSGI, which runs Keystone and Glance.

use super::config::Values;
use super::layout::{Layout, Port};
use super::pki;
use super::process::{Ready, Service, sheltered};
use crate::failure::Failure;

/// An application that uWSGI runs.
pub(crate) struct Application<'a> {
    pub(crate) name: &'static str,
    pub(crate) module: &'static str,
    pub(crate) workers: u32,
    pub(crate) port: Port,
    pub(crate) ready: Ready,
    /// Variables of its environment.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// Its own configuration file, rendered.
    pub(crate) configuration: &'a str,
}

/// The service for an application.
pub(crate) fn service(layout: &Layout, application: Application<'_>) -> Result<Service, Failure> {
    let port = layout.port(application.port);
    let mut values = Values::new(layout);
    values
        .set("module", application.module)
        .set("workers", application.workers)
        .set("port", port);
    let name = application.name;
    let ini = values.install(
        layout,
        &format!("uwsgi-{name}.ini"),
        include_str!("../../cloud/uwsgi.ini"),
    )?;
    let mut command = sheltered(layout.venv_program("uwsgi"));
    command.arg("--ini").arg(&ini.path);
    command.envs(application.environment);
    Ok(Service {
        name,
        command,
        configuration: [&ini.text, application.configuration, &pki::root(layout)?].concat(),
        ports: vec![port],
        ready: application.ready,
    })
}
