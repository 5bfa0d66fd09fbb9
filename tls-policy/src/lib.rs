#![doc = include_str!("../README.md")]

use std::fmt;
use std::path::PathBuf;

pub mod bundle;
pub mod client_cert;
pub mod fault;
pub mod files;

pub mod judge;
pub mod messages;
pub mod pin;
pub mod summary;
mod time;
pub mod trust;
pub mod verdict;
pub mod x509;

pub use bundle::Certificate;
pub use client_cert::ClientIdentity;
pub use files::crl::RevocationList;
pub use files::pem::TlsFileError;
pub use pin::Pin;
pub use summary::Summary;
pub use trust::resolve;

/// How servers are verified, and the client's own certificate.
#[derive(Debug, Clone)]
pub struct TlsPolicy {
    /// The trusted roots.
    pub roots: Roots,
    /// The oldest accepted protocol version.
    pub min_version: TlsVersion,
    /// The client certificate for servers that ask for one.
    pub identity: Option<ClientIdentity>,
    /// Revocation lists. If there are any, every certificate below a root must be covered by one of
    /// them and must not be listed in it.
    pub revocation: Vec<RevocationList>,
    /// Pinned keys. If there are any, the server's key must be one of them, in addition to all
    /// other checks.
    pub pins: Vec<Pin>,
}

impl TlsPolicy {
    /// Trusts `roots`, accepts TLS 1.2 and later, and uses no client certificate, revocation list
    /// or pin.
    pub fn new(roots: Roots) -> Self {
        let min_version = TlsVersion::V1_2;
        Self { roots, min_version, identity: None, revocation: Vec::new(), pins: Vec::new() }
    }
}

/// The trusted roots.
#[derive(Debug, Clone)]
pub enum Roots {
    /// The system's trust store.
    System,
    /// Only these certificates. Each is a trusted authority if it may sign certificates. A server
    /// that presents exactly one of these certificates is also trusted, for the names and the
    /// validity period in it.
    Bundle(Vec<Certificate>),
    /// The system's trust store and these certificates.
    SystemAnd(Vec<Certificate>),
}

impl Roots {
    /// The trusted certificates in addition to the system's.
    pub fn bundle(&self) -> &[Certificate] {
        match self {
            Self::System => &[],
            Self::Bundle(all) | Self::SystemAnd(all) => all,
        }
    }

    /// Whether the system's trust store is trusted.
    pub fn with_system(&self) -> bool {
        !matches!(self, Self::Bundle(_))
    }
}

/// A version of the TLS protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1_2 => "TLS 1.2",
            Self::V1_3 => "TLS 1.3",
        })
    }
}

/// The origin of the trust store in use, for `--debug` and for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrustSource {
    /// The option, environment variable or configuration key, such as `--cacert`.
    pub named_by: String,
    /// The file or directory; `None` for the system's trust store.
    pub path: Option<PathBuf>,
    /// Whether the system's trust store is trusted as well.
    pub and_system: bool,
}

impl fmt::Display for TrustSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(path) = &self.path else { return f.write_str("the system's trust store") };
        let system = if self.and_system { " and the system's trust store" } else { "" };
        write!(f, "{} ({}){system}", path.display(), self.named_by)
    }
}
