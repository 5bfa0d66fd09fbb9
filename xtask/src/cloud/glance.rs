//! Two Glances: A with one file store, B with two.

use std::fs;

use clap::ValueEnum;

use super::command::{finish, sheltered};
use super::config::{Installed, Secret, Values};
use super::layout::{Layout, Port};
use super::process::{Ready, Service};
use super::uwsgi::{self, Application};
use crate::failure::{Context, Failure};
use crate::once::once;
use crate::say::say;

/// Which Glance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Glance {
    A,
    B,
}

impl Glance {
    /// The name of its service, certificate and directory.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::A => "glance-a",
            Self::B => "glance-b",
        }
    }

    /// The name of its database.
    pub(crate) fn database(self) -> &'static str {
        match self {
            Self::A => "glance_a",
            Self::B => "glance_b",
        }
    }

    /// Its stores; the first is the default.
    pub(crate) fn stores(self) -> &'static [&'static str] {
        match self {
            Self::A => &["main"],
            Self::B => &["fast", "archive"],
        }
    }

    /// Writes the configuration and, once, fills the database.
    pub(crate) fn prepare(self, layout: &Layout, secret: &Secret) -> Result<Prepared, Failure> {
        let data = layout.path(self.name());
        for store in self.stores().iter().chain(&["staging", "tasks"]) {
            let path = data.join(store);
            fs::create_dir_all(&path).context(|| format!("cannot make {}", path.display()))?;
        }
        let mut values = self.values(layout);
        values.set("secret", secret.reveal());
        let configuration = [
            values.install(layout, &self.etc("glance-api.conf"), API)?,
            values.install(layout, &self.etc("glance-image-import.conf"), IMPORT)?,
            values.install(layout, &self.etc("policy.yaml"), "{}\n")?,
            self.paste(layout)?,
        ];
        let stamp = layout.path("run").join(format!("{}.done", self.name()));
        once(&stamp, "1", || {
            say(format_args!("cloud: filling the database of {}", self.name()));
            let mut command = sheltered(layout.venv_program("glance-manage"));
            command.arg("--config-file").arg(&configuration[0].path).arg("db_sync");
            finish(layout, &format!("{}-manage", self.name()), &mut command)
        })?;
        Ok(Prepared { glance: self, configuration })
    }

    fn values(self, layout: &Layout) -> Values {
        let data = layout.path(self.name());
        let stores: Vec<String> =
            self.stores().iter().map(|store| format!("{store}:file")).collect();
        let sections: Vec<String> = self
            .stores()
            .iter()
            .map(|store| {
                format!("[{store}]\nfilesystem_store_datadir = {}", data.join(store).display())
            })
            .collect();
        let mut values = Values::new(layout);
        values
            .set("name", self.name())
            .set("database", self.database())
            .set("data", data.display())
            .set("backend_port", layout.port(self.backend()))
            .set("stores", stores.join(","))
            .set("default_store", self.stores()[0])
            .set("store_sections", sections.join("\n"));
        values
    }

    /// The pipeline that comes with Glance, unchanged.
    fn paste(self, layout: &Layout) -> Result<Installed, Failure> {
        let shipped = layout.path("venv/etc/glance/glance-api-paste.ini");
        let text = fs::read_to_string(&shipped)
            .context(|| format!("cannot read {}", shipped.display()))?;
        Values::new(layout).install(layout, &self.etc("glance-api-paste.ini"), &text)
    }

    fn etc(self, file: &str) -> String {
        format!("{}/{file}", self.name())
    }

    fn backend(self) -> Port {
        match self {
            Self::A => Port::GlanceABackend,
            Self::B => Port::GlanceBBackend,
        }
    }
}

/// A Glance with its configuration and database, before it runs.
pub(crate) struct Prepared {
    glance: Glance,
    configuration: [Installed; 4],
}

impl Prepared {
    /// The service.
    pub(crate) fn service(self, layout: &Layout) -> Result<Service, Failure> {
        let directory = layout.path("etc").join(self.glance.name());
        // The import method glance-download opens the other Glance by urllib, which is told of the
        // private authority by the environment alone.
        let root = layout.path("pki/root.pem");
        uwsgi::service(
            layout,
            Application {
                name: self.glance.name(),
                module: "glance.wsgi.api:application",
                workers: 4,
                port: self.glance.backend(),
                environment: &[
                    format!("OS_GLANCE_CONFIG_DIR={}", directory.display()),
                    format!("SSL_CERT_FILE={}", root.display()),
                    format!("REQUESTS_CA_BUNDLE={}", root.display()),
                ],
                configuration: &self.configuration,
                ready: Ready::Http { path: "/", statuses: &[200, 300] },
            },
        )
    }
}

const API: &str = include_str!("../../cloud/glance-api.conf");
const IMPORT: &str = include_str!("../../cloud/glance-image-import.conf");
