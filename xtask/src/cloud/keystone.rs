//! One Keystone with a catalogue of two regions.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::command::{finish, sheltered};
use super::config::{Installed, Secret, Values};
use super::layout::{Layout, Port};
use super::process::{Ready, Service};
use super::uwsgi::{self, Application};
use crate::failure::{Context, Failure};
use crate::once::once;
use crate::say::say;

/// A Keystone with its database, before it runs.
pub(crate) struct Keystone {
    configuration: Installed,
}

impl Keystone {
    /// Writes the configuration, with the life of tokens in seconds, and, once, fills the database.
    pub(crate) fn prepare(layout: &Layout, secret: &Secret, life: u32) -> Result<Self, Failure> {
        let configuration = Values::new(layout)
            .set("secret", secret.reveal())
            .set("token_life", life)
            .install(layout, "keystone/keystone.conf", TEMPLATE)?;
        let keystone = Self { configuration };
        once(&layout.path("run/keystone.done"), "1", || keystone.bootstrap(layout, secret))?;
        Ok(keystone)
    }

    /// The service.
    pub(crate) fn service(self, layout: &Layout) -> Result<Service, Failure> {
        let directory = layout.path("etc/keystone");
        uwsgi::service(
            layout,
            Application {
                name: "keystone",
                module: "keystone.wsgi.api:application",
                workers: 2,
                port: Port::KeystoneBackend,
                environment: &[
                    format!("OS_KEYSTONE_CONFIG_DIR={}", directory.display()),
                    "OS_KEYSTONE_CONFIG_FILES=keystone.conf".to_owned(),
                ],
                configuration: &[self.configuration],
                ready: Ready::Http { path: "/v3", statuses: &[200] },
            },
        )
    }

    fn bootstrap(&self, layout: &Layout, secret: &Secret) -> Result<(), Failure> {
        say("cloud: filling Keystone's database");
        for keys in ["fernet", "credential"] {
            let path = layout.path("etc/keystone").join(keys);
            fs::create_dir_all(&path)
                .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o700)))
                .context(|| format!("cannot make {}", path.display()))?;
        }
        self.manage(layout, &["db_sync"], None)?;
        for setup in ["fernet_setup", "credential_setup"] {
            let owner = ["--keystone-user", "root", "--keystone-group", "root"];
            self.manage(layout, &[&[setup], &owner[..]].concat(), None)?;
        }
        let url = format!("{}/v3", layout.https(Port::Keystone));
        let bootstrap = [
            "bootstrap",
            "--bootstrap-region-id",
            "RegionA",
            "--bootstrap-public-url",
            &url,
            "--bootstrap-internal-url",
            &url,
            "--bootstrap-admin-url",
            &url,
        ];
        self.manage(layout, &bootstrap, Some(secret))
    }

    fn manage(
        &self,
        layout: &Layout,
        arguments: &[&str],
        password: Option<&Secret>,
    ) -> Result<(), Failure> {
        let mut command = sheltered(layout.venv_program("keystone-manage"));
        command.arg("--config-file").arg(&self.configuration.path).args(arguments);
        if let Some(password) = password {
            command.env("OS_BOOTSTRAP_PASSWORD", password.reveal());
        }
        finish(layout, "keystone-manage", &mut command)
    }
}

/// How long tokens live unless told otherwise, in seconds.
pub(crate) const TOKEN_LIFE: u32 = 14400;

/// Makes regions, endpoints, projects, users and `clouds.yaml`.
pub(crate) fn fill_catalogue(layout: &Layout, secret: &Secret) -> Result<(), Failure> {
    let urls = [Port::Keystone, Port::GlanceA, Port::GlanceB].map(|port| layout.https(port));
    let version = format!("{CATALOGUE}{}", urls.join(" "));
    once(&layout.path("run/catalogue.done"), &version, || {
        say("cloud: filling Keystone's catalogue");
        let mut python = sheltered(layout.venv_program("python"));
        python.args(["-c", CATALOGUE]).arg(layout.dir()).args(&urls);
        finish(layout, "catalogue", python.env("CLOUD_SECRET", secret.reveal()))
    })
}

const TEMPLATE: &str = include_str!("../../cloud/keystone.conf");
const CATALOGUE: &str = include_str!("../../cloud/catalogue.py");
