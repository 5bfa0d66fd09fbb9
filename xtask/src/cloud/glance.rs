//! The two Glances.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use clap::ValueEnum;

use super::config::{Installed, Secret, Values, once, write_private};
use super::layout::{Layout, Port};
use super::postgres;
use super::process::{Ready, Service, finish, sheltered};
use super::uwsgi::{self, Application};
use crate::failure::{Context, Failure};
use crate::say::say;

const DATABASE_VERSION: &str = "1";

/// One of the two Glances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Glance {
    /// In `RegionA`, with one store.
    A,
    /// In `RegionB`, with two stores.
    B,
}

impl Glance {
    /// Its name as a service.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::A => "glance-a",
            Self::B => "glance-b",
        }
    }

    /// Its database.
    pub(crate) fn database(self) -> &'static str {
        match self {
            Self::A => "glance_a",
            Self::B => "glance_b",
        }
    }

    /// Its stores; the first is the default.
    fn stores(self) -> &'static [&'static str] {
        match self {
            Self::A => &["main"],
            Self::B => &["fast", "archive"],
        }
    }

    fn backend(self) -> Port {
        match self {
            Self::A => Port::GlanceABackend,
            Self::B => Port::GlanceBBackend,
        }
    }

    /// The directories in which it keeps data: its stores, and what is under way.
    pub(crate) fn data(self, layout: &Layout) -> Vec<PathBuf> {
        let own = layout.path(self.name());
        let stores = self
            .stores()
            .iter()
            .map(|store| own.join(format!("store-{store}")));
        stores
            .chain(["staging", "tasks"].map(|name| own.join(name)))
            .collect()
    }

    /// Writes the configuration and makes the database once.
    pub(crate) fn prepare(self, layout: &Layout, secret: &Secret) -> Result<Installed, Failure> {
        for path in self.data(layout) {
            fs::create_dir_all(&path).context(|| format!("cannot make {}", path.display()))?;
        }
        let name = self.name();
        let values = self.values(layout, secret)?;
        let template = include_str!("../../cloud/glance-api.conf");
        let configuration = values.install(layout, &format!("{name}/glance-api.conf"), template)?;
        let template = include_str!("../../cloud/glance-image-import.conf");
        values.install(
            layout,
            &format!("{name}/glance-image-import.conf"),
            template,
        )?;
        let directory = layout.path("etc").join(name);
        write_private(&directory.join("policy.yaml"), "{}\n")?;
        let paste = "glance-api-paste.ini";
        fs::copy(
            layout.path("venv/etc/glance").join(paste),
            directory.join(paste),
        )
        .context(|| format!("cannot copy {paste}"))?;
        once(&layout.path(name).join("made"), DATABASE_VERSION, || {
            say(format_args!("cloud: making the database of {name}"));
            let mut manage = sheltered(layout.venv_program("glance-manage"));
            manage
                .arg("--config-file")
                .arg(&configuration.path)
                .arg("db_sync");
            finish(layout, "glance-manage", &mut manage)
        })?;
        Ok(configuration)
    }

    /// Glance under uWSGI.
    pub(crate) fn service(self, layout: &Layout, conf: &Installed) -> Result<Service, Failure> {
        let root = layout.path("pki/root.pem").display().to_string();
        let directory = layout.path("etc").join(self.name());
        uwsgi::service(
            layout,
            Application {
                name: self.name(),
                module: "glance.wsgi.api:application",
                workers: 4,
                port: self.backend(),
                ready: Ready::Http {
                    path: "/",
                    statuses: &[300],
                },
                environment: vec![
                    ("OS_GLANCE_CONFIG_DIR", directory.display().to_string()),
                    // The import of another Glance's image knows no option for the authority.
                    ("SSL_CERT_FILE", root.clone()),
                    ("REQUESTS_CA_BUNDLE", root),
                ],
                configuration: &conf.text,
            },
        )
    }

    fn values(self, layout: &Layout, secret: &Secret) -> Result<Values, Failure> {
        let own = layout.path(self.name());
        let mut sections = String::new();
        for store in self.stores() {
            let directory = own.join(format!("store-{store}"));
            writeln!(
                sections,
                "[{store}]\nfilesystem_store_datadir = {}",
                directory.display()
            )
            .context(|| "cannot format a store")?;
        }
        let backends: Vec<_> = self
            .stores()
            .iter()
            .map(|store| format!("{store}:file"))
            .collect();
        let mut values = Values::new(layout);
        values
            .set("name", self.name())
            .set("port", layout.port(self.backend()))
            .set("backends", backends.join(","))
            .set(
                "default_backend",
                self.stores().first().copied().unwrap_or_default(),
            )
            .set("store_sections", sections)
            .set("password", secret.reveal())
            .set("database", postgres::url(layout, secret, self.database()));
        Ok(values)
    }
}
