//! The [`Transport`] over rustls, and the server's side of it.
//!
//! [`transport`] gives a client that verifies as a [`TlsPolicy`] says; [`acceptor`] is for servers.
//! [`hashers`] computes digests by the same library, and [`fips`] says whether it is a FIPS module.
//! `transport-native` has the same functions in the same files.

mod roots;

mod verify;

mod identity;

mod client;

mod server;

mod digest;

mod fips;

use std::sync::Arc;

use glance_core::tls::TlsPolicy;
use glance_core::transport::Transport;
use http::Uri;
use transport_hyper::{HyperTransport, Inspection, Options, TlsAcceptor};

pub use digest::hashers;
pub use fips::fips;
pub use transport_hyper::TlsSetupError;

/// A client that verifies servers as `policy` says.
///
/// # Errors
/// When the roots can't be used.
pub fn transport(
    policy: &TlsPolicy,
    options: Options,
) -> Result<Arc<dyn Transport>, TlsSetupError> {
    Ok(Arc::new(HyperTransport::new(client::Client::new(policy)?, options)))
}

/// Connects to the server of `url` once, as [`transport`] would, and tells what it finds.
///
/// # Errors
/// When the policy can't be used. What is wrong with the server stands in the [`Inspection`].
pub async fn inspect(
    policy: &TlsPolicy,
    options: Options,
    url: &Uri,
) -> Result<Inspection, TlsSetupError> {
    Ok(HyperTransport::new(client::Client::new(policy)?, options).inspect(url).await)
}

/// The server's side, with a chain of certificates (the server's first) and its key, PEM.
///
/// # Errors
/// When the certificates or the key can't be used.
pub fn acceptor(
    cert_chain_pem: &[u8],
    key_pem: &[u8],
) -> Result<Arc<dyn TlsAcceptor>, TlsSetupError> {
    Ok(Arc::new(server::Server::new(cert_chain_pem, key_pem)?))
}

/// The TLS library, for `--version`.
pub fn describe() -> String {
    let (rustls, crypto) = (env!("RUSTLS_VERSION"), env!("AWS_LC_RS_VERSION"));
    format!("rustls {rustls} (aws-lc-rs {crypto})")
}
