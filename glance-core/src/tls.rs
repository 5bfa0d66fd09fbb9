//! Whom to trust, said once for every TLS library.
//!
//! A [`TlsPolicy`] can express which roots to trust and how strict to be. No value of it means
//! "do not verify".

use std::fmt;
use std::path::PathBuf;

pub mod bundle;

mod trust;

pub mod verdict;

pub use bundle::{BundleError, Certificate};
pub use trust::resolve;

/// How servers are verified.
#[derive(Debug, Clone)]
pub struct TlsPolicy {
    /// Where trust begins.
    pub roots: Roots,
    /// The oldest protocol version that is spoken.
    pub min_version: TlsVersion,
}

/// Where trust begins.
#[derive(Debug, Clone)]
pub enum Roots {
    /// The system's trust store.
    System,
    /// These certificates and no others: each is an authority where it may be one, and a server
    /// that presents exactly one of them is taken for the names and times it carries.
    Bundle(Vec<Certificate>),
}

/// A version of the TLS protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// Who named the trust store in use, for `--debug` and for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustSource {
    /// The option, the variable or the key, such as `--cacert`.
    pub named_by: String,
    /// The file or directory. None is the system's trust store.
    pub path: Option<PathBuf>,
}

impl fmt::Display for TrustSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{} ({})", path.display(), self.named_by),
            None => f.write_str("the system's trust store"),
        }
    }
}
