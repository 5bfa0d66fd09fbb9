//! glance-replicator's [`Transport`] over rustls with aws-lc-rs, and with a certificate verifier
//! that gives operators' cases the right verdict (see [`verifier`](self)'s source).

mod backend;

mod verifier;

mod acceptor;

use std::sync::Arc;

use glance_core::tls::TlsPolicy;
use glance_core::transport::Transport;
use rustls::crypto::CryptoProvider;
use transport_hyper::{HyperTransport, Options, TlsAcceptor};

/// TLS can't be set up as asked.
#[derive(Debug, thiserror::Error)]
#[error("rustls does not take {what}: {reason}")]
pub struct TlsSetupError {
    what: String,
    reason: String,
}

/// A transport that verifies as `policy` says.
///
/// # Errors
/// When rustls refuses the policy, or the system has no usable trust store.
pub fn transport(
    policy: &TlsPolicy,
    options: Options,
) -> Result<Arc<dyn Transport>, TlsSetupError> {
    Ok(Arc::new(HyperTransport::new(backend::RustlsBackend::new(policy)?, options)))
}

/// The server's side, with a certificate chain and its key, PEM.
///
/// # Errors
/// When they are not PEM, or do not belong together.
pub fn acceptor(chain: &[u8], key: &[u8]) -> Result<Arc<dyn TlsAcceptor>, TlsSetupError> {
    Ok(Arc::new(acceptor::RustlsAcceptor::new(chain, key)?))
}

/// The TLS library and its version.
pub fn describe() -> String {
    format!("rustls {RUSTLS_VERSION} (aws-lc-rs)")
}

/// The cryptography of this crate: chosen here, never installed for the whole process.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Says what rustls was given when it fails.
fn given<E: std::fmt::Display>(what: &str) -> impl FnOnce(E) -> TlsSetupError {
    let what = what.to_owned();
    move |error| TlsSetupError { what, reason: error.to_string() }
}

/// rustls tells nobody its version; a test compares this with Cargo.lock.
const RUSTLS_VERSION: &str = "0.23.46";

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_is_that_of_the_lock_file() {
        let lock = include_str!("../../Cargo.lock");
        let version = format!("name = \"rustls\"\nversion = \"{}\"", super::RUSTLS_VERSION);
        assert!(lock.contains(&version));
    }
}
