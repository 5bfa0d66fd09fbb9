//! Whom to trust, said once for every TLS library.
//!
//! A [`TlsPolicy`] can express which roots to trust and how strict to be. No value of it means
//! "do not verify".

use std::fmt;
use std::path::PathBuf;

pub mod bundle;
pub mod client_cert;
pub mod files;
pub mod judge;
pub mod pin;
pub mod summary;
pub mod trust;
pub mod verdict;

pub use bundle::Certificate;
pub use client_cert::ClientIdentity;
pub use files::crl::RevocationList;
pub use files::pem::TlsFileError;
pub use pin::Pin;
pub use summary::Summary;
pub use trust::resolve;

/// How servers are verified, and who the client is.
#[derive(Debug, Clone)]
pub struct TlsPolicy {
    /// Where trust begins.
    pub roots: Roots,
    /// The oldest protocol version that is spoken.
    pub min_version: TlsVersion,
    /// What the client shows to servers that ask.
    pub identity: Option<ClientIdentity>,
    /// With any of these, every certificate below a root must be covered by one and not be on it.
    pub revocation: Vec<RevocationList>,
    /// With any of these, the server's key must be one of them, beside all other checks.
    pub pins: Vec<Pin>,
}

impl TlsPolicy {
    /// Trust in these roots, with TLS 1.2 and later, and nothing else asked or shown.
    pub fn new(roots: Roots) -> Self {
        let min_version = TlsVersion::V1_2;
        Self { roots, min_version, identity: None, revocation: Vec::new(), pins: Vec::new() }
    }
}

/// Where trust begins.
#[derive(Debug, Clone)]
pub enum Roots {
    /// The system's trust store.
    System,
    /// These certificates and no others: each is an authority where it may be one, and a server
    /// that presents exactly one of them is taken for the names and times it carries.
    Bundle(Vec<Certificate>),
    /// The system's trust store, and these certificates.
    SystemAnd(Vec<Certificate>),
}

impl Roots {
    /// The certificates beside the system's.
    pub fn bundle(&self) -> &[Certificate] {
        match self {
            Self::System => &[],
            Self::Bundle(all) | Self::SystemAnd(all) => all,
        }
    }

    /// Whether the system's trust store counts.
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

/// Who named the trust store in use, for `--debug` and for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustSource {
    /// The option, the variable or the key, such as `--cacert`.
    pub named_by: String,
    /// The file or directory. None is the system's trust store.
    pub path: Option<PathBuf>,
    /// Whether the system's trust store counts beside it.
    pub and_system: bool,
}

impl fmt::Display for TrustSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(path) = &self.path else { return f.write_str("the system's trust store") };
        let system = if self.and_system { " and the system's trust store" } else { "" };
        write!(f, "{} ({}){system}", path.display(), self.named_by)
    }
}
