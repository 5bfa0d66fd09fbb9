#![doc = include_str!("../README.md")]

mod roots;

mod verify;

mod identity;

mod client;

mod server;

mod digest;

mod fips;

use std::sync::Arc;

use glance_core::transport::Transport;
use http::Uri;
use tls_policy::TlsPolicy;
use transport_hyper::{ClientOptions, HyperTransport, Inspection, TlsAcceptor};

pub use digest::hashers;
pub use fips::{TO_GET_FIPS, fips};
pub use transport_hyper::TlsSetupError;

/// Creates a client that verifies servers according to `policy`.
///
/// # Errors
/// If the trusted certificates of the policy, or its client certificate, cannot be used.
pub fn transport(
    policy: &TlsPolicy,
    options: ClientOptions,
) -> Result<Arc<dyn Transport>, TlsSetupError> {
    Ok(Arc::new(HyperTransport::new(client::Client::new(policy)?, options)))
}

/// Connects to the server of `url` once, verified as by [`transport`], and reports the certificates
/// and the outcome.
///
/// # Errors
/// If the policy cannot be used. A problem of the server is reported in the [`Inspection`].
pub async fn inspect(
    policy: &TlsPolicy,
    options: ClientOptions,
    url: &Uri,
) -> Result<Inspection, TlsSetupError> {
    Ok(HyperTransport::new(client::Client::new(policy)?, options).inspect(url).await)
}

/// Creates the TLS acceptor of a server from its certificate chain (the server's own certificate
/// first) and its private key, both PEM.
///
/// # Errors
/// If the certificates or the key cannot be used.
pub fn acceptor(
    cert_chain_pem: &[u8],
    key_pem: &[u8],
) -> Result<Arc<dyn TlsAcceptor>, TlsSetupError> {
    Ok(Arc::new(server::Server::new(cert_chain_pem, key_pem)?))
}

/// Names the TLS library and its version, for `--version`.
pub fn describe() -> String {
    let (rustls, crypto) = (env!("RUSTLS_VERSION"), env!("AWS_LC_RS_VERSION"));
    format!("rustls {rustls} (aws-lc-rs {crypto})")
}
