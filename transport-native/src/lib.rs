#![doc = include_str!("../README.md")]

#[cfg(not(any(feature = "platform-tls", windows, target_vendor = "apple")))]
mod openssl;

#[cfg(any(feature = "platform-tls", windows, target_vendor = "apple"))]
mod platform;

use std::sync::Arc;

use glance_core::transport::Transport;
use http::Uri;
use tls_policy::TlsPolicy;
use transport_hyper::{ClientOptions, HyperTransport, Inspection, TlsAcceptor};

#[cfg(not(any(feature = "platform-tls", windows, target_vendor = "apple")))]
use self::openssl as library;
#[cfg(any(feature = "platform-tls", windows, target_vendor = "apple"))]
use self::platform as library;
use library::client::Client;
use library::server::Server;

pub use library::{TO_GET_FIPS, fips, hashers};
pub use transport_hyper::TlsSetupError;

/// Creates a client that verifies servers according to `policy`.
///
/// # Errors
/// If the trusted certificates of the policy, or its client certificate, cannot be used, or if the
/// library cannot apply the policy completely.
pub fn transport(
    policy: &TlsPolicy,
    options: ClientOptions,
) -> Result<Arc<dyn Transport>, TlsSetupError> {
    Ok(Arc::new(HyperTransport::new(Client::new(policy)?, options)))
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
    Ok(HyperTransport::new(Client::new(policy)?, options).inspect(url).await)
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
    Ok(Arc::new(Server::new(cert_chain_pem, key_pem)?))
}

/// Names the TLS library and its version, for `--version`.
pub fn describe() -> String {
    library::describe()
}
