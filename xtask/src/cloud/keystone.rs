//! Keystone, the accounts and the catalogue.

use std::fs;
use std::process::Command;

use super::config::{Installed, Secret, Values, once};
use super::layout::{Layout, Port};
use super::postgres;
use super::process::{Ready, Service, finish, sheltered};
use super::uwsgi::{self, Application};
use crate::failure::{Context, Failure};
use crate::say::say;

const DATABASE_VERSION: &str = "1";
const CATALOGUE: &str = include_str!("../../cloud/catalogue.py");

/// Writes the configuration, and makes the database and the keys once.
pub(crate) fn prepare(layout: &Layout, secret: &Secret) -> Result<Installed, Failure> {
    let mut values = Values::new(layout);
    values.set("database", postgres::url(layout, secret, "keystone"));
    let template = include_str!("../../cloud/keystone.conf");
    let configuration = values.install(layout, "keystone/keystone.conf", template)?;
    let stamp = layout.path("keystone/made");
    let version = format!("{DATABASE_VERSION} {}", layout.https(Port::Keystone));
    once(&stamp, &version, || {
        bootstrap(layout, secret, &configuration)
    })?;
    Ok(configuration)
}

/// Keystone under uWSGI.
pub(crate) fn service(layout: &Layout, configuration: &Installed) -> Result<Service, Failure> {
    let directory = layout.path("etc/keystone");
    uwsgi::service(
        layout,
        Application {
            name: "keystone",
            module: "keystone.wsgi.api:application",
            workers: 2,
            port: Port::KeystoneBackend,
            ready: Ready::Http {
                path: "/v3",
                statuses: &[200],
            },
            environment: vec![
                ("OS_KEYSTONE_CONFIG_DIR", directory.display().to_string()),
                ("OS_KEYSTONE_CONFIG_FILES", "keystone.conf".to_owned()),
            ],
            configuration: &configuration.text,
        },
    )
}

/// Makes the accounts, the catalogue, `clouds.yaml` and `ids.json` once.
pub(crate) fn fill_catalogue(layout: &Layout, secret: &Secret) -> Result<(), Failure> {
    let urls = [Port::Keystone, Port::GlanceA, Port::GlanceB].map(|port| layout.https(port));
    let version = format!("{CATALOGUE}{}", urls.join(" "));
    once(&layout.path("keystone/catalogue"), &version, || {
        say("cloud: filling the catalogue");
        let mut python = sheltered(layout.venv_program("python"));
        python.env("CLOUD_SECRET", secret.reveal());
        finish(
            layout,
            "catalogue",
            python
                .arg("-c")
                .arg(CATALOGUE)
                .arg(layout.dir())
                .args(&urls),
        )
    })
}

fn bootstrap(layout: &Layout, secret: &Secret, conf: &Installed) -> Result<(), Failure> {
    say("cloud: making Keystone's database");
    for name in ["fernet", "credential"] {
        let path = layout.path("keystone").join(name);
        fs::create_dir_all(&path).context(|| format!("cannot make {}", path.display()))?;
    }
    let run = |arguments: &[&str], password: bool| {
        let mut command: Command = sheltered(layout.venv_program("keystone-manage"));
        if password {
            command.env("OS_BOOTSTRAP_PASSWORD", secret.reveal());
        }
        command.arg("--config-file").arg(&conf.path).args(arguments);
        finish(layout, "keystone-manage", &mut command)
    };
    let owner = ["--keystone-user", "root", "--keystone-group", "root"];
    run(&["db_sync"], false)?;
    run(&[&["fernet_setup"][..], &owner].concat(), false)?;
    run(&[&["credential_setup"][..], &owner].concat(), false)?;
    let url = format!("{}/v3", layout.https(Port::Keystone));
    for region in ["RegionA", "RegionB"] {
        let mut arguments = vec!["bootstrap", "--bootstrap-region-id", region];
        for option in [
            "--bootstrap-public-url",
            "--bootstrap-internal-url",
            "--bootstrap-admin-url",
        ] {
            arguments.extend([option, &url]);
        }
        run(&arguments, true)?;
    }
    Ok(())
}
