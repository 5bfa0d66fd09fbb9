//! Two Keystones: one with regions for Glance A and Glance B, and one for Glance C.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::glance::Glance;
use super::uwsgi::{self, Application};
use crate::cloud::command::{finish, sheltered};
use crate::cloud::config::{Installed, Secret, Values};
use crate::cloud::layout::{Layout, Port};
use crate::cloud::process::{Ready, Service};
use crate::failure::{Context, Failure};
use crate::output::say;
use crate::stamp::once;

/// One of the two Keystones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keystone {
    /// The Keystone of Glance A and B.
    Ab,
    /// The Keystone of Glance C, with the same names but other ids.
    C,
}

impl Keystone {
    /// Every Keystone.
    pub(crate) const ALL: [Self; 2] = [Self::Ab, Self::C];

    /// The name of the service, certificate and directory.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ab => "keystone",
            Self::C => "keystone-c",
        }
    }

    /// The name of the database.
    pub(crate) fn database(self) -> &'static str {
        match self {
            Self::Ab => "keystone",
            Self::C => "keystone_c",
        }
    }

    /// The URL of the API.
    pub(crate) fn url(self, layout: &Layout) -> String {
        format!("{}/v3", self.root(layout))
    }

    /// The URL that Glance is configured with.
    pub(crate) fn root(self, layout: &Layout) -> String {
        layout.https(match self {
            Self::Ab => Port::Keystone,
            Self::C => Port::KeystoneC,
        })
    }

    /// The service, with a token lifetime in seconds. Writes the configuration, and fills the
    /// database the first time.
    pub(crate) fn service(
        self,
        layout: &Layout,
        secret: &Secret,
        life: u32,
    ) -> Result<Service, Failure> {
        let configuration = self.prepare(layout, secret, life)?;
        let directory = self.directory(layout);
        uwsgi::service(
            layout,
            Application {
                name: self.name(),
                module: "keystone.wsgi.api:application",
                workers: 2,
                port: self.backend(),
                environment: &[
                    format!("OS_KEYSTONE_CONFIG_DIR={}", directory.display()),
                    "OS_KEYSTONE_CONFIG_FILES=keystone.conf".to_owned(),
                ],
                configuration: &[configuration],
                ready: Ready::Http { path: "/v3", statuses: &[200] },
            },
        )
    }

    /// The memcached in which this Keystone and its Glances cache tokens.
    pub(crate) fn memcached(self) -> Port {
        match self {
            Self::Ab => Port::Memcached,
            Self::C => Port::MemcachedC,
        }
    }

    fn prepare(self, layout: &Layout, secret: &Secret, life: u32) -> Result<Installed, Failure> {
        let configuration = Values::new(layout)
            .set("name", self.name())
            .set("database", self.database())
            .set("url", self.root(layout))
            .set("secret", secret.reveal())
            .set("token_life", life)
            .set("memcached_port", layout.port(self.memcached()))
            .install(layout, &format!("{}/keystone.conf", self.name()), TEMPLATE)?;
        let stamp = layout.path("run").join(format!("{}.done", self.name()));
        once(&stamp, "1", || self.bootstrap(layout, secret, &configuration))?;
        Ok(configuration)
    }

    fn bootstrap(
        self,
        layout: &Layout,
        secret: &Secret,
        configuration: &Installed,
    ) -> Result<(), Failure> {
        say(format_args!("cloud: filling the database of {}", self.name()));
        for keys in ["fernet", "credential"] {
            let path = self.directory(layout).join(keys);
            fs::create_dir_all(&path)
                .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o700)))
                .context(|| format!("cannot make {}", path.display()))?;
        }
        let manage = |arguments: &[&str]| {
            let mut command = sheltered(layout.venv_program("keystone-manage"));
            command.arg("--config-file").arg(&configuration.path).args(arguments);
            command.env("OS_BOOTSTRAP_PASSWORD", secret.reveal());
            finish(layout, &format!("{}-manage", self.name()), &mut command)
        };
        manage(&["db_sync"])?;
        for setup in ["fernet_setup", "credential_setup"] {
            manage(&[setup, "--keystone-user", "root", "--keystone-group", "root"])?;
        }
        manage(&["bootstrap"])
    }

    fn directory(self, layout: &Layout) -> PathBuf {
        layout.path("etc").join(self.name())
    }

    fn backend(self) -> Port {
        match self {
            Self::Ab => Port::KeystoneBackend,
            Self::C => Port::KeystoneCBackend,
        }
    }
}

/// Default token lifetime in seconds.
pub(crate) const TOKEN_LIFE: u32 = 14400;

/// Creates regions, endpoints, domains, projects, users and `clouds.yaml`.
pub(crate) fn fill_catalogs(layout: &Layout, secret: &Secret) -> Result<(), Failure> {
    let sites: Map<String, Value> = Keystone::ALL
        .map(|keystone| {
            let glances = Glance::ALL.into_iter().filter(|glance| glance.keystone() == keystone);
            let urls =
                glances.map(|glance| (glance.letter().to_owned(), json!(glance.url(layout))));
            (keystone.url(layout), urls.collect())
        })
        .into_iter()
        .collect();
    let sites = Value::from(sites).to_string();
    once(&layout.path("run/catalog.done"), &format!("{CATALOG}{sites}"), || {
        say("cloud: filling the catalogs");
        let mut python = sheltered(layout.venv_program("python"));
        python.args(["-c", CATALOG]).arg(layout.dir()).arg(&sites);
        finish(layout, "catalog", python.env("CLOUD_SECRET", secret.reveal()))
    })
}

const TEMPLATE: &str = include_str!("../../../cloud/keystone.conf");
const CATALOG: &str = include_str!("../../../cloud/catalog.py");
