//! Paths and ports of the cloud.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Failure};

/// The loopback address, the only one the cloud listens on.
pub(crate) const HOST: &str = "127.0.0.1";

/// A loopback port of the cloud; the discriminant is its offset from the base port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    Keystone = 0,
    GlanceA = 1,
    GlanceB = 2,
    Expired = 3,
    WrongHost = 4,
    SelfSigned = 5,
    NoChain = 6,
    Postgres = 10,
    Memcached = 11,
    /// The services behind nginx, in plain HTTP.
    KeystoneBackend = 12,
    GlanceABackend = 13,
    GlanceBBackend = 14,
    KeystoneC = 15,
    GlanceC = 16,
    KeystoneCBackend = 17,
    GlanceCBackend = 18,
    MemcachedC = 19,
}

/// Paths and ports of one cloud.
pub(crate) struct Layout {
    dir: PathBuf,
    port_base: u16,
}

impl Layout {
    /// A cloud in `dir`. Its ports begin at `port_base`; without one, at the port it used before,
    /// else at the default.
    pub(crate) fn new(dir: PathBuf, port_base: Option<u16>) -> Result<Self, Failure> {
        let recorded = || fs::read_to_string(dir.join(PORT_BASE)).ok()?.trim().parse().ok();
        let port_base = port_base.or_else(recorded).unwrap_or(DEFAULT_PORT_BASE);
        if port_base.checked_add(Port::MemcachedC as u16).is_none() {
            return Err(Failure::new(format!("port base {port_base} leaves too few ports")));
        }
        Ok(Self { dir, port_base })
    }

    /// The directory of the cloud.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A path below the directory of the cloud.
    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.dir.join(relative)
    }

    /// The log file of a service or step.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.path("log").join(format!("{name}.log"))
    }

    /// A program of the Python environment.
    pub(crate) fn venv_program(&self, name: &str) -> PathBuf {
        self.path("venv/bin").join(name)
    }

    /// The TCP port number of a port of the cloud.
    pub(crate) fn port(&self, port: Port) -> u16 {
        self.port_base + port as u16
    }

    /// The base URL of an HTTPS port.
    pub(crate) fn https(&self, port: Port) -> String {
        format!("https://{HOST}:{}", self.port(port))
    }

    /// Creates the directories that all parts share, and stores the base port for later commands.
    pub(crate) fn make_directories(&self) -> Result<(), Failure> {
        for name in ["etc", "log", "pki", "run"] {
            let path = self.path(name);
            fs::create_dir_all(&path).context(|| format!("cannot make {}", path.display()))?;
        }
        let path = self.path(PORT_BASE);
        fs::write(&path, format!("{}\n", self.port_base))
            .context(|| format!("cannot write {}", path.display()))
    }
}

/// The default base port: below the ephemeral range, and not registered for a common service.
const DEFAULT_PORT_BASE: u16 = 15700;

/// The file that stores the base port.
const PORT_BASE: &str = "run/port-base";
