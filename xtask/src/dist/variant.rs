//! The two variants of the packages.

use super::release::NAME;

/// A variant of the packages: the tool with one TLS library.
#[derive(Clone, Copy)]
pub(crate) enum Variant {
    /// rustls.
    Rustls,
    /// The host's OpenSSL.
    Openssl,
}

/// Both variants.
pub(crate) const VARIANTS: [Variant; 2] = [Variant::Rustls, Variant::Openssl];

impl Variant {
    /// The value of the Makefile's `VARIANT`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rustls => "rustls",
            Self::Openssl => "openssl",
        }
    }

    /// The name of the package.
    pub(crate) fn package(self) -> String {
        match self {
            Self::Rustls => NAME.to_owned(),
            Self::Openssl => format!("{NAME}-openssl"),
        }
    }

    /// The options of cargo that select the TLS library.
    pub(crate) fn features(self) -> [&'static str; 3] {
        let features = match self {
            Self::Rustls => "glance-replicator/rustls",
            Self::Openssl => "glance-replicator/native-tls",
        };
        ["--no-default-features", "--features", features]
    }
}
