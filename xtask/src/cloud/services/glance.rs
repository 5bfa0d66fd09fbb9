//! Three Glances: A with one file store, B with two, and C at a different site.

use std::fs;

use clap::ValueEnum;

use super::keystone::Keystone;
use super::uwsgi::{self, Application};
use crate::cloud::command::{finish, sheltered};
use crate::cloud::config::{Installed, Secret, Values};
use crate::cloud::layout::{HOST, Layout, Port};
use crate::cloud::process::{Ready, Service};
use crate::failure::{Context, Failure};
use crate::output::say;
use crate::stamp::once;

/// One of the three Glances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Glance {
    A,
    B,
    C,
}

impl Glance {
    /// Every Glance.
    pub(crate) const ALL: [Self; 3] = [Self::A, Self::B, Self::C];

    /// The letter that the names of clouds contain.
    pub(crate) fn letter(self) -> &'static str {
        self.name().trim_start_matches("glance-")
    }

    /// The name of the service, certificate and directory.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::A => "glance-a",
            Self::B => "glance-b",
            Self::C => "glance-c",
        }
    }

    /// The name of the database.
    pub(crate) fn database(self) -> &'static str {
        match self {
            Self::A => "glance_a",
            Self::B => "glance_b",
            Self::C => "glance_c",
        }
    }

    /// The stores, the default store first.
    pub(crate) fn stores(self) -> &'static [&'static str] {
        match self {
            Self::A | Self::C => &["main"],
            Self::B => &["fast", "archive"],
        }
    }

    /// The Keystone that this Glance trusts.
    pub(crate) fn keystone(self) -> Keystone {
        match self {
            Self::A | Self::B => Keystone::Ab,
            Self::C => Keystone::C,
        }
    }

    /// The URL of the API.
    pub(crate) fn url(self, layout: &Layout) -> String {
        layout.https(match self {
            Self::A => Port::GlanceA,
            Self::B => Port::GlanceB,
            Self::C => Port::GlanceC,
        })
    }

    /// The service. Writes the configuration, and fills the database the first time.
    pub(crate) fn service(self, layout: &Layout, secret: &Secret) -> Result<Service, Failure> {
        let configuration = self.prepare(layout, secret)?;
        let directory = layout.path("etc").join(self.name());
        // The import method glance-download reaches the other Glance through urllib, which learns
        // of the private CA only from the environment.
        let root = layout.path("pki/root.pem");
        uwsgi::service(
            layout,
            Application {
                name: self.name(),
                module: "glance.wsgi.api:application",
                workers: self.workers(),
                port: self.backend(),
                environment: &[
                    format!("OS_GLANCE_CONFIG_DIR={}", directory.display()),
                    format!("SSL_CERT_FILE={}", root.display()),
                    format!("REQUESTS_CA_BUNDLE={}", root.display()),
                ],
                configuration: &configuration,
                ready: Ready::Http { path: "/", statuses: &[200, 300] },
            },
        )
    }

    fn prepare(self, layout: &Layout, secret: &Secret) -> Result<[Installed; 4], Failure> {
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
        Ok(configuration)
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
            .set("keystone_url", self.keystone().root(layout))
            .set("memcached_port", layout.port(self.keystone().memcached()))
            .set("stores", stores.join(","))
            .set("default_store", self.stores()[0])
            .set("store_sections", sections.join("\n"));
        self.set_habits(&mut values);
        values
    }

    /// Sets what differs between sites: C has another digest, lacks two disk formats, and keeps
    /// Glance's default restrictions on imports, which exclude the loopback interface.
    fn set_habits(self, values: &mut Values) {
        let [digest, formats, methods, hosts, ports] = match self {
            Self::A | Self::B => [
                "sha512",
                "ami,ari,aki,vhd,vhdx,vmdk,raw,qcow2,vdi,iso,ploop",
                "glance-direct,web-download,copy-image,glance-download",
                HOST,
                "",
            ],
            Self::C => [
                "sha256",
                "ami,ari,aki,vhd,vmdk,raw,qcow2,vdi,iso",
                "glance-direct,web-download",
                "",
                "80,443",
            ],
        };
        values
            .set("hashing_algorithm", digest)
            .set("disk_formats", formats)
            .set("import_methods", methods)
            .set("import_hosts", hosts)
            .set("import_ports", ports);
    }

    /// The paste pipeline that Glance ships, unchanged.
    fn paste(self, layout: &Layout) -> Result<Installed, Failure> {
        let shipped = layout.path("venv/etc/glance/glance-api-paste.ini");
        let text = fs::read_to_string(&shipped)
            .context(|| format!("cannot read {}", shipped.display()))?;
        Values::new(layout).install(layout, &self.etc("glance-api-paste.ini"), &text)
    }

    fn etc(self, file: &str) -> String {
        format!("{}/{file}", self.name())
    }

    /// The number of workers. C has fewer, so that the cloud starts sooner.
    fn workers(self) -> u8 {
        match self {
            Self::A | Self::B => 4,
            Self::C => 2,
        }
    }

    fn backend(self) -> Port {
        match self {
            Self::A => Port::GlanceABackend,
            Self::B => Port::GlanceBBackend,
            Self::C => Port::GlanceCBackend,
        }
    }
}

const API: &str = include_str!("../../../cloud/glance-api.conf");
const IMPORT: &str = include_str!("../../../cloud/glance-image-import.conf");
