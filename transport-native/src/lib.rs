//! The [`Transport`] over the platform's TLS library, and TLS for servers.
//!
//! On Linux and BSD the library is OpenSSL, through the crate `openssl`. On Apple systems and on
//! Windows it is Secure Transport or SChannel, through the crate `native-tls`, which can express less:
//! a policy that it cannot express is refused. The feature `platform-tls` selects native-tls on
//! Linux, too, where it uses OpenSSL, so that this path can be tested.
//!
//! [`transport`] creates a client that verifies servers according to a [`TlsPolicy`]; [`acceptor`]
//! accepts TLS connections of clients. [`hashers`] computes digests with the same library, and
//! [`fips`] checks that its FIPS provider is in use. `transport-rustls` has the same functions in
//! the same files, and so has each folder of this crate.
//!
//! # Example
//! ```no_run
//! use glance_core::Body;
//! use glance_core::tls::{Roots, TlsPolicy};
//! use http::Request;
//! use transport_hyper::ClientOptions;
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let policy = TlsPolicy::new(Roots::System);
//! let transport = transport_native::transport(&policy, ClientOptions::default())?;
//! let request = Request::get("https://glance.example/versions").body(Body::empty())?;
//! println!("{}", transport.send(request).await?.status());
//! # Ok::<_, Box<dyn std::error::Error>>(()) })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

#[cfg_attr(
    not(any(feature = "platform-tls", windows, target_vendor = "apple")),
    path = "openssl/mod.rs"
)]
#[cfg_attr(
    any(feature = "platform-tls", windows, target_vendor = "apple"),
    path = "platform/mod.rs"
)]
mod library;

use std::sync::Arc;

use glance_core::tls::TlsPolicy;
use glance_core::transport::Transport;
use http::Uri;
use library::client::Client;
use library::server::Server;
use transport_hyper::{ClientOptions, HyperTransport, Inspection, TlsAcceptor};

pub use library::{TO_GET_FIPS, fips, hashers};
pub use transport_hyper::TlsSetupError;

/// Creates a client that verifies servers according to `policy`.
///
/// # Errors
/// If the trusted certificates of the policy, or its client certificate, cannot be used, or if the
/// library cannot express the policy.
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
